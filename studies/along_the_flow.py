"""How far a method ends from the flow that it follows: what is small down to rounding where no law reaches.

Both start from the same samples, so that the mean distance of their ends has no floor as distances of two sets of
samples have, and is smooth in the grid. It bounds W1 between the two laws from above; a root mean square would hang on
the few samples that end in another mode. With a model of one's own it is the distance from the model's own flow, so
that what the model gets wrong is no part of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analytic import GaussianMixture, paths
from solvers import catalogue, grids

from .laws import UNSTABLE, Estimate, law_of
from .numbers import NORMAL
from .setting import Job

Array = NDArray[np.float64]
METRIC = "distance to the flow"
FINE = ("dpm-solver-3", 256)  # on equal steps in log-SNR: the method and steps that stand for the flow itself
NEARER = 5.0  # in log-SNR, that a flow to the data comes than the last step of a grid
FITTED, HELD = 0, 1  # seeds of the starts that a grid is fitted to, and of those that it is measured on
SAMPLES = {FITTED: 512, HELD: 2_000}


@dataclass
class Flow:
    """The ends of a target's probability flow, or a model's, from samples of the exact marginal.

    Attributes
    ----------
    target : GaussianMixture
    path : Gaussian path
    model : denoiser, optional
        What is asked; the exact one if None.
    """

    target: GaussianMixture
    path: paths.Gaussian
    model: Any = None
    _ends: dict[tuple[float, float, int], Array] = field(default_factory=dict, repr=False, compare=False)

    def distance(self, job: Job, nodes: Array, seed: int = HELD) -> Estimate:
        """Return how far a method ends from the flow on a grid, in the mean with its 99 % interval.

        Raises ValueError for a method with noise, which follows no flow.
        """
        tableau = job.method.tableau(self.path, nodes, start=job.start, **job.options)
        if not tableau.deterministic:
            raise ValueError(
                f"method is {job.label!r}, which draws noise: its grid is optimised on Gaussians"
            )
        try:
            x = self._run(tableau, seed)
        except FloatingPointError as problem:
            return Estimate.failed(UNSTABLE, problem)
        apart = np.linalg.norm(x - self._end(nodes, seed), axis=1)
        half = NORMAL * np.std(apart, ddof=1) / np.sqrt(len(apart))
        return Estimate(float(np.mean(apart)), float(half))

    def _end(self, nodes: Array, seed: int) -> Array:
        """Return where the flow ends between the ends of a grid; in one last step where that is the data."""
        clean = float(self.path.sigma(nodes[-1])) == 0
        last = float(self.path.time_of_log_snr(self.path.log_snr(nodes[-2]) + NEARER)) if clean else nodes[-1]
        key = (float(nodes[0]), float(last), seed)
        if key not in self._ends:
            name, steps = FINE
            fine = grids.log_snr(self.path, steps, start=key[0], stop=key[1])
            fine = np.append(fine, nodes[-1]) if clean else fine
            self._ends[key] = self._run(catalogue[name].tableau(self.path, fine), seed)
        return self._ends[key]

    def _run(self, tableau: Any, seed: int) -> Array:
        drawn: Array = law_of(
            tableau, self.target, self.model, means="samples", samples=SAMPLES[seed], seed=seed
        )
        return drawn
