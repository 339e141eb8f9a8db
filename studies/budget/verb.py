"""`assay budget`: how much of a sampler's error comes from where."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..command import verb
from ..study import Study

METHODS = ("euler", "heun", "dpm-solver++-2m", "ddpm", "euler-maruyama", "sde-dpm-solver++-2m")
TARGETS = ("spectrum-16", "easy-1d", "narrow-1d")


@verb(expects=False)
def budget(
    methods: Annotated[
        list[str] | None,
        typer.Argument(help="Methods, with options: heun, 'ddim-eta(eta=0.5)'. Six by default."),
    ] = None,
    targets: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            help="Target by name (see `assay list targets`) or file of points, repeatable: Gaussian ones by exact law, "
            f"on the line by density, others by samples. By default {', '.join(TARGETS)}.",
        ),
    ] = None,
    path: Annotated[str, typer.Option(help="Gaussian path.")] = "VP",
    grid: Annotated[
        str | None, typer.Option(help="Grid of times by name, or a file of sigmas; log-snr by default.")
    ] = None,
    begin: Annotated[
        float | None, typer.Option(help="Time sampling starts at; the path's own by default.")
    ] = None,
    end: Annotated[
        float | None, typer.Option(help="Time sampling stops at; the path's own by default.")
    ] = None,
    score: Annotated[
        str,
        typer.Option(
            help="The imperfect score: relative, constant, wave or bump with its size and options, 'widths(1.1)' "
            "(variances times a factor), 'weights(0.5, 0.5)', 'missing(0)' (a component), 'kernel(200, 0.1)' (samples, "
            "bandwidth), another target by name, FILE.py:NAME of a model of your own, "
            "'calibrated(...)' of one of these, or exact."
        ),
    ] = "relative(0.01)",
    parts: Annotated[
        list[str] | None,
        typer.Option(
            "--part",
            help="Parts switched on, repeatable: initial, truncation, discretisation, score, precision. "
            "All by default, but for precision with a model of your own.",
        ),
    ] = None,
    steps: Annotated[
        list[int] | None, typer.Option(help="Steps, repeatable; 8, 16, 32 and 64 by default.")
    ] = None,
    samples: Annotated[
        int, typer.Option(help="Samples that precision is measured by, and all where no law reaches.")
    ] = 20_000,
    seed: Annotated[int, typer.Option(help="Seed of their noise.")] = 0,
    published: Annotated[
        bool,
        typer.Option(
            "--published",
            help="Instead, the table of Pierret and Galerne 2025 on image-like Gaussians: initial law, truncation "
            "and discretisation.",
        ),
    ] = False,
) -> Study[Any]:
    """Split a sampler's W2 error by cause: initial law, truncation, discretisation, score, precision.

    By exact law on a Gaussian, by density on a one-dimensional mixture, elsewhere by samples in sliced W2; precision by
    coupled samples.

    Example: assay budget heun ddpm --target easy-1d --score "widths(1.05)" --plot budget.png
    """
    from analytic import targets as named

    from .. import specifications, wrong_scores
    from ..setting import Setting
    from .parts import PARTS, STEPS, Bench, Causes
    from .published_initial_law import InitialLaw
    from .study import Budgets

    if published:
        for name, value in (("methods", methods), ("target", targets), ("steps", steps), ("part", parts)):
            if value:
                raise ValueError(f"{name} is {value}, but --published is a table of its own: leave one out")
        return InitialLaw()
    for count in steps or ():
        if count < 2:
            raise ValueError(f"steps is {count}: give at least 2")
    setting = Setting(*specifications.path_and_grid(path, grid, "log-snr"), begin, end)
    setting.nodes(2)  # complains about begin and end before anything is measured
    own = specifications.is_file(score) or score.startswith(wrong_scores.CALIBRATED)
    on = tuple(parts or [p for p in PARTS if not (own and p == "precision")])
    benches = [
        Bench(name, law, setting, Causes(wrong_scores.score_of(score, law, setting.path), on, samples, seed))
        for name, law in ((name, named.load(name)) for name in targets or TARGETS)
    ]
    work = [specifications.job_of(text) for text in methods or METHODS]
    return Budgets(work, benches, tuple(steps or STEPS), score)
