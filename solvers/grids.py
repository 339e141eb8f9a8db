"""Grids of times, strictly decreasing from start to stop.

All take (path, steps, start=None, stop=None, append_zero=False): `steps` intervals between the path's
default start and stop or the times given, both met exactly; `append_zero` adds one more node at t = 0,
where sigma is 0. Returned are float64 arrays of shape (steps + 1,), or (steps + 2,) with the zero. All
raise TypeError for steps that are no integer and ValueError for steps < 1, times not in 0 <= stop < start
<= path.end, a zero that cannot be appended, a parameter out of its range, and a grid too fine for float64.
`uniform`, `power`, `geometric`, `cosine` and `two_sided` space the times themselves, so they serve every process that
has a clock; the others space noise levels and need a Gaussian path.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import scipy

from .protocols import Array, Clock, Path, noising


def uniform(
    path: Clock, steps: int, start: float | None = None, stop: float | None = None, append_zero: bool = False
) -> Array:
    """Equal steps in t."""
    steps, start, stop = _request(path, steps, start, stop)
    return _finish(path, start + (stop - start) * _fractions(steps), start, stop, append_zero)


def power(
    path: Clock,
    steps: int,
    start: float | None = None,
    stop: float | None = None,
    append_zero: bool = False,
    *,
    exponent: float = 2.0,
) -> Array:
    """Equal steps in t^(1/exponent), so dense near the data for exponents above 1.

    Exponent 2 is the quadratic grid of Song et al. 2021 (DDIM), appendix D.2, under the name `quadratic` too.
    """
    steps, start, stop = _request(path, steps, start, stop)
    _positive("exponent", exponent)
    first, last = start ** (1 / exponent), stop ** (1 / exponent)
    return _finish(path, (first + (last - first) * _fractions(steps)) ** exponent, start, stop, append_zero)


quadratic = power


def geometric(
    path: Clock, steps: int, start: float | None = None, stop: float | None = None, append_zero: bool = False
) -> Array:
    """Times in a constant ratio, t_i = start (stop/start)^(i/steps), very dense near the data.

    The grid for noises on tokens, whose reverse rates grow as 1/t. Stop must be above 0; ValueError if not.
    Chen and Ying 2024, section 4; Ren et al. 2025, section 4.
    """
    steps, start, stop = _request(path, steps, start, stop)
    if stop <= 0:
        raise ValueError(f"stop is {stop}, which no ratio reaches from {start}: stop at a time above 0")
    return _finish(path, start * (stop / start) ** _fractions(steps), start, stop, append_zero)


def cosine(
    path: Clock, steps: int, start: float | None = None, stop: float | None = None, append_zero: bool = False
) -> Array:
    """Times on a quarter cosine, t_i = stop + (start - stop) cos(pi i/(2 steps)), dense near the noise.

    With [stop, start] = [0, 1] these are the mask rates of Chang et al. 2022 (MaskGIT), section 3.3, and
    the cosine grid of discrete diffusion; the curve is the one Nichol and Dhariwal 2021 give to alpha.
    """
    steps, start, stop = _request(path, steps, start, stop)
    # cos(pi u/2) as a sine of the distance to the end, which is exactly 0 there.
    times = stop + (start - stop) * np.sin(np.pi / 2 * (1 - _fractions(steps)))
    return _finish(path, times, start, stop, append_zero)


def two_sided(
    path: Clock,
    steps: int,
    start: float | None = None,
    stop: float | None = None,
    append_zero: bool = False,
    *,
    exponent: float = 3.5,
) -> Array:
    """Times dense near both ends, where they close in as i^exponent: t_i = stop + (start - stop) u^p/(u^p + (1 - u)^p).

    u = 1 - i/steps, p the exponent; p = 1 is `uniform`. For bridges, whose noise grows like the square root of the time
    from either end.
    """
    steps, start, stop = _request(path, steps, start, stop)
    _positive("exponent", exponent)
    part = _fractions(steps)
    near, far = part**exponent, (1 - part) ** exponent
    # each half from its own end, of which it keeps the distance
    times = np.where(
        part < 0.5,
        start - (start - stop) * near / (near + far),
        stop + (start - stop) * far / (near + far),
    )
    return _finish(path, times, start, stop, append_zero)


def log_snr(
    path: Path, steps: int, start: float | None = None, stop: float | None = None, append_zero: bool = False
) -> Array:
    """Equal steps in log-SNR, which is geometric in sigma/alpha: the name `exponential` means the same grid.

    The log-SNR must be finite at start and stop; ValueError if not. Lu et al. 2022 (DPM-Solver), section 3.
    """
    steps, start, stop = _request(path, steps, start, stop)
    first, last = _finite_ends(path, start, stop)
    return _by_log_snr(path, first + (last - first) * _fractions(steps), start, stop, append_zero)


exponential = log_snr


def karras(
    path: Path,
    steps: int,
    start: float | None = None,
    stop: float | None = None,
    append_zero: bool = False,
    *,
    rho: float = 7.0,
) -> Array:
    """Equal steps in (sigma/alpha)^(1/rho); tends to `log_snr` for large rho.

    The log-SNR must be finite at start and stop; ValueError if not. Karras et al. 2022, eq. 5.
    """
    steps, start, stop = _request(path, steps, start, stop)
    _positive("rho", rho)
    first, last = _finite_ends(path, start, stop)
    # Scaled by the level at the start, so that no power overflows.
    part = _fractions(steps)
    levels = first - rho * np.log(1 - part + part * np.exp((first - last) / rho))
    return _by_log_snr(path, levels, start, stop, append_zero)


def polyexponential(
    path: Path,
    steps: int,
    start: float | None = None,
    stop: float | None = None,
    append_zero: bool = False,
    *,
    rho: float = 1.0,
) -> Array:
    """Log-SNR along a power of a ramp, l_i = l_stop + (l_start - l_stop) (1 - i/steps)^rho.

    It is `log_snr` for rho 1. Dense near the data for rho above 1. The log-SNR must be finite at start and
    stop; ValueError if not. The form is that of the k-diffusion library.
    """
    steps, start, stop = _request(path, steps, start, stop)
    _positive("rho", rho)
    first, last = _finite_ends(path, start, stop)
    return _by_log_snr(path, last + (first - last) * (1 - _fractions(steps)) ** rho, start, stop, append_zero)


def shifted(
    path: Path,
    steps: int,
    start: float | None = None,
    stop: float | None = None,
    append_zero: bool = False,
    *,
    shift: float = 3.0,
) -> Array:
    """Equal steps in u, then shift u/(1 + (shift - 1) u), where u = sigma/(alpha + sigma).

    The shift multiplies sigma/alpha by a constant, so shifts above 1 are dense near the noise. On the
    `Linear` path u = t and this is the timestep shift of flow models; on others the shift of their log-SNR
    is the same. The range of u is chosen such that the shifted ends are start and stop. Start may have
    alpha = 0, stop may have sigma = 0.

    References
    ----------
    Esser et al. 2024 (Stable Diffusion 3), eq. 23.
    """
    steps, start, stop = _request(path, steps, start, stop)
    _positive("shift", shift)
    ends = _log_snr(path, np.array([start, stop])) + np.log(shift)
    part = _fractions(steps)
    # u and 1 - u apart: each keeps its relative accuracy at its own end.
    noise = scipy.special.expit(-ends[0]) * (1 - part) + scipy.special.expit(-ends[1]) * part
    data = scipy.special.expit(ends[0]) * (1 - part) + scipy.special.expit(ends[1]) * part
    with np.errstate(divide="ignore"):
        levels = np.log(data) - np.log(noise) - np.log(shift)
    return _by_log_snr(path, levels, start, stop, append_zero)


def explicit(path: Clock, times: npt.ArrayLike) -> Array:
    """Return a copy of one's own times as a grid; raises as `check` does."""
    return check(path, times).copy()


def check(path: Clock, times: npt.ArrayLike) -> Array:
    """Return `times` as a float64 array if it is a grid of the path.

    Raises TypeError if the path has no clock or the times are not numbers, and ValueError unless they are a
    1-D array of at least 2 finite, strictly decreasing times in [0, path.end] whose log-SNR, on a Gaussian
    path, strictly increases.
    """
    _clock(path)
    try:
        grid = np.asarray(times, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"grid is {times!r}; pass a 1-D array of times") from error
    if grid.ndim != 1 or grid.size < 2:
        raise ValueError(f"grid has shape {grid.shape}; pass a 1-D array of at least 2 times")
    if not np.isfinite(grid).all():
        i = int(np.argmin(np.isfinite(grid)))
        raise ValueError(f"grid[{i}] is {grid[i]}; pass finite times")
    flat = np.diff(grid) >= 0
    if flat.any():
        i = int(np.argmax(flat))
        raise ValueError(
            f"grid[{i}] is {grid[i]} and grid[{i + 1}] is {grid[i + 1]}; times must strictly decrease, "
            "from noise to data: reverse them, or take fewer steps"
        )
    if grid[0] > path.end or grid[-1] < 0:
        raise ValueError(
            f"grid runs from {grid[0]:g} to {grid[-1]:g}, outside the times [0, {path.end:g}] of {path!r}; "
            "stay inside them"
        )
    if isinstance(path, Path) and noising(path):
        levels = path.log_snr(grid)
        with np.errstate(invalid="ignore"):
            flat = ~(np.diff(levels) > 0)
        if flat.any():
            i = int(np.argmax(flat))
            raise ValueError(
                f"grid has the same noise level to rounding at grid[{i}] = {grid[i]} and grid[{i + 1}] = "
                f"{grid[i + 1]} (log-SNR {levels[i]:g}); take fewer steps or a later stop"
            )
    return grid


def _clock(path: object) -> None:
    if not isinstance(path, Clock):
        raise TypeError(f"path is {path!r}; pass a path such as analytic.paths.VP()")


def _request(path: Clock, steps: int, start: float | None, stop: float | None) -> tuple[int, float, float]:
    """Return the number of steps and the two end times, validated."""
    _clock(path)
    try:
        if isinstance(steps, bool | np.bool_):
            raise TypeError
        count = operator.index(steps)
    except TypeError:
        raise TypeError(f"steps is {steps!r}; pass an integer of at least 1") from None
    if count < 1:
        raise ValueError(f"steps is {steps!r}; pass an integer of at least 1")
    first = path.start if start is None else _number("start", start)
    last = path.stop if stop is None else _number("stop", stop)
    if not (0 <= last < first <= path.end and first < np.inf):
        raise ValueError(
            f"start is {first!r} and stop is {last!r}; pass finite times with 0 <= stop < start "
            f"<= {path.end:g} for {path!r}"
        )
    return count, first, last


def _number(name: str, value: object) -> float:
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{name} is {value!r}; pass a number")
    return float(value)


def _positive(name: str, value: object) -> None:
    if not 0 < _number(name, value) < np.inf:
        raise ValueError(f"{name} is {value!r}; pass a finite number above 0")


def _fractions(steps: int) -> Array:
    return np.arange(steps + 1) / steps


def _log_snr(path: Path, times: Array) -> Array:
    if not isinstance(path, Path):
        raise TypeError(f"path is {path!r}, which has no log-SNR; use the grids uniform, power or cosine")
    return path.log_snr(times)


def _finite_ends(path: Path, start: float, stop: float) -> tuple[float, float]:
    """Log-SNR at start and stop, finite."""
    first, last = _log_snr(path, np.array([start, stop])).tolist()
    for name, time, level, way in (("start", start, first, "below"), ("stop", stop, last, "above")):
        if not np.isfinite(level):
            raise ValueError(
                f"{name} is {time!r}, where the log-SNR of {path!r} is {level}; pass {name}= {way} it"
                + (", and append_zero=True to end at sigma = 0" if name == "stop" else "")
            )
    return first, last


def _by_log_snr(path: Path, levels: Array, start: float, stop: float, append_zero: bool) -> Array:
    times = np.array(path.time_of_log_snr(levels[1:-1]))
    return _finish(path, np.concatenate([[start], times, [stop]]), start, stop, append_zero)


def _finish(path: Clock, times: Array, start: float, stop: float, append_zero: bool) -> Array:
    """Set the ends exactly, append the zero, and check."""
    times[0], times[-1] = start, stop
    if append_zero:
        if stop == 0:
            raise ValueError(
                "append_zero is True, but stop is 0 already; pass a stop above 0 or leave append_zero out"
            )
        if isinstance(path, Path) and path.sigma(0.0) != 0:
            raise ValueError(
                f"append_zero is True, but sigma is {float(path.sigma(0.0)):g} at t = 0 on {path!r}; "
                "take a path that reaches sigma = 0, such as analytic.paths.EDM"
            )
        times = np.append(times, 0.0)
    return check(path, times)


catalogue: Mapping[str, Callable[..., Array]] = MappingProxyType(
    {
        "uniform": uniform,
        "power": power,
        "geometric": geometric,
        "log-snr": log_snr,
        "karras": karras,
        "exponential": exponential,
        "polyexponential": polyexponential,
        "cosine": cosine,
        "two-sided": two_sided,
        "shifted": shifted,
    }
)
