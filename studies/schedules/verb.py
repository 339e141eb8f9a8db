"""`assay schedules`: which grid, how long a diffusion, and what the singularity at t -> 0 costs."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..command import verb
from ..study import Study

STUDIES = ("grids", "optimised", "search", "time", "singularity")
METHODS = {
    "grids": ("euler", "heun", "dpm-solver++-2m", "unipc", "ddpm", "euler-maruyama", "sde-dpm-solver++-2m"),
    "optimised": ("euler", "heun", "dpm-solver++-2m"),
    "time": ("heun", "ddpm"),
}
TARGETS = {
    "grids": ("gaussian-1d", "spectrum-16", "easy-1d", "separated-1d"),
    "optimised": ("spectrum-16", "easy-1d"),
}
TIME_TARGET, SINGULAR_TARGET = "gaussian-1d", "spectrum-16"


@verb()
def schedules(
    methods: Annotated[
        list[str] | None,
        typer.Argument(help="Methods of grids, optimised and time; a few of each by default."),
    ] = None,
    studies: Annotated[
        list[str] | None,
        typer.Option("--study", help=f"Repeatable: {', '.join(STUDIES)}. All by default."),
    ] = None,
    targets: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            help="Target by name or file, repeatable; of those that are neither Gaussian nor on the line grids and "
            "optimised alone, by samples.",
        ),
    ] = None,
    path: Annotated[str, typer.Option(help="Gaussian path of grids and optimised.")] = "VP",
    grids: Annotated[
        list[str] | None,
        typer.Option(
            "--grid",
            help="A file of sigmas of your own, compared with the grids that have names; repeatable.",
        ),
    ] = None,
    score: Annotated[
        str,
        typer.Option(
            help="FILE.py:NAME of a model of your own, asked instead of the exact one: grids and optimised alone, by "
            "samples."
        ),
    ] = "exact",
    samples: Annotated[int, typer.Option(help="Samples of grids, where no law reaches.")] = 100_000,
) -> list[Study[Any]]:
    """Compare grids by exact errors, optimise grids and solvers, vary the time, and end next to sigma = 0.

    On Gaussian targets by the sampler's law (W2), on the line by its density (TV). `search` chooses the order and the
    prediction of `scheduled-adams` in every step. `time` starts an Ornstein-Uhlenbeck
    process from N(0, I) and takes Gaussian targets only; `singularity` runs on VP(2, 2) with methods of its own.
    Where no law reaches, grids are compared in sliced W2 by samples, and optimised by how far they end from the flow.

    Example: assay schedules heun --study grids --study time --plot schedules.png
    """
    from analytic import targets as named
    from analytic.names import unknown

    from .. import specifications, wrong_scores
    from ..laws import means_of, sharpest
    from .grids import Asked
    from .study import Grids, Optimised, Searches, Singularity, Times

    asked = tuple(dict.fromkeys(studies or STUDIES))
    for name in asked:
        if name not in STUDIES:
            raise unknown("study", name, list(STUDIES))
    work = {name: [specifications.job_of(m) for m in methods or METHODS[name]] for name in METHODS}
    laws = {study: {name: named.load(name) for name in targets or names} for study, names in TARGETS.items()}
    own = {name: named.load(name) for name in targets or ()}
    sampled = [law for law in own.values() if means_of(law) == "samples"]
    along = specifications.path_of(path)
    if score != "exact" and not specifications.is_file(score):
        raise ValueError(
            f"score is {score!r}: give FILE.py:NAME; `assay gap` has scores that are wrong by name"
        )
    model = wrong_scores.own_model(score, along) if score != "exact" else None
    by_samples = ("grids", "optimised")
    if (sampled or model is not None) and not studies:
        asked = by_samples
    for name in asked:
        if model is not None and name not in by_samples:
            raise ValueError(f"study is {name!r}, which asks the exact model: leave --score out")
        if sampled and name not in by_samples:
            sharpest(sampled[0])  # complains: the other studies need exact laws
    if samples < 100:
        raise ValueError(f"samples is {samples}: give at least 100")
    more = Asked({text: specifications.grid_of(text) for text in grids or ()}, model, samples)
    for text, grid in more.grids.items():
        if isinstance(grid, str):
            raise ValueError(f"grid is {text!r}, which is compared in any case: give a file of sigmas")
    found: list[Study[Any]] = []
    if "grids" in asked:
        found.append(Grids(work["grids"], laws["grids"], along, more))
    if "optimised" in asked:
        found.append(Optimised(work["optimised"], laws["optimised"], along, more))
    if "search" in asked:
        found.append(Searches(laws["optimised"], along))
    if "time" in asked:
        gaussian = {name: law for name, law in own.items() if law.is_gaussian}
        if targets and studies and not gaussian:
            raise ValueError(
                f"target is {', '.join(targets)}: study time needs a Gaussian, such as {TIME_TARGET}"
            )
        found.append(Times(work["time"], gaussian or {TIME_TARGET: named.load(TIME_TARGET)}))
    if "singularity" in asked:
        found.append(Singularity(own or {SINGULAR_TARGET: named.load(SINGULAR_TARGET)}))
    return found
