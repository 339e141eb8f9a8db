"""`assay bench`: how fast samples are drawn on this machine, beside what others use."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..command import verb
from ..study import Study

SIZES = ("1x2", "8x2", "25x2", "100x64")


@verb(plots=False, expects=False)
def bench(
    methods: Annotated[
        list[str] | None,
        typer.Argument(help="ddpm in 100 steps, heun and dpm-solver++-2m in 50. All by default."),
    ] = None,
    sizes: Annotated[
        list[str] | None,
        typer.Option("--size", help=f"Components x dimensions, repeatable. By default {', '.join(SIZES)}."),
    ] = None,
    dtypes: Annotated[
        list[str] | None, typer.Option("--dtype", help="float32 (by default) or float64, repeatable.")
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            "--against", help="Other ways to run the same, repeatable, or none. All by default; see below."
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(help="Times that all ways take turns.")] = 5,
    growth: Annotated[bool, typer.Option(help="Also how time grows with n, steps, K, d, L and V.")] = True,
) -> Study[Any]:
    """Time samples beside what others use, in turn, and say how far from the machine's limit they are.

    Others are XLA scan and torch (a loop over steps, components first), torch.compile (that loop), diffrax, torchsde
    and diffusers, as far as they are installed. Uses all cores; run it on a quiet machine.

    Example: assay bench ddpm --size 25x2 --dtype float32 --against diffrax
    """
    from analytic.names import unknown

    from .study import STEPS, WAYS, Bench, Workload

    if rounds < 2:
        raise ValueError(f"rounds is {rounds}: give at least 2, whose spread is shown")
    chosen = []
    for method in methods or STEPS:
        if method not in STEPS:
            raise unknown("method", method, list(STEPS))
        for text in sizes or SIZES:
            components, _, dim = text.partition("x")
            if not (components.isdigit() and dim.isdigit() and int(components) and int(dim)):
                raise ValueError(f"size is {text!r}: give components x dimensions, as in 25x2")
            for dtype in dtypes or ("float32",):
                if dtype not in ("float32", "float64"):
                    raise unknown("dtype", dtype, ["float32", "float64"])
                chosen.append(Workload(method, int(components), int(dim), dtype))
    others = [name for name in (WAYS if against is None else against) if name != "none"]
    for name in others:
        if name not in WAYS:
            raise unknown("against", name, [*WAYS, "none"])
    return Bench(chosen, rounds, others, growth)
