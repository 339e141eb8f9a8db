"""Total variation from below, by a witness set of known probability."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike

from .checks import FloatArray, checked_level, checked_samples


@dataclass(frozen=True)
class WitnessEstimate:
    """P_hat(A) - p(A) for a witness set A of known probability, in which `count` of `n` samples fell."""

    count: int
    n: int
    probability: float

    @property
    def value(self) -> float:
        """Observed frequency minus exact probability; its absolute value estimates a lower bound of TV."""
        return self.count / self.n - self.probability

    @property
    def error(self) -> float:
        """Standard error at the frequency (count + 2) / (n + 4) (Agresti and Coull 1998): never zero."""
        frequency = (self.count + 2) / (self.n + 4)
        return math.sqrt(frequency * (1 - frequency) / self.n)

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Clopper-Pearson interval of P(A) - p(A): covers with at least the stated probability, for any n.

        References
        ----------
        Clopper and Pearson 1934, in its form by beta quantiles.
        """
        tail = (1 - checked_level(level)) / 2
        k, n = self.count, self.n
        low = float(scipy.special.betaincinv(k, n - k + 1, tail)) if k > 0 else 0.0
        high = float(scipy.special.betainccinv(k + 1, n - k, tail)) if k < n else 1.0
        return low - self.probability, high - self.probability


def tv_witness(
    samples: ArrayLike, witness: Callable[[FloatArray], ArrayLike] | ArrayLike, probability: float
) -> WitnessEstimate:
    """Lower bound of the total variation distance between a sampled law and an exact one, by a witness set A.

    |P(A) - p(A)| <= TV for every A chosen without looking at the samples, with equality for A = {f > p}. The
    estimate P_hat(A) - p(A) is unbiased, unlike the TV of a histogram.

    Parameters
    ----------
    samples : (n, d) samples; (n,) is read as (n, 1) for intervals and handed on as it is to a callable.
    witness : callable or (k, 2) array
        Indicator from samples to (n,) booleans, or, on the line, disjoint increasing intervals [low, high);
        ends may be infinite.
    probability : float in [0, 1]
        Exact probability of A under the reference law.

    Raises
    ------
    ValueError
        Bad samples, intervals not disjoint and increasing, an indicator of another shape, a probability
        outside [0, 1].
    TypeError
        An indicator that does not return booleans.
    """
    if not 0 <= probability <= 1:
        raise ValueError(
            f"probability = {probability}: give the exact probability of the witness set, within [0, 1]"
        )
    points = checked_samples("samples", samples, 1, line=not callable(witness))
    if callable(witness):
        inside = np.asarray(witness(points if np.ndim(samples) > 1 else points[:, 0]))
        if inside.dtype != np.bool_:
            raise TypeError(
                f"witness returned dtype {inside.dtype}: return booleans, True for samples inside the set"
            )
        if inside.shape != (len(points),):
            raise ValueError(
                f"witness returned shape {inside.shape} for {len(points)} samples: return ({len(points)},)"
            )
        return WitnessEstimate(int(inside.sum()), len(points), float(probability))
    intervals = np.asarray(witness, dtype=np.float64)
    if intervals.ndim != 2 or intervals.shape[1] != 2:
        raise ValueError(
            f"witness has shape {intervals.shape}: give intervals as (k, 2), one row [low, high) each"
        )
    ends = intervals.ravel()
    # Written so that NaN fails too.
    if not (np.all(intervals[:, 0] < intervals[:, 1]) and np.all(ends[1:] >= ends[:-1])):
        raise ValueError(
            f"witness = {intervals.tolist()}: give disjoint intervals in increasing order, low < high"
        )
    count = int((np.searchsorted(ends, points[:, 0], side="right") % 2 == 1).sum())
    return WitnessEstimate(count, len(points), float(probability))
