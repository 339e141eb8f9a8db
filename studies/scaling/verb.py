"""`assay scaling`: how many steps accuracy costs."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..command import verb
from ..study import Study

TOKENS = "tokens"
SIZES = ("epsilon", "dimension", "condition", "intrinsic", "separation", "modes")
AGAINST = (*SIZES, TOKENS)
TARGETS = ("spectrum-16", "easy-1d")


@verb()
def scaling(
    methods: Annotated[
        list[str] | None,
        typer.Argument(
            help="Continuous methods, with options: heun, 'ddim-eta(eta=0.3)'. Fifteen by default, and tokens."
        ),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            help=f"What is varied, repeatable: {', '.join(AGAINST)}. All by default; tokens not if methods are named."
        ),
    ] = None,
    targets: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            help="Target by name or file on which epsilon is varied and methods are compared, repeatable: by exact law "
            f"if Gaussian or on the line, else by samples. By default {', '.join(TARGETS)}.",
        ),
    ] = None,
    path: Annotated[str, typer.Option(help="Gaussian path.")] = "VE(0.02, 20)",
    grid: Annotated[
        str | None, typer.Option(help="Grid of times by name, or a file of sigmas; karras by default.")
    ] = None,
    score: Annotated[
        str,
        typer.Option(
            help="FILE.py:NAME of a model of your own instead of the exact one: against epsilon alone, by samples."
        ),
    ] = "exact",
    limit: Annotated[int, typer.Option(help="Steps to give up at, by exact law.")] = 1 << 15,
    line_limit: Annotated[int, typer.Option(help="Steps to give up at, by density.")] = 1 << 8,
) -> list[Study[Any]]:
    """Measure how many evaluations an error costs, against the error and against the size of the target.

    Continuous methods by exact law on Gaussians (epsilon, dimension, condition number, intrinsic dimension) and by
    density on mixtures on the line (separation, number of modes), with exponents, and with the evaluations at which
    methods' errors cross. Ancestral sampling of tokens against length and vocabulary: masks beside uniform
    noise by exact law on short chains, masks to a length of 1000 by the information profile.

    Example: assay scaling heun dpm-solver++-2m ddpm --against epsilon --plot steps.png
    """
    from analytic import targets as named
    from analytic.names import unknown

    from .. import specifications, wrong_scores
    from ..setting import Setting
    from .needs import METHODS, Plan
    from .study import Evaluations, TokenSteps

    chosen = list(dict.fromkeys(against or [a for a in AGAINST if a != TOKENS or not methods]))
    for name in chosen:
        if name not in AGAINST:
            raise unknown("against", name, list(AGAINST))
    if score != "exact":
        if not specifications.is_file(score):
            raise ValueError(
                f"score is {score!r}: give FILE.py:NAME; `assay gap` has scores that are wrong by name"
            )
        if against and chosen != ["epsilon"]:
            raise ValueError(
                f"against is {', '.join(against)}, but a model of your own has one target: name epsilon alone"
            )
        chosen = ["epsilon"]
    for what, value in (("limit", limit), ("line-limit", line_limit)):
        if value < 4:
            raise ValueError(f"{what} is {value}: give at least 4")
    work = [specifications.job_of(text) for text in methods or METHODS]
    for job in work:
        if job.method.half != "continuous":
            raise ValueError(
                f"method is {job.method.name!r}, one for tokens: name continuous methods, or none for tokens"
            )
    if methods and chosen == [TOKENS]:
        raise ValueError(
            f"against is 'tokens' and method is {methods[0]!r}: tokens are measured for ancestral sampling, name none"
        )
    for name in targets or TARGETS:
        named.load(name)  # complains before anything is measured
    setting = Setting(*specifications.path_and_grid(path, grid, "karras"))
    model = wrong_scores.own_model(score, setting.path) if score != "exact" else None
    plan = Plan(setting, tuple(targets or TARGETS), limit, line_limit, model)
    sizes = [name for name in chosen if name != TOKENS]
    found: list[Study[Any]] = [Evaluations(work, plan, sizes, bool(methods))] if sizes else []
    return [*found, TokenSteps()] if TOKENS in chosen else found
