"""The model as samplers see it: exact cavities of a batch of noisy sequences."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from analytic import sequences

from .flow import Array, Process, clock
from .tables import check_pair


class Model:
    """Cavities of sequences under a process, at any time."""

    def __init__(self, process: Process, data: sequences.SequenceLaw) -> None:
        check_pair(process, data)
        self.process, self.data = process, data

    def cavities(self, t: float, tokens: NDArray[Any]) -> Array:
        """Law of x_0 at each site given x_t at the others, (n, L, V).

        Raises FloatingPointError where the target gives a row probability zero.
        """
        noising = self.process.transition(0, clock(self.process, t))[: self.process.vocabulary]
        likelihood = np.ascontiguousarray(noising.T)[tokens]
        try:
            return self.data.cavity(likelihood)
        except ValueError as error:
            raise FloatingPointError(
                f"a sample has probability 0 at t = {t:g}, where the model is undefined: give a target without zeros, "
                f"or take more steps ({error})"
            ) from error
