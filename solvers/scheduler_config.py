"""A scheduler_config.json, as pipelines of trained networks keep beside their weights: its path and its grid.

Read for what it says of noise levels: a table of betas or a flow's shift, which nodes a number of steps takes, and what
the network predicts. The solver that it names decides only how nodes are counted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

import numpy as np

from analytic import paths

from .continuous.denoiser import Denoiser, denoiser
from .grids import check
from .protocols import Array

# these count one node more and leave the last out, and space sigmas over the whole table
MULTISTEP = ("DPMSolver", "UniPC", "DEIS", "SASolver")
LINSPACE = (*MULTISTEP, "Euler", "Heun", "LMS", "KDPM2")
SPACINGS = ("leading", "linspace", "trailing")
PREDICTIONS = ("epsilon", "sample", "v_prediction", "flow_prediction")
SPACED = ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas")


@dataclass(frozen=True)
class Scheduler:
    """What a scheduler_config.json says. Call it as a grid: (path, steps) -> times, the last step to sigma = 0.

    Attributes
    ----------
    path : paths.Discrete or paths.Linear
        Times of a discrete path are the network's own index + 1, and 0 at the data.
    predicts : str
        "epsilon", "sample", "v_prediction" (alpha eps - sigma x_0) or "flow_prediction" (eps - x_0).
    settings : mapping
        The file's content.
    sequence : int or None
        Image tokens, for a shift that depends on the resolution.
    name : str
    """

    path: paths.Gaussian
    predicts: str
    settings: Mapping[str, Any]
    sequence: int | None = None
    name: str = "scheduler"

    def __call__(
        self,
        path: paths.Gaussian,
        steps: int,
        start: float | None = None,
        stop: float | None = None,
        append_zero: bool = False,
    ) -> Array:
        """Return the times of `steps` steps, (steps + 1,), the last at sigma = 0 or, with "sigma_min", at its least.

        Raises ValueError for another path than its own, for ends of one's own, and for more steps than nodes.
        """
        if path != self.path:
            raise ValueError(f"path is {path!r}: a scheduler's grid is for its own path, {self.path!r}")
        if start is not None or stop is not None or append_zero:
            raise ValueError("start, stop and append_zero are a scheduler's own: leave them out")
        if steps < 1:
            raise ValueError(f"steps is {steps}: give at least 1")
        times = self._flow(steps) if isinstance(self.path, paths.Linear) else self._spaced(steps)
        return check(self.path, times)

    @property
    def most(self) -> int:
        """The most steps there are."""
        return int(self.settings.get("num_train_timesteps", 1000))

    def denoiser(self, model: Callable[..., Any]) -> Denoiser:
        """Wrap a network (x, index) -> prediction as the executors take it; of a flow the clock is 1000 sigma."""
        T, path, predicts = self.most, self.path, self.predicts
        if isinstance(path, paths.Linear):
            return denoiser(lambda x, t: model(x, t * T), predicts="v", takes="t", path=path)
        if predicts in ("epsilon", "sample"):
            word = {"epsilon": "eps", "sample": "x0"}[predicts]
            return denoiser(lambda x, t: model(x, t - 1), predicts=word, takes="t", path=path)

        def from_angle(x: Any, t: float) -> Any:
            return float(path.alpha(t)) * x - float(path.sigma(t)) * model(x, t - 1)

        return denoiser(from_angle, predicts="x0", takes="t", path=path)

    def _is(self, *names: str) -> bool:
        return str(self.settings.get("_class_name", "")).startswith(names)

    def _indices(self, steps: int) -> Array:
        """Places in the training table, 0 .. T - 1, from noise to data."""
        settings, T = self.settings, self.most
        if steps > T:
            raise ValueError(f"steps is {steps}: the scheduler has {T} nodes")
        default = "linspace" if self._is(*LINSPACE) else "leading"
        spacing, offset = settings.get("timestep_spacing", default), int(settings.get("steps_offset", 0))
        dropped = self._is(*MULTISTEP)
        count = steps + dropped
        if spacing == "linspace":
            places = np.linspace(0, T - 1, count)[::-1]
            return np.array(places if self._is("Euler", "Heun", "LMS", "KDPM2") else np.round(places))[:steps]
        if spacing == "leading":
            return np.array((np.arange(count) * (T // count))[::-1][:steps] + offset, dtype=np.float64)
        if spacing == "trailing":
            return np.round(np.arange(T, 0, -T / steps))[:steps] - 1
        raise ValueError(f"timestep_spacing is {spacing!r}: use one of {', '.join(SPACINGS)}")

    def _spaced(self, steps: int) -> Array:
        times = self._indices(steps) + 1
        if times[0] > self.path.end:
            raise ValueError(
                f"steps_offset is {self.settings.get('steps_offset')}: {steps} steps with it start at index "
                f"{times[0] - 1:g}, beyond the table's {self.path.end - 1:g}"
            )
        if any(self.settings.get(kind) for kind in SPACED):
            ends = np.array([self.path.end, 1.0]) if self._is(*MULTISTEP) else times[[0, -1]]
            high, low = (float(np.exp(-level)) for level in self.path.log_snr(ends))
            if not np.isfinite(high):
                raise ValueError(
                    "rescale_betas_zero_snr is true, so that no spacing of sigmas reaches the first level: leave out "
                    f"{', '.join(SPACED)}"
                )
            times = np.array(self.path.time_of_log_snr(-np.log(self._sigmas(high, low, steps))))
        last = 1.0 if self._ends_above_zero() else 0.0
        return np.append(times, last) if times[-1] > last else times

    def _sigmas(self, high: float, low: float, steps: int) -> Array:
        part = np.linspace(0, 1, steps)
        if self.settings.get("use_karras_sigmas"):
            return (high ** (1 / 7) + part * (low ** (1 / 7) - high ** (1 / 7))) ** 7
        if self.settings.get("use_exponential_sigmas"):
            return np.exp(np.log(high) + part * (np.log(low) - np.log(high)))
        from scipy import stats  # which is slow to import

        return np.array(low + stats.beta.ppf(1 - part, 0.6, 0.6) * (high - low))

    def _ends_above_zero(self) -> bool:
        return self.settings.get("final_sigmas_type", "zero") == "sigma_min" or not self.settings.get(
            "set_alpha_to_one", True
        )

    def _flow(self, steps: int) -> Array:
        """Sigmas of a flow: equal steps between the shifted ends, then shifted, a static shift so twice at the end."""
        T, shift = self.most, self._shift()
        least = 1 / T if self.settings.get("use_dynamic_shifting") else shift / (T + shift - 1)
        sigmas = np.linspace(1.0, least, steps)
        return np.append(shift * sigmas / (1 + (shift - 1) * sigmas), 0.0)

    def _shift(self) -> float:
        """Return the shift: static, or exp(mu) with mu linear in the number of image tokens."""
        settings = self.settings
        if not settings.get("use_dynamic_shifting"):
            return float(settings.get("shift", settings.get("flow_shift", 1.0)))
        low, high = (
            int(settings.get(k, v)) for k, v in (("base_image_seq_len", 256), ("max_image_seq_len", 4096))
        )
        base, most = (float(settings.get(k, v)) for k, v in (("base_shift", 0.5), ("max_shift", 1.15)))
        tokens = high if self.sequence is None else self.sequence
        mu = base + (most - base) * (tokens - low) / (high - low)
        return float(np.exp(mu)) if settings.get("time_shift_type", "exponential") == "exponential" else mu


def read(file: str | FilePath, sequence: int | None = None) -> Scheduler:
    """Read a scheduler_config.json.

    Parameters
    ----------
    file : path
    sequence : int, optional
        Image tokens for a shift that depends on the resolution; the most it was trained for by default.

    Raises
    ------
    ValueError
        No JSON object, or a setting that is none of the usual ones; the message names the key and its value.
    """
    place = FilePath(file)
    try:
        settings = json.loads(place.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"path is {str(file)!r}, which is no JSON: {error}") from None
    if not isinstance(settings, dict):
        raise ValueError(f"path is {str(file)!r}, which holds no object with settings")
    return of(settings, sequence, place.name)


def of(settings: Mapping[str, Any], sequence: int | None = None, name: str = "scheduler") -> Scheduler:
    """Return the scheduler of settings as in a scheduler_config.json; errors as `read`."""
    flow = str(settings.get("_class_name", "")).startswith("FlowMatch") or bool(
        settings.get("use_flow_sigmas")
    )
    predicts = settings.get("prediction_type", "flow_prediction" if flow else "epsilon")
    if predicts not in PREDICTIONS:
        raise ValueError(f"prediction_type is {predicts!r}: use one of {', '.join(PREDICTIONS)}")
    for key in ("shift_terminal", "invert_sigmas", "use_lu_lambdas", "stochastic_sampling"):
        if settings.get(key):
            raise ValueError(f"{key} is {settings[key]!r}, which is not read here: leave it out")
    if flow:
        return Scheduler(paths.Linear(), "flow_prediction", dict(settings), sequence, name)
    if settings.get("trained_betas") is not None:
        betas = np.array(settings["trained_betas"], dtype=np.float64)
    else:
        betas = paths.discrete_betas(
            settings.get("beta_schedule", "linear"),
            float(settings.get("beta_start", 1e-4)),
            float(settings.get("beta_end", 0.02)),
            int(settings.get("num_train_timesteps", 1000)),
        )
    table = np.cumprod(1 - betas)
    if settings.get("rescale_betas_zero_snr"):
        table = paths.zero_terminal_snr(table)
    return Scheduler(paths.Discrete(table), predicts, dict(settings), sequence, name)
