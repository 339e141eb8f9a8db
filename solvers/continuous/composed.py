"""Models that are sums of scores: guidance towards a condition, products of laws, one law with another taken out.

The score sum_i powers_i score_i is the gradient of log prod_i p_i^powers_i at each level, but it is not the score of
that product noised, save in special cases: what a sampler that asks for it draws from is another law, which `density`
gives on the line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import array_api_compat
import numpy as np
from numpy.typing import NDArray

from analytic import reprs

from .denoiser import Denoiser, denoised

Array = Any  # of any library the array API knows
Floats = NDArray[np.float64]
EVERYWHERE = (0.0, float("inf"))
PREDICTIONS = ("x0", "eps", "v")


@dataclass(frozen=True, eq=False)
class Rescale:
    """Lin et al.'s correction of guidance: the prediction scaled back to the spread of the conditional one.

    V (share std(V_c)/std(V) + 1 - share), the deviations being those of a sample's coordinates.

    Attributes
    ----------
    share : float
        phi of the paper, between 0 and 1, which recommends 0.7.
    of : str
        The prediction that is scaled: "v" = alpha eps - sigma x0 as in the paper, "eps" or "x0".

    References
    ----------
    Lin et al. 2024 (Common diffusion noise schedules and sample steps are flawed), section 3.4.
    """

    share: float
    of: str = "v"

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"share is {self.share}: give a number between 0 and 1")
        if self.of not in PREDICTIONS:
            raise ValueError(f"of is {self.of!r}: use one of {', '.join(PREDICTIONS)}")

    def __call__(self, D: Array, conditional: Array, x: Array, alpha: float, sigma: float) -> Array:
        """Return a guided denoiser rescaled; all are (n, dim ...)."""
        # a prediction is a D + b x
        a, b = {
            "x0": (1.0, 0.0),
            "eps": (-alpha / sigma, 1 / sigma),
            "v": (-(alpha**2) / sigma - sigma, alpha / sigma),
        }[self.of]
        xp = array_api_compat.array_namespace(x)
        guided, wanted = a * D + b * x, a * conditional + b * x
        along = (int(x.shape[0]), *(1,) * (x.ndim - 1))
        spread, target = (
            xp.reshape(xp.std(xp.reshape(v, (along[0], -1)), axis=1), along) for v in (guided, wanted)
        )
        scaled = guided * (self.share * target / spread + 1 - self.share)
        return (scaled - b * x) / a


class Composed:
    """A model whose score is sum_i powers_i score_i of several models; `run` and, on the line, `density` ask it.

    Its denoiser is sum_i powers_i D_i + (1 - sum_i powers_i) x/alpha. One evaluation asks each part of non-zero power.

    Parameters
    ----------
    parts : sequence of Gaussian mixtures or Denoisers
        Denoisers, as `solvers.denoiser` makes of functions and torch modules, are asked by `run` alone.
    powers : sequence of float
        One for each part.
    interval : (float, float)
        Values of sigma/alpha (above the first, up to the second) between which the powers hold; all by default.
    outside : sequence of float, optional
        The powers elsewhere; needed with an interval.
    rescale : Rescale, optional
        Applied to the sum, towards the last part; `run` alone takes it.

    Raises
    ------
    TypeError, ValueError
        Parts that cannot be asked or are of several dimensions, other numbers of powers, an interval that is none.
    """

    def __init__(
        self,
        parts: Sequence[Any],
        powers: Sequence[float],
        interval: tuple[float, float] = EVERYWHERE,
        outside: Sequence[float] | None = None,
        rescale: Rescale | None = None,
    ) -> None:
        self.parts, self.powers = tuple(parts), tuple(float(power) for power in powers)
        self.interval, self.rescale = (float(interval[0]), float(interval[1])), rescale
        self.outside = self.powers if outside is None else tuple(float(power) for power in outside)
        for part in self.parts:
            if not isinstance(part, Denoiser) and not hasattr(part, "denoise"):
                raise TypeError(f"parts has {part!r}: give Gaussian mixtures or solvers.denoiser(...)")
        for name, found in (("powers", self.powers), ("outside", self.outside)):
            if len(found) != len(self.parts) or not found or not np.isfinite(found).all():
                raise ValueError(
                    f"{name} is {found}: give a finite number for each of {len(self.parts)} parts"
                )
        if not 0 <= self.interval[0] < self.interval[1]:
            raise ValueError(f"interval is {interval}: give the smaller sigma/alpha first, then a larger one")
        if self.interval != EVERYWHERE and outside is None:
            raise ValueError(
                f"interval is {interval}, but outside is None: give the powers that hold elsewhere"
            )
        dims = {part.means.shape[1] for part in self.parts if hasattr(part, "means")}
        if len(dims) > 1:
            raise ValueError(
                f"parts are in {' and '.join(map(str, sorted(dims)))} dimensions: give parts of one"
            )

    __repr__ = reprs.brief

    def spectrum(self) -> Any:
        """Raise ValueError: a sum of scores is no law."""
        raise ValueError(
            f"target is {self!r}, which is no law, only what is asked: use `run`, or `density` on a line"
        )

    def powers_at(self, alpha: float, sigma: float) -> tuple[float, ...]:
        """Return the powers that hold at a level; ValueError where alpha = 0 and they do not add up to 1."""
        low, high = self.interval
        powers = (
            self.powers if low * alpha < sigma and (high == np.inf or sigma <= high * alpha) else self.outside
        )
        if alpha == 0 and abs(sum(powers) - 1) > 1e-12:
            raise ValueError(
                f"powers add up to {sum(powers):g} at a level with alpha = 0, where scores say nothing about x_0: "
                "start where alpha > 0"
            )
        return powers

    def denoise(self, x: Array, alpha: float, sigma: float) -> Array:
        """Return the composed denoiser at x (n, dim ...), arrays of any library."""
        if sigma == 0:
            return x / alpha
        powers = self.powers_at(alpha, sigma)
        rest = 1 - sum(powers)
        total = 0 * x if abs(rest) < 1e-15 else rest / alpha * x
        asked = {i: denoised(self.parts[i], x, alpha, sigma) for i, power in enumerate(powers) if power}
        for i, D in asked.items():
            total = total + powers[i] * D
        last = len(self.parts) - 1
        if self.rescale is None or set(asked) <= {last}:
            return total
        wanted = asked[last] if last in asked else denoised(self.parts[last], x, alpha, sigma)
        return self.rescale(total, wanted, x, alpha, sigma)

    def score(self, x: Array) -> Array:
        """Return the sum of scores of the data themselves, at sigma = 0; parts are mixtures with a density."""
        total = 0 * x
        for power, part in zip(self.powers_at(1.0, 0.0), self.parts, strict=True):
            total = total + power * part.score(x)
        return total

    def log_density(self, x: Floats, alpha: float, sigma: float) -> Floats:
        """Return sum_i powers_i log p_i of the noised parts at x (n, dim), up to a constant; parts are mixtures."""
        total = np.zeros(len(x))
        for power, part in zip(self.powers_at(alpha, sigma), self.parts, strict=True):
            total += power * part.noised(alpha, sigma).log_density(x) if power else 0.0
        return total


def guided(
    target: Any,
    labels: int | Sequence[int],
    scale: float | None = None,
    *,
    strength: float | None = None,
    interval: tuple[float, float] = EVERYWHERE,
    rescale: Rescale | float | None = None,
) -> Composed:
    """Guidance of a mixture towards the components `labels`, with exact scores.

    The score is (1 - scale) score(x) + scale score(x | c): at scale 0 the target, at 1 the law under the condition,
    beyond 1 more than that. By Bayes' rule this is score(x) + scale grad log p(c | x_t), so that classifier guidance by
    the exact classifier is the same model. Two evaluations of the model, one at scale 0 and 1.

    Parameters
    ----------
    target : GaussianMixture
        Of two or more components, so that there is a condition to go to.
    labels : int or sequence of int
        Components of the condition, not all of them.
    scale : float
        w of D + w (D_c - D), as libraries have it: 1 is no guidance beyond the condition.
    strength : float
        In its place w of Ho and Salimans, (1 + w) eps_c - w eps: scale - 1.
    interval : (float, float)
        Guide at sigma/alpha above the first and up to the second number, and ask for the condition alone elsewhere.
    rescale : Rescale or float
        Scale predictions back; a number is its share, of v.

    Raises
    ------
    TypeError, ValueError
        A target without conditions, labels that are all of it, neither or both of scale and strength.

    References
    ----------
    Ho and Salimans 2022, eq. 6; Dhariwal and Nichol 2021, section 4, for classifiers; Kynkaanniemi et al. 2024
    for the interval; Lin et al. 2024, section 3.4, for the rescaling.
    """
    if (scale is None) == (strength is None):
        raise ValueError(
            f"scale is {scale} and strength is {strength}: give one of them (strength is scale - 1)"
        )
    if not hasattr(target, "condition") or target.components < 2:
        raise ValueError(
            f"target is {target!r}, which has no condition to be guided to: give a mixture of two or more components, "
            "or compose denoisers, Composed((unconditional, conditional), (1 - scale, scale))"
        )
    part = target.condition(labels)
    if part.components == target.components:
        raise ValueError(f"labels is {labels!r}, all of the target: leave a component out of the condition")
    w = float(scale) if scale is not None else float(strength) + 1  # type: ignore[arg-type]  # one is given
    if isinstance(rescale, int | float):
        rescale = Rescale(float(rescale))
    return Composed((target, part), (1 - w, w), interval, (0.0, 1.0), rescale)
