"""`assay bench`: how fast samples are drawn on this machine, beside what others use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from ..command import verb
from ..study import Study

SIZES = ("1x2", "8x2", "25x2", "100x64")
TOKENS = ("32x64", "4x256")


@verb(plots=False, expects=False)
def bench(
    methods: Annotated[
        list[str] | None,
        typer.Argument(
            help="ddpm in 100 steps, heun and dpm-solver++-2m in 50; of tokens, masked and uniform, ancestral "
            "sampling in 64. All by default."
        ),
    ] = None,
    sizes: Annotated[
        list[str] | None,
        typer.Option("--size", help=f"Components x dimensions, repeatable. By default {', '.join(SIZES)}."),
    ] = None,
    dtypes: Annotated[
        list[str] | None,
        typer.Option("--dtype", help="Of mixtures: float32 (by default) or float64, repeatable."),
    ] = None,
    tokens: Annotated[
        list[str] | None,
        typer.Option("--tokens", help=f"Vocabulary x length, repeatable. By default {', '.join(TOKENS)}."),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            "--against", help="Other ways to run the same, repeatable, or none. All by default; see below."
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(help="Times that all ways take turns.")] = 5,
    growth: Annotated[
        bool, typer.Option(help="Also how time grows with n, steps, K, d, L, V and threads.")
    ] = True,
    samples: Annotated[
        float | None,
        typer.Option(
            help="Also draw so many, a tenth and a hundredth of them, and keep moments or pairs alone."
        ),
    ] = None,
) -> Study[Any]:
    """Time samples beside what others use, in turn, and say how far from the machine's limit they are.

    Others are XLA scan and torch (a loop over steps, components first), torch.compile (that loop), diffrax, torchsde,
    diffusers and k-diffusion; of tokens torch (a loop over steps), torch Categorical (that loop, which draws by
    torch.distributions) and flow_matching; as far as they are installed. Uses all cores; run it on a quiet machine.

    Example: assay bench ddpm --size 25x2 --dtype float32 --against diffrax
    """
    from analytic.names import unknown

    from .study import Bench
    from .ways import WAYS
    from .workloads import NOISES, STEPS, Tokens, Workload

    if rounds < 2:
        raise ValueError(f"rounds is {rounds}: give at least 2, whose spread is shown")
    chosen: list[Workload | Tokens] = []
    mixtures = [_pair("size", text, "components x dimensions, as in 25x2") for text in sizes or SIZES]
    chains = [_pair("tokens", text, "vocabulary x length, as in 32x64") for text in tokens or TOKENS]
    for method in methods or STEPS:
        if method not in STEPS:
            raise unknown("method", method, list(STEPS))
        if method in NOISES:
            chosen += [Tokens(method, *pair, STEPS[method]) for pair in chains]
            continue
        for pair in mixtures:
            for dtype in dtypes or ("float32",):
                if dtype not in ("float32", "float64"):
                    raise unknown("dtype", dtype, ["float32", "float64"])
                chosen.append(Workload(method, *pair, dtype, STEPS[method]))
    ways = [*dict.fromkeys(name for of in WAYS.values() for name in of)]
    others = [name for name in (ways if against is None else against) if name != "none"]
    for name in others:
        if name not in ways:
            raise unknown("against", name, [*ways, "none"])
    return Bench(chosen, rounds, others, growth, _numbers(samples))


def _pair(name: str, text: str, of: str) -> tuple[int, int]:
    """Read AxB, two whole numbers above 0."""
    first, _, second = text.partition("x")
    if not (first.isdigit() and second.isdigit() and int(first) and int(second)):
        raise ValueError(f"{name} is {text!r}: give {of}")
    return int(first), int(second)


def _numbers(samples: float | None) -> Sequence[int]:
    """Return a hundredth, a tenth and all of a number of samples; none of None."""
    if samples is None:
        return ()
    if not (100 <= samples < 2**53 and samples == int(samples)):
        raise ValueError(f"samples is {samples!r}: give a whole number, at least 100, such as 1e9")
    return [int(samples) // 100, int(samples) // 10, int(samples)]
