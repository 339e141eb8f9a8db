"""The Gaussian path x_t = alpha(t) x_0 + sigma(t) eps: what all share, and one's own from two callables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import scipy

Array = npt.NDArray[np.float64]
Function = Callable[[Array], npt.ArrayLike]

EPSILON = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Prior:
    """The law N(0, deviation^2 I) from which sampling conventionally starts."""

    deviation: float


def positive(name: str, value: object) -> float:
    """Return `value` as a float if it is a finite number above zero.

    Raises TypeError if it is no real number, ValueError if it is not finite or not above zero.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{name} is {value!r}; pass a number above 0")
    if not 0 < value < np.inf:
        raise ValueError(f"{name} is {value!r}; pass a finite number above 0")
    return float(value)


def ordered(low: str, high: str, low_value: object, high_value: object, *, strict: bool = False) -> None:
    """Raise as `positive` does, and ValueError unless low <= high (low < high if strict)."""
    first, second = positive(low, low_value), positive(high, high_value)
    if first > second or (strict and first == second):
        raise ValueError(f"{low} is {low_value!r}, not below {high} = {high_value!r}; pass a smaller {low}")


class Gaussian:
    """A path given by one's own alpha and sigma, and the base of all closed-form paths.

    Time runs from the data, t = 0, to the noise. Methods take a float or an array of any shape and return
    float64 of that shape; at sigma = 0 and alpha = 0 they return the limits (log-SNR +inf and -inf).
    Paths are immutable, and equal if of one class with equal parameters.

    Parameters
    ----------
    alpha, sigma : callable
        Scales of data and noise, elementwise functions of a float64 array of times on [0, end]. Must be
        finite and non-negative, with a log-SNR that strictly decreases on [stop, end]; ValueError if not.
    d_alpha, d_sigma : callable, optional
        Their derivatives, ValueError where they disagree with finite differences; by default finite
        differences, good to about 1e-9 (1 + |slope|) inside (0, end) for a path of scale 1.
    start, stop : float
        Default times at which sampling starts and stops.
    end : float, optional
        Largest time of the path, by default `start`.
    name : str
        What tables call the path.

    Notes
    -----
    The conventional prior has the deviation sigma(t): the data term is dropped. The inverse of the log-SNR is
    found by bracketing on [0, end]. Close to sigma = 0 both are as accurate as the callables, so write
    sigma = sqrt(-expm1(-b)), not sqrt(1 - exp(-b)).
    """

    process: ClassVar[str] = "noising"  # what methods must be made for to run on it
    grid: ClassVar[str] = "karras"  # name of the grid that suits it where none is named

    name: str
    start: float
    stop: float
    end: float
    _domain: tuple[float, float]
    _parameters: dict[str, Any]

    def __init__(
        self,
        alpha: Function,
        sigma: Function,
        d_alpha: Function | None = None,
        d_sigma: Function | None = None,
        *,
        start: float = 1.0,
        stop: float = 1e-3,
        end: float | None = None,
        name: str = "gaussian",
    ) -> None:
        functions = {"alpha": alpha, "sigma": sigma, "d_alpha": d_alpha, "d_sigma": d_sigma}
        for key, function in functions.items():
            if not callable(function) and not (function is None and key.startswith("d_")):
                raise TypeError(f"{key} is {function!r}; pass a function of an array of times")
        start = positive("start", start)
        end = start if end is None else positive("end", end)
        stop = 0.0 if stop == 0 else positive("stop", stop)
        if not stop < start <= end:
            raise ValueError(
                f"start is {start!r}, stop {stop!r}, end {end!r}; times need 0 <= stop < start <= end"
            )
        object.__setattr__(self, "_parameters", functions | {"start": start, "stop": stop, "end": end})
        self._fix(name=name, start=start, stop=stop, end=end, domain=(0.0, end))
        self._validate()

    def _fix(
        self, *, name: str, start: float, stop: float, end: float, domain: tuple[float, float] | None = None
    ) -> None:
        """Set name and times once; `domain` is where the formulas hold, [0, end] unless they hold further."""
        values = {"name": name, "start": start, "stop": stop, "end": end, "_domain": domain or (0.0, end)}
        for key, value in values.items():
            object.__setattr__(self, key, value)

    def __setattr__(self, name: str, value: object) -> None:
        """Refuse: paths are immutable."""
        raise FrozenInstanceError(f"cannot assign to {name!r}: paths are immutable, build another one")

    def __delattr__(self, name: str) -> None:
        """Refuse: paths are immutable."""
        raise FrozenInstanceError(f"cannot delete {name!r}: paths are immutable, build another one")

    def __eq__(self, other: object) -> bool:
        """Equal class, equal parameters."""
        if type(other) is not type(self):
            return NotImplemented
        return bool(self.name == other.name and self._parameters == other._parameters)

    def __hash__(self) -> int:
        """Hash of the parameters."""
        return hash((type(self), self.name, *self._parameters.values()))

    def __repr__(self) -> str:
        """Show the parameters, functions by their names."""
        shown = {k: getattr(v, "__name__", v) for k, v in self._parameters.items() if v is not None}
        return f"{type(self).__name__}({', '.join(f'{k}={v}' for k, v in shown.items())}, name={self.name!r})"

    def alpha(self, t: npt.ArrayLike) -> Array:
        """Scale of the data at time t."""
        return self._apply(self._alpha, t)

    def sigma(self, t: npt.ArrayLike) -> Array:
        """Scale of the noise at time t."""
        return self._apply(self._sigma, t)

    def d_alpha(self, t: npt.ArrayLike) -> Array:
        """Derivative of alpha in t."""
        return self._apply(self._d_alpha, t)

    def d_sigma(self, t: npt.ArrayLike) -> Array:
        """Derivative of sigma in t."""
        return self._apply(self._d_sigma, t)

    def log_snr(self, t: npt.ArrayLike) -> Array:
        """Half the log signal-to-noise ratio, log(alpha/sigma), at time t."""
        return self._apply(self._log_snr, t)

    def d_log_snr(self, t: npt.ArrayLike) -> Array:
        """Derivative of the log-SNR in t."""
        return self._apply(self._d_log_snr, t)

    def f(self, t: npt.ArrayLike) -> Array:
        """Drift rate f = alpha'/alpha of the forward SDE dx = f x dt + g dW."""
        return self._apply(self._f, t)

    def g2(self, t: npt.ArrayLike) -> Array:
        """Squared diffusion g^2 = -2 sigma^2 (log-SNR)' of the forward SDE dx = f x dt + g dW."""
        return self._apply(self._g2, t)

    def prior_deviation(self, t: npt.ArrayLike) -> Array:
        """Standard deviation of the conventional prior when sampling starts at time t."""
        return self._apply(self._prior_deviation, t)

    def time_of_log_snr(self, log_snr: npt.ArrayLike) -> Array:
        """Time at which the log-SNR has the given value.

        +inf and -inf give the times of sigma = 0 and of alpha = 0. Raises ValueError for nan and for values
        the path never takes.
        """
        values = _numbers("log_snr", log_snr)
        with np.errstate(all="ignore"):
            return self._time_of_log_snr(values.reshape(-1)).reshape(values.shape)[()]

    @property
    def prior(self) -> Prior:
        """The conventional prior at the path's default start."""
        return Prior(float(self.prior_deviation(self.start)))

    def _apply(self, function: Callable[[Array], Array], t: npt.ArrayLike) -> Array:
        times = _numbers("t", t)
        low, high = self._domain
        outside = (times < low) | (times > high)
        if outside.any():
            raise ValueError(
                f"t is {times[outside].flat[0]}, outside [{low:g}, {high:g}] where {self!r} is defined; "
                "time runs from the data, t = 0, to the noise"
            )
        # Infinite slopes and log-SNRs at the ends are the right values, not accidents.
        with np.errstate(all="ignore"):
            return function(times.reshape(-1)).reshape(times.shape)[()]

    # What the closed forms override, for flat float64 arrays.

    def _alpha(self, t: Array) -> Array:
        return self._call("alpha", t)

    def _sigma(self, t: Array) -> Array:
        return self._call("sigma", t)

    def _d_alpha(self, t: Array) -> Array:
        return self._call("d_alpha", t) if self._parameters["d_alpha"] else self._difference("alpha", t)

    def _d_sigma(self, t: Array) -> Array:
        return self._call("d_sigma", t) if self._parameters["d_sigma"] else self._difference("sigma", t)

    def _log_snr(self, t: Array) -> Array:
        return np.log(self._alpha(t)) - np.log(self._sigma(t))

    def _d_log_snr(self, t: Array) -> Array:
        return self._d_alpha(t) / self._alpha(t) - self._d_sigma(t) / self._sigma(t)

    def _f(self, t: Array) -> Array:
        return self._d_alpha(t) / self._alpha(t)

    def _g2(self, t: Array) -> Array:
        # -2 sigma^2 (log-SNR)' with the sigma cancelled, so that it stays finite at sigma = 0.
        sigma = self._sigma(t)
        return 2 * sigma * (self._d_sigma(t) - sigma * self._f(t))

    def _prior_deviation(self, t: Array) -> Array:
        return self._sigma(t)

    def _time_of_log_snr(self, log_snr: Array) -> Array:
        # The root of alpha sin(a) - sigma cos(a) with cot(a) = exp(log_snr): bounded, and both terms keep
        # their relative accuracy where alpha or sigma vanishes, which a difference of log-SNRs does not.
        from scipy.optimize.elementwise import find_root  # which is slow to import

        cosine, sine = np.sqrt(scipy.special.expit(2 * log_snr)), np.sqrt(scipy.special.expit(-2 * log_snr))

        def gap(t: Array, cosine: Array, sine: Array) -> Array:
            return self._alpha(t) * sine - self._sigma(t) * cosine

        first, last = np.zeros_like(log_snr), np.full_like(log_snr, self.end)
        margin_first = gap(first, cosine, sine)
        margin_last = gap(last, cosine, sine)
        # What rounding the log-SNR of an end does to the gap there.
        slack = 2 * EPSILON * (2 + np.minimum(np.abs(log_snr), 700))
        outside = (margin_first < -slack * self._sigma(first) * cosine) | (
            margin_last > slack * self._alpha(last) * sine
        )
        if outside.any():
            ends = self._log_snr(np.array([self.end, 0.0]))
            raise ValueError(
                f"log_snr is {log_snr[outside][0]}, outside the range [{ends[0]:g}, {ends[1]:g}] of "
                f"{self!r}; stay inside it or extend the path"
            )
        inside = (margin_first > 0) & (margin_last < 0)
        times = np.where(margin_first <= 0, 0.0, self.end)
        if inside.any():
            bracket = (first[inside], last[inside])
            found = find_root(gap, bracket, args=(cosine[inside], sine[inside]))
            if not found.success.all():
                raise ValueError(
                    f"log_snr of {self!r} could not be inverted; its alpha and sigma must be continuous"
                )
            times[inside] = found.x
        return times

    def _call(self, name: str, t: Array) -> Array:
        try:
            values = np.asarray(self._parameters[name](t), dtype=np.float64)
            values = np.array(np.broadcast_to(values, t.shape))
        except (TypeError, ValueError) as error:
            raise type(error)(
                f"{name} failed on an array of times of shape {t.shape} ({error}); write it with numpy "
                "functions, or wrap it in numpy.vectorize"
            ) from error
        # A slope may be infinite at an end (sqrt(t) at 0); a scale may not.
        wrong = np.isnan(values) if name.startswith("d_") else ~(np.isfinite(values) & (values >= 0))
        if wrong.any():
            need = "a number" if name.startswith("d_") else "finite and non-negative"
            raise ValueError(
                f"{name} is {values[wrong][0]} at t = {t[wrong][0]}; it must be {need} on [0, {self.end:g}]"
            )
        return values

    def _difference(self, name: str, t: Array) -> Array:
        """Derivative by finite differences that stay inside [0, end]."""
        from scipy.differentiate import derivative  # which is slow to import

        # Near an end, small central steps suit functions that vary on the scale of the distance to it, as
        # sqrt(t) does, and larger steps inwards suit smooth ones, as 1 - t; the error estimates decide.
        room, wide = np.minimum(t, self.end - t), np.full_like(t, self.end / 8)
        inwards = np.where(2 * t < self.end, 1, -1)
        value = self._call(name, t)
        slopes, errors = [], []
        for step, direction in (
            (np.where(room > 0, room / 2, wide), np.where(room > 0, 0, inwards)),
            (wide, inwards),
        ):
            found = derivative(
                lambda x: self._call(name, np.clip(x, 0.0, self.end)),
                t,
                initial_step=step,
                step_direction=direction,
                tolerances={"rtol": 1e-14, "atol": 0.0},
            )
            # The estimate compares two differences and may vanish by chance: add what rounding alone does.
            rounding = EPSILON * (value + t * np.abs(found.df)) / (step / 2.0**found.nit)
            slopes.append(found.df)
            errors.append(np.nan_to_num(found.error + rounding, nan=np.inf))
        slope = np.where(errors[0] <= errors[1], *slopes)
        bad = ~(np.minimum(*errors) <= 1e-6 * (np.abs(slope) + value))
        if bad.any():
            raise ValueError(f"{name} has no reliable finite difference at t = {t[bad][0]}; pass d_{name}")
        return np.asarray(slope, dtype=np.float64)

    @np.errstate(all="ignore")
    def _validate(self) -> None:
        """Check the callables on a few hundred times; ValueError names what is wrong and where."""
        t = np.linspace(self.stop, self.end, 129)
        if self.stop > 0:
            t = np.unique(np.concatenate([t, np.geomspace(self.stop, self.end, 129)[1:-1]]))
        log_snr = self.log_snr(t)
        rising = ~(np.diff(log_snr) < 0)
        if rising.any():
            i = int(np.argmax(rising))
            raise ValueError(
                f"alpha and sigma give log-SNR {log_snr[i]:g} at t = {t[i]:g} and {log_snr[i + 1]:g} at "
                f"t = {t[i + 1]:g}; it must strictly decrease on [stop, end] = [{self.stop:g}, "
                f"{self.end:g}], with t = 0 at the data"
            )
        t = np.linspace(self.stop, self.end, 18)[1:-1]
        for name in ("alpha", "sigma"):
            if self._parameters[f"d_{name}"] is None:
                continue
            given, found = self._call(f"d_{name}", t), self._difference(name, t)
            wrong = np.abs(given - found) > 1e-4 * (np.abs(found) + self._call(name, t))
            if wrong.any():
                raise ValueError(
                    f"d_{name} is {given[wrong][0]:g} at t = {t[wrong][0]:g}, but {name} has the slope "
                    f"{found[wrong][0]:g} there; correct it or leave it out"
                )


class UnitPrior(Gaussian):
    """A path whose conventional prior is N(0, I) wherever sampling starts."""

    def _prior_deviation(self, t: Array) -> Array:
        return np.ones_like(t)


def _numbers(name: str, values: npt.ArrayLike) -> Array:
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} is {values!r}; pass a number or an array of numbers") from error
    if np.isnan(numbers).any():
        raise ValueError(f"{name} is nan in at least one place; pass numbers")
    return numbers
