"""Samplers of other libraries in the plain form."""

from __future__ import annotations

import importlib
import inspect
from bisect import bisect
from collections.abc import Callable
from typing import Any

import numpy as np

from analytic import paths


class BrownianPath:
    """One Brownian path, drawn where it is looked at: increments over any times, in any order."""

    def __init__(self, normal: Callable[[], Any]) -> None:
        self._normal = normal
        self._knots: list[tuple[float, Any]] = []

    def at(self, time: float) -> Any:
        """Return the path at a time: further on by a fresh increment, between two times by the Brownian bridge."""
        times = [knot for knot, _ in self._knots]
        place = bisect(times, time)
        if place and times[place - 1] == time:
            return self._knots[place - 1][1]
        before = self._knots[place - 1] if place else None
        after = self._knots[place] if place < len(times) else None
        if before and after:
            whole, part = after[0] - before[0], time - before[0]
            share = part / whole
            new = before[1] + share * (after[1] - before[1])
            new = new + np.sqrt(part * (1 - share)) * self._normal()
        elif before or after:
            near = before or after
            assert near is not None
            new = near[1] + np.sqrt(abs(time - near[0])) * self._normal()
        else:
            new = 0.0
        self._knots.insert(place, (time, new))
        return new

    def increment(self, start: float, stop: float) -> Any:
        """Return W(stop) - W(start) over the root of what is between them: N(0, I)."""
        first = self.at(start)
        return (self.at(stop) - first) / np.sqrt(abs(stop - start))


def of_k_diffusion(function: Callable[..., Any], path: paths.Gaussian, **options: Any) -> Callable[..., Any]:
    """Return a sampler of k-diffusion, or of its form (model, x, sigmas, ..., noise_sampler), in the plain form.

    It computes in float64. Noise is handed to it as its noise_sampler, increments of one Brownian path in sigma as
    those of its BrownianTreeNoiseSampler are, or, where it takes none, as torch.randn_like.

    Raises TypeError for a function that takes no sigmas, as those that choose their own levels, and ValueError, when
    run, on a path with alpha other than 1.
    """
    import torch

    takes = inspect.signature(function).parameters
    if "sigmas" not in takes:
        raise TypeError(
            f"{function.__name__} takes no sigmas: it chooses its own levels, which no grid can say"
        )

    def sampler(denoise: Any, x: Any, grid: Any, normal: Any) -> Any:
        if np.any(grid.alpha != 1):
            raise ValueError("k-diffusion's samples are x/alpha: use a path with alpha = 1, EDM or VE")

        def model(y: Any, sigma: Any, **_: Any) -> Any:
            level = float(sigma.reshape(-1)[0])
            near = int(np.argmin(np.abs(grid.sigma - level)))
            # a node's own time, to the bit, for its own level
            own = abs(grid.sigma[near] - level) <= 1e-12 * level
            t = float(grid.t[near]) if own else float(path.time_of_log_snr(-np.log(level)))
            return torch.from_numpy(np.array(denoise(y.numpy(), t), dtype=np.float64))

        brownian = BrownianPath(normal)

        def increment(sigma: Any, then: Any) -> Any:
            return torch.from_numpy(np.array(brownian.increment(float(sigma), float(then)), dtype=np.float64))

        def fresh(*_: Any, **__: Any) -> Any:
            return torch.from_numpy(np.array(normal(), dtype=np.float64))

        given = {"noise_sampler": increment} if "noise_sampler" in takes else {}
        quiet = {"disable": True} if "disable" in takes else {}
        start = torch.from_numpy(np.array(x, dtype=np.float64))
        levels = torch.from_numpy(np.array(grid.sigma, dtype=np.float64))
        drawn, torch.randn_like = torch.randn_like, fresh
        try:
            return function(model, start, levels, **quiet, **given, **options).numpy()
        finally:
            torch.randn_like = drawn

    return sampler


def from_k_diffusion(name: str, path: paths.Gaussian, options: dict[str, Any]) -> Callable[..., Any]:
    """Return a sampler of the library by name. Raises ValueError if it is not installed, or has none of that name."""
    try:
        library = importlib.import_module("k_diffusion.sampling")
    except ImportError as problem:
        raise ValueError(
            f"sampler is of k_diffusion, which cannot be imported ({problem}): install it"
        ) from None
    function = getattr(library, name, None)
    if not callable(function):
        known = sorted(word for word in vars(library) if word.startswith("sample_"))
        raise ValueError(
            f"sampler is {name!r}, which k_diffusion does not have: use one of {', '.join(known)}"
        )
    return of_k_diffusion(function, path, **options)
