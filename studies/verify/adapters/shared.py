"""What adapters share: a Brownian path, a library's names replaced for a run, and the error of what is not for it."""

from __future__ import annotations

import importlib
import sys
from bisect import bisect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np

from analytic import paths


class RefusedError(ValueError):
    """A sampler is not for what it is asked with, such as a grid where it chooses its own levels, or another noise."""


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


def velocity(path: paths.Gaussian, denoise: Callable[[Any, float], Any], x: Any, t: float) -> Any:
    """Return dx/dt of the probability flow, alpha' D + sigma' E[eps | x]; at sigma = 0 the last mean is 0."""
    D, alpha, sigma = denoise(x, t), float(path.alpha(t)), float(path.sigma(t))
    if sigma == 0:
        return float(path.d_alpha(t)) * D
    return float(path.d_alpha(t)) * D + float(path.d_sigma(t)) * (x - alpha * D) / sigma


def reverse_sde(path: paths.Gaussian, denoise: Callable[[Any, float], Any], x: Any, t: float) -> Any:
    """Return the drift towards the data of the reverse SDE whose forward one is the path's, -f x + g^2 score."""
    D, alpha, sigma = denoise(x, t), float(path.alpha(t)), float(path.sigma(t))
    return -float(path.d_alpha(t)) / alpha * x + diffusion(path, t) ** 2 * (alpha * D - x) / sigma**2


def diffusion(path: paths.Gaussian, t: float) -> float:
    """Return g(t) of the path's forward SDE, g^2 = 2 sigma (sigma' - sigma alpha'/alpha)."""
    alpha, sigma = float(path.alpha(t)), float(path.sigma(t))
    return float(np.sqrt(2 * sigma * (float(path.d_sigma(t)) - sigma * float(path.d_alpha(t)) / alpha)))


def library(name: str, module: str) -> Any:
    """Return a module of a library that is no dependency. Raises ValueError if it cannot be imported."""
    try:
        return importlib.import_module(module)
    except ImportError as problem:
        raise ValueError(f"sampler is of {name}, which cannot be imported ({problem}): install it") from None


class Instead:
    """A module with some of its names replaced."""

    def __init__(self, module: Any, names: Mapping[str, Any]) -> None:
        self._module = module
        self.__dict__.update(names)

    def __getattr__(self, name: str) -> Any:
        """Return what the module has."""
        return getattr(self._module, name)


@contextmanager
def replaced(modules: list[ModuleType], names: Mapping[str, Any]) -> Iterator[None]:
    """Replace global names of modules, where they have them, as long as the context lasts."""
    kept = [
        (module, name, vars(module)[name]) for module in modules for name in names if name in vars(module)
    ]
    try:
        for module, name, _ in kept:
            setattr(module, name, names[name])
        yield
    finally:
        for module, name, value in kept:
            setattr(module, name, value)


def tensor(values: Any) -> Any:
    """Return a float64 tensor of its own."""
    import torch

    return torch.from_numpy(np.array(values, dtype=np.float64))


@contextmanager
def lifted(modules: Iterable[ModuleType], normal: Callable[[], Any]) -> Iterator[None]:
    """Let modules that use torch compute in float64 wherever they say float32, and draw the noise that is given.

    Names that draw are replaced: torch.randn and randn_like, diffusers' randn_tensor, and BrownianTreeNoiseSampler by
    one Brownian path.
    """
    import torch

    def draw(*_: Any, **__: Any) -> Any:
        return tensor(normal())

    def tree(*_: Any, **__: Any) -> Callable[[Any, Any], Any]:
        path = BrownianPath(normal)
        return lambda start, stop: tensor(path.increment(float(start), float(stop)))

    as_double = {"float32": torch.float64, "float": torch.float64, "randn": draw, "randn_like": draw}
    names = {
        "torch": Instead(torch, as_double),
        "np": Instead(np, {"float32": np.float64}),
        "randn_tensor": draw,
        "BrownianTreeNoiseSampler": tree,
    }
    with replaced(list(modules), names):
        yield


def modules_of(kind: type) -> list[ModuleType]:
    """Return the modules that a class and its bases are of."""
    return [sys.modules[base.__module__] for base in kind.__mro__ if base.__module__ in sys.modules]
