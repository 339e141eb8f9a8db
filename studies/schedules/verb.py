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
            help="Target by name or file, repeatable; of those that are neither Gaussian nor on the line the "
            "grids alone, by samples.",
        ),
    ] = None,
    path: Annotated[str, typer.Option(help="Gaussian path of grids and optimised.")] = "VP",
) -> list[Study[Any]]:
    """Compare grids by exact errors, optimise grids and solvers, vary the time, and end next to sigma = 0.

    On Gaussian targets by the sampler's law (W2), on the line by its density (TV). `search` chooses the order and the
    prediction of `scheduled-adams` in every step. `time` starts an Ornstein-Uhlenbeck
    process from N(0, I) and takes Gaussian targets only; `singularity` runs on VP(2, 2) with methods of its own.

    Example: assay schedules heun --study grids --study time --plot schedules.png
    """
    from analytic import targets as named
    from analytic.names import unknown

    from .. import specifications
    from ..laws import means_of, sharpest
    from .study import Grids, Optimised, Searches, Singularity, Times

    asked = tuple(dict.fromkeys(studies or STUDIES))
    for name in asked:
        if name not in STUDIES:
            raise unknown("study", name, list(STUDIES))
    work = {name: [specifications.job_of(m) for m in methods or METHODS[name]] for name in METHODS}
    laws = {study: {name: named.load(name) for name in targets or names} for study, names in TARGETS.items()}
    own = {name: named.load(name) for name in targets or ()}
    sampled = [law for law in own.values() if means_of(law) == "samples"]
    if sampled and not studies:
        asked = ("grids",)
    if sampled and asked != ("grids",):
        sharpest(sampled[0])  # complains: the other studies need exact laws
    along = specifications.path_of(path)
    found: list[Study[Any]] = []
    if "grids" in asked:
        found.append(Grids(work["grids"], laws["grids"], along))
    if "optimised" in asked:
        found.append(Optimised(work["optimised"], laws["optimised"], along))
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
