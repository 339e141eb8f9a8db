"""Samplers of k-diffusion, and functions of their form (model, x, sigmas, ...) -> x, in the plain form."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from analytic import paths
from analytic.names import unknown

from .shared import BrownianPath, RefusedError, library, lifted, tensor


def of_function(function: Callable[..., Any], path: paths.Gaussian, **options: Any) -> Callable[..., Any]:
    """Return a function of k-diffusion's form in the plain form, in float64.

    Noise is handed to it as its noise_sampler, increments of one Brownian path in sigma as those of the library's
    BrownianTreeNoiseSampler are, or, where it takes none, as torch.randn_like.

    Raises TypeError for a function that takes no sigmas, as those that choose their own levels, and, when run,
    RefusedError on a path with alpha other than 1.
    """
    takes = inspect.signature(function).parameters
    if "sigmas" not in takes:
        raise TypeError(
            f"{function.__name__} takes no sigmas: it chooses its own levels, which no grid can say"
        )

    def sampler(denoise: Any, x: Any, grid: Any, normal: Any) -> Any:
        if np.any(grid.alpha != 1):
            raise RefusedError("k-diffusion's samples are x/alpha: use a path with alpha = 1, EDM or VE")

        def model(y: Any, sigma: Any, **_: Any) -> Any:
            level = float(sigma.reshape(-1)[0])
            near = int(np.argmin(np.abs(grid.sigma - level)))
            # a node's own time, to the bit, for its own level
            own = abs(grid.sigma[near] - level) <= 1e-12 * level
            t = float(grid.t[near]) if own else float(path.time_of_log_snr(-np.log(level)))
            return tensor(denoise(y.numpy(), t))

        brownian = BrownianPath(normal)

        def increment(sigma: Any, then: Any) -> Any:
            return tensor(brownian.increment(float(sigma), float(then)))

        given: dict[str, Any] = {"noise_sampler": increment} if "noise_sampler" in takes else {}
        quiet = {"disable": True} if "disable" in takes else {}
        with lifted([sys.modules[function.__module__]], normal):
            return function(model, tensor(x), tensor(grid.sigma), **quiet, **given, **options).numpy()

    return sampler


def named(name: str, path: paths.Gaussian, options: dict[str, Any]) -> Callable[..., Any]:
    """Return a sampler of the library by name. Raises ValueError if it is not installed, or has none of that name."""
    sampling = library("k_diffusion", "k_diffusion.sampling")
    function = getattr(sampling, name, None)
    if not callable(function):
        raise unknown("sampler", name, [word for word in vars(sampling) if word.startswith("sample_")])
    return of_function(function, path, **options)
