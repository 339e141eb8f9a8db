"""Classes of physicsnemo's form, made of a right-hand side, with step(x, t, t_next) -> x, in the plain form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from analytic import paths

from .shared import lifted, modules_of, tensor, velocity


def of_class(kind: type, path: paths.Gaussian, options: dict[str, Any]) -> Callable[..., Any]:
    """Return a class with step(x, t, t_next) in the plain form; times are those of the path, (n,) each.

    It is made with a function (x, t) -> dx/dt, the right-hand side of the probability flow, and the options.
    """

    def sampler(denoise: Any, x: Any, grid: Any, normal: Any) -> Any:
        def rate(y: Any, t: Any) -> Any:
            return tensor(velocity(path, denoise, y.numpy(), float(t.reshape(-1)[0])))

        with lifted(modules_of(kind), normal):
            solver = kind(rate, **options)
            sample = tensor(x)
            for t, then in zip(grid.t[:-1], grid.t[1:], strict=True):
                now = sample.new_ones(len(sample))
                sample = solver.step(sample, now * float(t), now * float(then))
        return sample.numpy()

    return sampler
