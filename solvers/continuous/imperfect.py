"""A target whose model is wrong by a known amount: errors of the score that every executor can carry exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, pi
from typing import Any, Literal, NamedTuple, get_args

import array_api_compat
import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..numerics.jit import COMPILED, INNER
from ..numerics.philox import in_quarter
from ..numerics.primitives import exp, sincospi
from .executors.packed import Packed

Array = NDArray[np.float64]
Shape = Literal["constant", "relative", "wave", "bump"]
Prediction = Literal["score", "eps", "x0"]
WAVE, BUMP = 0, 1


@dataclass(frozen=True)
class ScoreError:
    """An error of known size and shape in what a model predicts.

    Attributes
    ----------
    size : float
        Of the error in each coordinate, in units of the prediction; of "relative", the fraction.
    shape : str
        "constant"; "relative": the prediction times 1 + size; "wave": size sin(frequency z + phase); "bump": size
        exp(-((z - centre) / width)^2 / 2). z is a coordinate of x in units of sqrt(alpha^2 + sigma^2), each
        coordinate by itself.
    of : str
        Which prediction is wrong: "score", "eps" or "x0". An error e of the score is -sigma e of eps and
        sigma^2/alpha e of x0.
    window : (float, float)
        Least and largest log-SNR at which there is an error: a pulse in time, all times by default.
    frequency, phase : float
        Of a wave.
    centre, width : float
        Of a bump.

    Raises
    ------
    ValueError
        A number that is not finite, an unknown word, a width that is not positive or a window that is empty.
    """

    size: float
    shape: Shape = "constant"
    of: Prediction = "score"
    window: tuple[float, float] = (-np.inf, np.inf)
    frequency: float = 1.0
    phase: float = 0.0
    centre: float = 0.0
    width: float = 1.0

    def __post_init__(self) -> None:
        for name, value, words in (("shape", self.shape, Shape), ("of", self.of, Prediction)):
            if value not in get_args(words):
                raise ValueError(f"{name} is {value!r}: use one of {', '.join(get_args(words))}")
        for name in ("size", "frequency", "phase", "centre", "width"):
            if not np.isfinite(getattr(self, name)):
                raise ValueError(f"{name} is {getattr(self, name)}: give a finite number")
        if self.width <= 0:
            raise ValueError(f"width is {self.width}: give a positive number")
        if not self.window[0] < self.window[1]:
            raise ValueError(f"window is {self.window}: give the smaller log-SNR first, then a larger one")

    @property
    def affine(self) -> bool:
        """True if the model of a Gaussian stays affine, so that its sampler's law stays Gaussian."""
        return self.shape in ("constant", "relative")

    def terms(self, alpha: float, sigma: float, asked: Array) -> tuple[Array, Array]:
        """Return what is added to a value V at x: (gain, tilt, shift) for gain V + tilt x + shift, and a field.

        V is asked[0] times the denoiser plus asked[1] times the score. The field (kind, amplitude, rate, place) is a
        wave amplitude sin(rate x + place) or a bump amplitude exp(-(rate (x - place))^2 / 2) in each coordinate.
        Raises ValueError at alpha = 0, where a score says nothing about x_0.
        """
        linear, field = np.zeros(3), np.array([WAVE, 0.0, 0.0, 0.0])
        if sigma == 0 or not self.window[0] <= np.log(max(alpha, 1e-300) / sigma) <= self.window[1]:
            return linear, field
        a, b = (float(part) for part in asked)
        if alpha == 0 and a != 0 and self.of != "x0":
            raise ValueError(
                f"of is {self.of!r} at a level with alpha = 0, where it says nothing about x_0: start where alpha > 0"
            )
        # what an error of the score adds to V; at alpha = 0 it says nothing about the denoiser
        of_score = b + (a * sigma**2 / alpha if a and alpha else 0.0)
        unit = {"score": of_score, "eps": -of_score / sigma, "x0": a + b * alpha / sigma**2}[self.of]
        size, scale = self.size * unit, np.hypot(alpha, sigma)
        if self.shape == "constant":
            linear[2] = size
        elif self.shape == "wave":
            field[:] = WAVE, size, self.frequency / scale, self.phase
        elif self.shape == "bump":
            field[:] = BUMP, size, 1 / (self.width * scale), self.centre * scale
        elif self.of == "x0":
            linear[:2] = self.size, self.size * b / sigma**2
        else:
            linear[:2] = self.size, -self.size * a / alpha if a else 0.0
        return linear, field


class Imperfect:
    """A target with a wrong model: what is sampled from starts and ends at `target`, what is asked errs.

    Goes wherever the target goes: `run`, `sample` and `density` take all errors, `law` and `strong` those that are
    affine. A model that is the exact one of another target needs none of this: give that target, and the law to
    start from as `initial`.

    Parameters
    ----------
    target : Gaussian mixture
    errors : ScoreError or sequence of them
        Each relative to the exact prediction; they add. TypeError for anything else.
    """

    def __init__(self, target: Any, errors: ScoreError | Sequence[ScoreError]) -> None:
        self.target = target
        self.errors = (errors,) if isinstance(errors, ScoreError) else tuple(errors)
        for error in self.errors:
            if not isinstance(error, ScoreError):
                raise TypeError(f"errors has {error!r}: give ScoreErrors")

    def __repr__(self) -> str:
        return f"Imperfect({self.target!r}, {self.errors!r})"

    def __getattr__(self, name: str) -> Any:
        if name in ("weights", "means", "variances", "rotations", "noised", "sample", "score", "is_gaussian"):
            return getattr(self.target, name)
        raise AttributeError(name)

    def spectrum(self) -> Any:
        """Mean and covariance of the target in its eigenbasis; ValueError unless everything is affine."""
        for error in self.errors:
            if not error.affine:
                raise ValueError(
                    f"errors has shape {error.shape!r}, under which no law stays Gaussian: use 'constant' or "
                    "'relative', or `density` or `sample`"
                )
        return self.target.spectrum()

    def denoise(self, x: Any, alpha: float, sigma: float) -> Any:
        """Return the wrong denoiser at x (n, dim), arrays of any library."""
        D = self.target.denoise(x, alpha, sigma)
        xp = array_api_compat.array_namespace(x)
        total = D
        for error in self.errors:
            linear, (kind, amplitude, rate, place) = error.terms(alpha, sigma, np.array([1.0, 0.0]))
            gain, tilt, shift = (float(v) for v in linear)
            total = total + gain * D + tilt * x + shift
            if amplitude:
                total = total + float(amplitude) * (
                    xp.sin(float(rate) * x + float(place))
                    if kind == WAVE
                    else xp.exp(-((float(rate) * (x - float(place))) ** 2) / 2)
                )
        return total


class Perturbation(NamedTuple):
    """Errors at every evaluation of a tableau: linear (N, S, 3), fields (N, S, E, 4), see `ScoreError.terms`.

    linear is (gain, tilt, shift) with the value itself counted in gain, so (1, 0, 0) is no error.
    """

    linear: Array
    fields: Array


def perturbation(packed: Packed, target: Any) -> Perturbation:
    """Tabulate a target's errors, none unless it is `Imperfect`."""
    errors = target.errors if isinstance(target, Imperfect) else ()
    N, S = packed.levels.shape[:2]
    linear, fields = np.zeros((N, S, 3)), np.zeros((N, S, len(errors), 4))
    linear[..., 0] = 1.0
    for n in range(N if errors else 0):
        for i in range(packed.counts[n, 0]):
            alpha, sigma = packed.levels[n, i]
            for e, error in enumerate(errors):
                added, fields[n, i, e] = error.terms(float(alpha), float(sigma), packed.asks[n, i])
                linear[n, i] += added
    keep = [e for e in range(len(errors)) if np.any(fields[:, :, e, 1])]
    return Perturbation(linear, np.ascontiguousarray(fields[:, :, keep]))


@njit(**COMPILED)
def field(term: Any, x: float) -> tuple[float, float]:
    """Value and derivative of a field (kind, amplitude, rate, place) at x."""
    shape, amplitude, rate, place = term[0], term[1], term[2], term[3]
    kind = term.dtype.type
    if shape == kind(WAVE):
        turns = (rate * x + place) * kind(0.5 / pi)
        quarter = floor(kind(4.0) * turns + kind(0.5))
        sine, cosine = sincospi(kind(2.0) * (turns - kind(0.25) * kind(quarter)))
        sine, cosine = in_quarter(np.int64(quarter), sine, cosine)
        return amplitude * sine, amplitude * rate * cosine
    z = rate * (x - place)
    value = amplitude * exp(-z * z * kind(0.5))
    return value, -rate * z * value


@njit(**COMPILED)
def perturb(linear: Any, fields: Any, x: Any, value: Any, slope: Any) -> None:
    """Add errors to a model's value and slope (16,) at places x (16,)."""
    gain, tilt, shift = linear[0], linear[1], linear[2]
    for l in range(len(x)):
        value[l] = gain * value[l] + tilt * x[l] + shift
        slope[l] = gain * slope[l] + tilt
        for e in range(fields.shape[0]):
            added, change = field(fields[e], x[l])
            value[l] += added
            slope[l] += change


@njit(**INNER)
def perturb_block(linear: Any, fields: Any, x: Any, value: Any) -> None:
    """Add errors to a model's value (dim, lanes) at x (dim, lanes)."""
    gain, tilt, shift = linear[0], linear[1], linear[2]
    for d in range(x.shape[0]):
        for lane in range(x.shape[1]):
            value[d, lane] = gain * value[d, lane] + tilt * x[d, lane] + shift
            for e in range(fields.shape[0]):
                value[d, lane] += field(fields[e], x[d, lane])[0]
