"""Samplers in torch, a function or a module (denoise, x, grid) or (denoise, x, grid, normal), in the plain form."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from .shared import lifted, tensor


@dataclass
class InTorch:
    """A sampler in torch: tensors come in and go out, `grid` has tensors too; noise is `normal` or torch.randn_like."""

    function: Callable[..., Any]

    def __call__(self, denoise: Any, x: Any, grid: Any, normal: Any) -> Any:
        """Run in float64."""
        function, takes_noise = self._called()
        levels = SimpleNamespace(t=tensor(grid.t), alpha=tensor(grid.alpha), sigma=tensor(grid.sigma))
        extra = {"normal": lambda: tensor(normal())} if takes_noise else {}

        def model(y: Any, t: Any) -> Any:
            return tensor(denoise(y.detach().numpy(), float(t)))

        home = sys.modules.get(getattr(function, "__module__", ""), None)
        with lifted([home] if home else [], normal):
            return function(model, tensor(x), levels, **extra).detach().numpy()

    def kept(self, dtype: str, x: Any, grid: Any) -> list[str]:
        """Return the dtypes that the model is asked in, and that of the result, for samples of one."""
        import torch

        function, takes_noise = self._called()
        seen: list[str] = []

        def model(y: Any, t: Any) -> Any:
            seen.append(str(y.dtype).removeprefix("torch."))
            return 0 * y

        given = tensor(x).to(getattr(torch, dtype))
        levels = SimpleNamespace(t=tensor(grid.t), alpha=tensor(grid.alpha), sigma=tensor(grid.sigma))
        extra = {"normal": lambda: torch.zeros_like(given)} if takes_noise else {}
        result = function(model, given, levels, **extra)
        return [*seen, str(result.dtype).removeprefix("torch.")]

    def _called(self) -> tuple[Callable[..., Any], bool]:
        """Return the function behind it and whether it takes `normal`."""
        function = getattr(self.function, "forward", self.function)
        return function, "normal" in inspect.signature(function).parameters
