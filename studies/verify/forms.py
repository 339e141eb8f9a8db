"""What a user names, as a callable: a file's function or class in its form, a library's sampler, a method."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analytic import chains, paths, sequences
from solvers import Tableau, denoiser, law, run

from ..setting import Job
from ..specifications import is_file, job_of, object_of, split
from .adapters import LIBRARIES, RefusedError, k_diffusion, schedulers, steppers
from .adapters.modules import InTorch

Array = NDArray[np.float64]
DEFAULT = "sampler"


def taken(where: str, path: paths.Gaussian) -> Callable[..., Any]:
    """Return a named sampler in the plain form."""
    if is_file(where):
        return _of_file(where, path)
    library, _, rest = where.partition(":")
    if library in LIBRARIES:
        name, _, options = split("sampler", rest)
        return LIBRARIES[library].named(name, path, options)
    job = job_of(where)

    def build(times: Array) -> Tableau:
        try:
            return job.method.tableau(path, times, start=job.start, **job.options)
        except ValueError as refused:  # a grid or a path that the method is not for
            raise RefusedError(str(refused)) from None

    return of_tableau(build, path, where)


def taken_step(where: str) -> Any:
    """Return a named step of tokens, or a method of tokens with its law."""
    if not is_file(where):
        return TokenMethod(job_of(where))
    _, found, options = object_of(where, DEFAULT)
    return partial(found, **options) if options else found


def of_tableau(build: Callable[[Array], Tableau], path: paths.Gaussian, text: str) -> Callable[..., Any]:
    """Return what a function from times to a tableau samples, in the plain form."""
    built: dict[bytes, tuple[Any, Mapping[tuple[float, float], float]]] = {}

    def sampler(denoise: Any, x: Array, grid: Any, normal: Callable[[], Array]) -> Array:
        key = grid.t.tobytes()
        if key not in built:
            new = build(grid.t)
            built[key] = new, _times(new)
        tableau, times = built[key]
        noise = np.array([normal() for _ in tableau.channels]).reshape(-1, *x.shape)

        def model(places: Array, alpha: float, sigma: float) -> Array:
            t = times[alpha, sigma]
            # off the path, which no time of the plain form can say, but where alpha is 1 throughout
            if np.isnan(t):
                if alpha != 1 or np.any(grid.alpha != 1):
                    raise ValueError(f"{text} asks the model off the path: verify it on a VE or EDM path")
                t = float(path.time_of_log_snr(-np.log(sigma)))
            return denoise(places, t)

        return np.asarray(run(tableau, denoiser(model, takes="level"), x, noise=noise))

    return sampler


def _times(tableau: Any) -> Mapping[tuple[float, float], float]:
    found = {}
    for block in tableau.blocks:
        for levels, times in zip(block.levels.reshape(-1, 2), block.times.ravel(), strict=True):
            found[float(levels[0]), float(levels[1])] = float(times)
    return found


@dataclass(frozen=True)
class TokenMethod:
    """A method of the catalogue, which has a law of its own."""

    job: Job

    def law(self, process: chains.SiteProcess, data: sequences.SequenceLaw, grid: Array) -> Array:
        """Return the exact law; RefusedError for a noise, a grid or data that the method is not for."""
        try:
            kernel = self.job.method.kernel(process, grid, **self.job.options)
            end = kernel.end(data.length)
            if end != grid[-1]:
                raise ValueError(f"{self.job.method.name} ends at t = {end:g}, whatever the grid")
            return law(kernel, data)
        except (ValueError, TypeError) as refused:
            raise RefusedError(str(refused)) from None


def is_scheduler(found: Any) -> bool:
    """Whether it is a class of diffusers' form."""
    return isinstance(found, type) and hasattr(found, "step") and hasattr(found, "set_timesteps")


def is_step(found: Any) -> bool:
    """Whether it is a step of tokens: the third and the fourth argument are t and s."""
    return not isinstance(found, type) and list(inspect.signature(found).parameters)[2:4] == ["t", "s"]


def _of_file(where: str, path: paths.Gaussian) -> Callable[..., Any]:
    """Return what a file has in the plain form, by the form that it has."""
    module, found, options = object_of(where, DEFAULT)
    if is_scheduler(found):
        return schedulers.of_class(found, path, options)
    if isinstance(found, type) and hasattr(found, "step"):
        return steppers.of_class(found, path, options)
    if isinstance(found, type):
        found, options = found(**options), {}
    if getattr(module, "arrays", "numpy") == "torch":
        return InTorch(partial(found, **options) if options else found)
    if "sigmas" in inspect.signature(found).parameters:
        return k_diffusion.of_function(found, path, **options)
    return partial(found, **options) if options else found
