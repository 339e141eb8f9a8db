"""Chains in discrete time: the transition matrices of D3PM, their products and their posteriors."""

from __future__ import annotations

import operator
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..mixtures.parameters import frozen, whole_number
from .checks import Array, probabilities, real
from .exponential import common_row, settled
from .process import SiteProcess


class D3PM(SiteProcess):
    """A chain of `steps` transition matrices Q_1, ..., Q_T from the data, step 0, to the noise.

    Times are integers from 0 to `steps`; `transition`, `marginal`, `likelihood`, `bridge` and `score_ratios`
    take them. Immutable; equality and hash go by the matrices.

    Parameters
    ----------
    matrices : (steps, S, S) array_like
        Q_k[x, y] = P(x_k = y | x_{k-1} = x), rows summing to one within 1e-12; ValueError if not.
    vocabulary : int, optional
        Number of tokens, S by default; S - 1 makes the last state a mask.

    References
    ----------
    Austin et al. 2021 (D3PM), section 3.
    """

    name: ClassVar[str] = "d3pm"
    matrices: Array
    _products: Array

    def __init__(self, matrices: npt.ArrayLike, vocabulary: int | None = None) -> None:
        given = np.array(real("matrices", matrices))
        if given.ndim != 3 or given.shape[1] != given.shape[2] or len(given) < 1 or given.shape[1] < 2:
            raise ValueError(
                f"matrices has shape {given.shape}; pass (steps, states, states), at least 1 step and 2 states"
            )
        states = given.shape[1]
        probabilities("matrices", given, states)
        given /= given.sum(axis=-1, keepdims=True)
        tokens = states if vocabulary is None else whole_number(vocabulary, "vocabulary", least=1)
        if tokens not in (states, states - 1):
            raise ValueError(
                f"vocabulary is {tokens} for {states} states; pass {states}, or {states - 1} with the last "
                "state a mask"
            )
        products = np.empty((len(given) + 1, states, states))
        products[0] = np.eye(states)
        for k, matrix in enumerate(given):
            products[k + 1] = products[k] @ matrix
            products[k + 1] /= products[k + 1].sum(axis=1, keepdims=True)
        vars(self).update(matrices=frozen(given), _products=frozen(products), vocabulary=tokens)

    @classmethod
    def uniform(cls, betas: npt.ArrayLike, vocabulary: int) -> D3PM:
        """Redraw the token uniformly with probability beta_k: Q = (1 - beta) I + beta/V.

        Parameters
        ----------
        betas : int or (steps,) array_like
            Probabilities, or a number of steps for the cosine schedule, betas at most 0.999.
        vocabulary : int

        References
        ----------
        Austin et al. 2021, appendix A.2.1; Hoogeboom et al. 2021 for the schedule.
        """
        size = whole_number(vocabulary, "vocabulary", least=2)
        b = _betas(betas, _cosine)[:, None, None]
        return cls((1 - b) * np.eye(size) + b / size)

    @classmethod
    def absorbing(cls, betas: npt.ArrayLike, vocabulary: int) -> D3PM:
        """Mask the token with probability beta_k; the mask is the last of the V + 1 states.

        Parameters
        ----------
        betas : int or (steps,) array_like
            Probabilities, or a number of steps T for 1/(T - k + 1), which masks at a constant pace.
        vocabulary : int

        References
        ----------
        Austin et al. 2021, appendix A.2.2; Sohl-Dickstein et al. 2015 for the schedule.
        """
        size = whole_number(vocabulary, "vocabulary", least=1)
        b = _betas(betas, lambda steps: 1 / np.arange(steps, 0, -1.0))[:, None, None]
        to_mask = np.zeros((size + 1, size + 1))
        to_mask[:, -1] = 1.0
        return cls((1 - b) * np.eye(size + 1) + b * to_mask, size)

    @classmethod
    def gaussian(cls, betas: npt.ArrayLike, vocabulary: int) -> D3PM:
        """Move as a discretised Gaussian of variance beta (V - 1)^2/8; doubly stochastic.

        Parameters
        ----------
        betas : int or (steps,) array_like
            Each above 0 and at most 1, or a number of steps T: linear from 1e-4 to 0.02, times 1000/T, the
            paper's for T = 1000; ValueError for T below 20, where it would pass 1.
        vocabulary : int
            In the tens at least: with fewer tokens the first Gaussians fall between them, and steps do little.

        References
        ----------
        Austin et al. 2021, appendix A.2.3, eq. 8.
        """
        size = whole_number(vocabulary, "vocabulary", least=2)
        b = _betas(betas, lambda steps: np.linspace(1e-4, 0.02, steps) * (1000 / steps))
        if (b == 0).any():
            raise ValueError(f"betas[{int(np.argmin(b))}] is 0, a Gaussian of no width; pass betas above 0")
        offsets = np.arange(1 - size, size)
        weights = np.exp(-4 * offsets**2 / ((size - 1) ** 2 * b[:, None]))
        weights /= weights.sum(axis=1, keepdims=True)
        x = np.arange(size)
        return cls(_lazy(weights[:, np.abs(x[:, None] - x) + size - 1]))

    @classmethod
    def banded(cls, betas: npt.ArrayLike, vocabulary: int, width: int) -> D3PM:
        """Move to each token at most `width` away with probability beta_k/V; doubly stochastic.

        Parameters
        ----------
        betas : int or (steps,) array_like
            Probabilities, or a number of steps for the schedule of `uniform`.
        vocabulary : int
        width : int
            From 1 to V - 1, where it is `uniform`.

        References
        ----------
        Austin et al. 2021, appendix A.2.
        """
        size = whole_number(vocabulary, "vocabulary", least=2)
        if whole_number(width, "width", least=1) >= size:
            raise ValueError(f"width is {width}; pass at most {size - 1} for {size} tokens")
        x = np.arange(size)
        near = np.abs(x[:, None] - x) <= width
        return cls(_lazy(_betas(betas, _cosine)[:, None, None] / size * near))

    def __setattr__(self, name: str, value: object) -> None:
        """Refuse: chains are immutable."""
        raise AttributeError(f"cannot assign to {name!r}: chains are immutable, build another one")

    def __delattr__(self, name: str) -> None:
        """Refuse: chains are immutable."""
        raise AttributeError(f"cannot delete {name!r}: chains are immutable, build another one")

    def __eq__(self, other: object) -> bool:
        """Equal matrices and vocabulary."""
        if not isinstance(other, D3PM):
            return NotImplemented
        return self.vocabulary == other.vocabulary and np.array_equal(self.matrices, other.matrices)

    def __hash__(self) -> int:
        """Hash of the matrices."""
        return hash((self.matrices.tobytes(), self.vocabulary))

    def __repr__(self) -> str:
        """Show the sizes."""
        return f"D3PM(steps={self.steps}, states={self.states}, vocabulary={self.vocabulary})"

    @property
    def states(self) -> int:
        """Number of states, V or V + 1."""
        return self.matrices.shape[1]

    @property
    def steps(self) -> int:
        """Number of steps."""
        return len(self.matrices)

    @property
    def end(self) -> int:
        """Largest time, the number of steps."""
        return self.steps

    @property
    def start(self) -> int:
        """Default time at which sampling starts, the number of steps."""
        return self.steps

    @property
    def stop(self) -> int:
        """Default time at which sampling stops, 0: the data."""
        return 0

    @property
    def prior(self) -> Array:
        """The stationary law of the last matrix, (S,); ValueError where it depends on the start."""
        return frozen(common_row("matrices", settled(self.matrices[-1])))

    def posterior(self, step: int) -> Array:
        """Return q(x_{k-1} | x_k, x_0) for k = step, (S, V, S) by [x_k, x_0, x_{k-1}].

        Proportional to (x_k Q_k^T) * (x_0 Qbar_{k-1}); rows that no path joins are zero. Raises ValueError
        unless 1 <= step <= steps.

        References
        ----------
        Austin et al. 2021, eq. 3.
        """
        k = self._time("step", step)
        if k < 1:
            raise ValueError(f"step is {step}; pass an integer from 1 to {self.steps}")
        return self.bridge(k - 1, k)

    def _time(self, name: str, value: object) -> int:
        try:
            if isinstance(value, bool | np.bool_):
                raise TypeError
            time = operator.index(value)  # type: ignore[arg-type]
        except TypeError:
            raise TypeError(f"{name} is {value!r}; pass an integer from 0 to {self.steps}") from None
        if not 0 <= time <= self.steps:
            raise ValueError(f"{name} is {time}; pass an integer from 0 to {self.steps}")
        return time

    def _transition(self, s: float, t: float) -> Array:
        if s == 0:
            return self._products[int(t)]
        product = self.matrices[int(s)]
        for matrix in self.matrices[int(s) + 1 : int(t)]:
            product = product @ matrix
        return product


def _betas(betas: npt.ArrayLike, by_steps: Any) -> Array:
    """Return the betas given, or those of a schedule with the number of steps given."""
    values = real("betas", betas) if np.ndim(betas) else by_steps(whole_number(betas, "betas", least=1))
    if values.ndim != 1 or len(values) == 0:
        raise ValueError(f"betas has shape {values.shape}; pass a number of steps or one beta per step")
    wrong = ~((values >= 0) & (values <= 1))
    if wrong.any():
        k = int(np.argmax(wrong))
        raise ValueError(f"betas[{k}] is {values[k]}; pass probabilities in [0, 1], or take more steps")
    return values


def _cosine(steps: int) -> Array:
    alphas = np.cos((np.arange(steps + 1) / steps + 0.008) / 1.008 * np.pi / 2)
    return np.minimum(1 - alphas[1:] / alphas[:-1], 0.999)


def _lazy(matrices: Array) -> Array:
    """Set diagonals to what the rows lack to one, which symmetric matrices keep doubly stochastic."""
    x = np.arange(matrices.shape[-1])
    matrices[:, x, x] = 0.0
    matrices[:, x, x] = 1 - matrices.sum(axis=-1)
    return matrices
