"""Schedulers of diffusers, and classes of their form, in the plain form: set_timesteps, scale_model_input, step.

A scheduler chooses its nodes from a table of noise levels. Given a table that *is* the grid, it has no other choice,
so that its steps can be measured on any grid; `own` runs on the grid that it chooses by itself.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analytic import paths
from analytic.names import unknown

from .shared import RefusedError, library, lifted, modules_of, tensor

Array = NDArray[np.float64]
# so that samples are linear in the model, and a table is taken as it is given
PLAIN = {"clip_sample": False, "thresholding": False, "snr_shift_scale": 1.0}


@dataclass
class Scheduler:
    """A scheduler class in the plain form. It computes in float64 wherever it asks for float32.

    Attributes
    ----------
    kind : type
        The class.
    path : Gaussian path
    config : dict
        Of its constructor. Samples are not clipped unless it says so.
    stepping : dict
        Of its step.
    """

    kind: type
    path: paths.Gaussian
    config: dict[str, Any] = field(default_factory=dict)
    stepping: dict[str, Any] = field(default_factory=dict)

    @property
    def group(self) -> int:
        """Steps that belong together: sample and node are of one level after so many."""
        singlestep = "order_list" in inspect.getsource(self.kind)
        return int(self.config.get("solver_order", 2)) if singlestep else 1

    def __call__(self, denoise: Any, x: Array, grid: Any, normal: Any) -> Array:
        """Run on the grid's own levels; one that ends above zero is left before the step that would go to zero."""
        to_zero = grid.sigma[-1] == 0
        nodes = np.flatnonzero(grid.sigma > 0)
        with lifted(modules_of(self.kind), normal):
            scheduler = self._on(grid.alpha[nodes], grid.sigma[nodes])
            times = {float(grid.sigma[i] / grid.alpha[i]): float(grid.t[i]) for i in nodes}
            return self._walk(scheduler, self.path, denoise, x, times, to_zero)

    def own(self, denoise: Any, x: Array, steps: int, normal: Any) -> Array:
        """Run on the grid that it chooses by itself for that many steps, to its end."""
        with lifted(modules_of(self.kind), normal):
            scheduler = self._made({})
            scheduler.set_timesteps(steps)
            return self._walk(scheduler, self._own_path(scheduler), denoise, x, {}, True)

    def kept(self, dtype: str, x: Array, grid: Any) -> list[str]:
        """Return the dtypes of what a network is given, and of samples after each step, for samples of one."""
        import torch

        scheduler = self._made({})
        scheduler.set_timesteps(len(grid.t) - 1)
        sample, seen = tensor(x).to(getattr(torch, dtype)), []
        for t in scheduler.timesteps:
            shown = self._shown(scheduler, sample, t)
            done = scheduler.step(0 * shown.to(sample.dtype), t, sample, **self.stepping)
            sample = done.prev_sample if hasattr(done, "prev_sample") else done[0]
            seen += [shown.dtype, sample.dtype]
        return [str(one).removeprefix("torch.") for one in seen]

    @staticmethod
    def _shown(scheduler: Any, sample: Any, t: Any) -> Any:
        return scheduler.scale_model_input(sample, t) if hasattr(scheduler, "scale_model_input") else sample

    def own_start(self, steps: int) -> tuple[paths.Gaussian, float]:
        """Return the path of its own table, and the time on it of the grid that it chooses by itself."""
        with lifted(modules_of(self.kind), lambda: np.zeros((1, 1))):
            scheduler = self._made({})
            scheduler.set_timesteps(steps)
            path = self._own_path(scheduler)
            return path, _time_on(path, self._told(scheduler, scheduler.timesteps[0]))

    def _own_path(self, scheduler: Any) -> paths.Gaussian:
        if hasattr(scheduler, "alphas_cumprod"):
            return paths.Discrete(np.asarray(scheduler.alphas_cumprod, dtype=np.float64))
        if hasattr(scheduler, "precondition_noise"):
            return paths.EDM(float(scheduler.config.sigma_min), float(scheduler.config.sigma_max))
        return self.path if isinstance(self.path, paths.Linear) else paths.Trigonometric()

    def _made(self, table: dict[str, Any]) -> Any:
        takes = inspect.signature(self.kind).parameters
        plain = {name: value for name, value in PLAIN.items() if name in takes}
        return self.kind(**plain | table | self.config)

    def _on(self, alpha: Array, sigma: Array) -> Any:
        """Return the scheduler with its steps set to the given levels, from noise to data."""
        takes, n = inspect.signature(self.kind).parameters, len(sigma)
        if "trained_betas" not in takes:
            return self._arranged(alpha, sigma)
        if not self._has_alphas_cumprod():
            scheduler = self._made({"trained_betas": [*sigma.tolist(), 0.0]})
            scheduler.set_timesteps(n)
            return scheduler
        kappa = sigma / alpha
        for levels, spacing in _tables(kappa):
            rising = 1 / (1 + levels[::-1] ** 2)
            betas = 1 - np.concatenate([rising[:1], rising[1:] / rising[:-1]])
            given = {"trained_betas": betas.tolist(), "num_train_timesteps": len(betas)}
            if "original_inference_steps" in takes:  # of consistency models: all of the table
                given["original_inference_steps"] = len(betas)
            spaced = {"timestep_spacing": spacing} if "timestep_spacing" in takes else {}
            scheduler = self._made(given | spaced)
            scheduler.set_timesteps(n)
            told = np.array([self._told(scheduler, t) for t in scheduler.timesteps])
            asks_between = len(getattr(scheduler, "prk_timesteps", ())) > 0
            # what the network is told, and, where the scheduler keeps them apart, the levels of its steps
            steps = np.asarray(getattr(scheduler, "sigmas", told), dtype=np.float64)
            on_nodes = all(np.min(np.abs(own / level - 1)) < 1e-9 for level in kappa for own in (told, steps))
            if on_nodes and asks_between == (len(levels) == 2 * n):
                return scheduler
        raise RefusedError(
            f"{self.kind.__name__} does not take its nodes from its table: it cannot be put on a grid"
        )

    def _arranged(self, alpha: Array, sigma: Array) -> Any:
        """Put the grid's levels where the scheduler has its own, in the same order."""
        scheduler = self._made({})
        scheduler.set_timesteps(len(sigma))
        own = np.asarray(scheduler.sigmas, dtype=np.float64)
        levels = -np.unique(-own[own > 0])
        if len(levels) != len(sigma):
            raise RefusedError(
                f"{self.kind.__name__} has {len(levels)} levels for {len(sigma)} steps: it cannot be put on a grid"
            )
        value = sigma if isinstance(self.path, paths.Linear) else sigma / alpha
        rank = [int(np.argmin(np.abs(levels - level))) for level in own]
        new = np.where(own > 0, value[rank], 0.0)
        asked = len(scheduler.timesteps)
        scheduler.sigmas = tensor(new)
        told = tensor(new[:asked])
        if hasattr(scheduler, "precondition_noise"):
            scheduler.timesteps = scheduler.precondition_noise(told)
        else:
            scheduler.timesteps = told * scheduler.config.num_train_timesteps
        return scheduler

    def _has_alphas_cumprod(self) -> bool:
        return "alphas_cumprod" in inspect.getsource(self.kind)

    def _told(self, scheduler: Any, timestep: Any) -> float:
        """Return the sigma/alpha that a timestep tells the model."""
        t = float(timestep)
        if hasattr(scheduler, "precondition_noise"):
            sigmas = scheduler.sigmas[scheduler.sigmas > 0]
            near = int(np.argmin(np.abs(np.asarray(scheduler.precondition_noise(sigmas)) - t)))
            return float(sigmas[near])
        if isinstance(self.path, paths.Linear):
            level = t / scheduler.config.num_train_timesteps
            return level / (1 - level) if level < 1 else np.inf
        if not hasattr(scheduler, "alphas_cumprod"):  # an angle
            return float(np.tan(t * np.pi / 2))
        table = np.asarray(scheduler.alphas_cumprod, dtype=np.float64)
        logs = np.log1p(-table) / 2 - np.log(table) / 2
        return float(np.exp(np.interp(t, np.arange(len(table)), logs)))

    def _walk(
        self,
        scheduler: Any,
        path: paths.Gaussian,
        denoise: Any,
        x: Array,
        times: dict[float, float],
        to_zero: bool,
    ) -> Array:
        """Step through the scheduler's timesteps; `times` has those of known levels, to the bit."""
        import torch

        def time_of(kappa: float) -> float:
            near = min(times, key=lambda level: abs(level / kappa - 1)) if times else 0.0
            return times[near] if near and abs(near / kappa - 1) < 1e-9 else _time_on(path, kappa)

        # samples are those of the path, or those over alpha: what the model's input is scaled by tells
        preconditioned = hasattr(scheduler, "precondition_noise")

        timesteps = list(scheduler.timesteps)
        sample = tensor(x)
        if not preconditioned:
            sample = sample / self._shown(scheduler, torch.ones(1, dtype=torch.float64), timesteps[0])
        self._rewind(scheduler)
        for index, t in enumerate(timesteps):
            shown = self._shown(scheduler, sample, t)
            kappa = self._told(scheduler, t)
            place = sample if preconditioned else shown
            time = time_of(kappa)
            if index == len(timesteps) - 1 and not to_zero:
                return np.asarray(place.numpy())
            D = tensor(denoise(place.numpy(), time))
            output = self._output(scheduler, place, D, float(path.alpha(time)), float(path.sigma(time)))
            done = scheduler.step(output, t, sample, **self.stepping)
            sample = done.prev_sample if hasattr(done, "prev_sample") else done[0]
        return np.asarray(sample.numpy())

    @staticmethod
    def _rewind(scheduler: Any) -> None:
        """Let the first step begin where it has not been asked yet."""
        if hasattr(scheduler, "_step_index"):
            scheduler._step_index = None

    def _output(self, scheduler: Any, x: Any, D: Any, alpha: float, sigma: float) -> Any:
        """Return what a network of the scheduler's kind would predict."""
        import torch

        if hasattr(scheduler, "precondition_outputs"):
            level = torch.tensor(sigma, dtype=torch.float64)
            none = scheduler.precondition_outputs(x, torch.zeros_like(x), level)
            one = scheduler.precondition_outputs(x, torch.ones_like(x), level)
            return (D - none) / (one - none)
        eps = (x - alpha * D) / sigma
        if isinstance(self.path, paths.Linear):
            return eps - D
        angle = not hasattr(scheduler, "alphas_cumprod")
        word = "v_prediction" if angle else getattr(scheduler.config, "prediction_type", "epsilon")
        return {"epsilon": eps, "sample": D, "v_prediction": alpha * eps - sigma * D}[word]


def _time_on(path: paths.Gaussian, kappa: float) -> float:
    """Return the time of a level sigma/alpha, infinite where alpha is 0."""
    return float(path.end) if kappa == np.inf else float(path.time_of_log_snr(-np.log(kappa)))


def _tables(kappa: Array) -> Iterator[tuple[Array, str]]:
    """Yield tables of sigma/alpha, from noise to data, of which schedulers choose the given levels, and their spacing.

    The levels themselves; with one more below, for those that count a node more and leave the last out; with one
    between any two, for those that ask there.
    """
    yield kappa, "linspace"
    yield np.append(kappa, 0.9 * kappa[-1]), "linspace"
    between = np.sqrt(kappa[:-1] * kappa[1:])
    above = 1.1 * kappa[0]
    yield np.concatenate([[above], np.stack([kappa[:-1], between], axis=1).ravel(), kappa[-1:]]), "leading"


def path_of(kind: type) -> paths.Gaussian:
    """Return the path that a scheduler class is for: that of flows, of EDM, or of tables of betas."""
    if hasattr(kind, "precondition_outputs"):
        return paths.EDM(0.02, 20)
    if "trained_betas" in inspect.signature(kind).parameters:
        return paths.VP()
    return paths.Linear()


def of_class(kind: type, path: paths.Gaussian, options: dict[str, Any]) -> Scheduler:
    """Return a scheduler class in the plain form; options are those of its constructor and of its step.

    Raises ValueError for an option that is neither's.
    """
    made = inspect.signature(kind).parameters
    stepped = inspect.signature(kind.step).parameters  # type: ignore[attr-defined]
    own = {*made, *stepped} - {"self", "model_output", "timestep", "sample", "generator", "return_dict"}
    for name in options:
        if name not in own:
            raise unknown(f"option of {kind.__name__}", name, sorted(own))
    config = {name: value for name, value in options.items() if name in made}
    return Scheduler(kind, path, config, {name: options[name] for name in options if name not in made})


def kind_of(name: str) -> type:
    """Return a scheduler class of diffusers. Raises ValueError if it is not installed, or has none of that name."""
    schedulers = library("diffusers", "diffusers.schedulers")
    kind = getattr(schedulers, name, None)
    if not isinstance(kind, type) or not hasattr(kind, "step"):
        raise unknown("sampler", name, [word for word in dir(schedulers) if word.endswith("Scheduler")])
    return kind


def named(name: str, path: paths.Gaussian, options: dict[str, Any]) -> Scheduler:
    """Return a scheduler of diffusers by name; ValueError as `kind_of` and `of_class`."""
    return of_class(kind_of(name), path, options)
