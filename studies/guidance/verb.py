"""`assay guidance`: what do guided, posterior and composed samplers truly draw from?"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..command import verb
from ..study import Study

STUDIES = ("scales", "rescaled", "posterior", "composed")


@verb()
def guidance(
    methods: Annotated[
        list[str] | None,
        typer.Argument(help="Methods that are guided; heun, ddpm, ddim and sde-dpm-solver++-2m by default."),
    ] = None,
    studies: Annotated[
        list[str] | None,
        typer.Option("--study", help=f"What to vary, repeatable: {', '.join(STUDIES)}; all by default."),
    ] = None,
    target: Annotated[
        str, typer.Option(help="Target on the line, of scales and compositions: a mixture.")
    ] = "easy-1d",
    labels: Annotated[
        list[int] | None,
        typer.Option("--label", help="Component of the condition on the line, repeatable; 1 by default."),
    ] = None,
    plane: Annotated[
        str, typer.Option(help="Target in the plane, of which the first coordinate is seen.")
    ] = "pair-2d",
    space: Annotated[
        str, typer.Option(help="Target of several dimensions, whose component 1 rescaled guidance goes to.")
    ] = "pair-16",
    scales: Annotated[
        list[float] | None, typer.Option("--scale", help="Scale of guidance, repeatable.")
    ] = None,
    deviations: Annotated[
        list[float] | None, typer.Option("--deviation", help="Deviation of what is observed, repeatable.")
    ] = None,
    powers: Annotated[
        list[float] | None, typer.Option("--power", help="Power of the second law composed with, repeatable.")
    ] = None,
    steps: Annotated[list[int] | None, typer.Option(help="Steps, repeatable; 16 and 64.")] = None,
    seen: Annotated[float, typer.Option(help="What is observed of the first coordinate.")] = 0.2,
    path: Annotated[str, typer.Option(help="Gaussian path.")] = "VE(0.05, 20)",
    grid: Annotated[
        str | None, typer.Option(help="Grid of times by name, or a file of sigmas; log-snr by default.")
    ] = None,
    samples: Annotated[int, typer.Option(help="Samples where laws are sampled, a multiple of 100.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Seed of all noise.")] = 0,
) -> Study[Any]:
    """Measure how far guided, posterior and composed samplers are from the laws that they aim at.

    On the line by density, without Monte Carlo noise: classifier-free guidance against p(x) p(c|x)^scale, sums of
    scores against products of powers, with and without Markov chains or weights. By samples: rescaled guidance in
    several dimensions; in the plane DPS, pseudoinverse guidance, replacement and twisted particles against the exact
    posterior of a noisy observation.

    Example: assay guidance heun ddpm --study scales --scale 1 --scale 4 --plot guidance.png
    """
    from analytic import targets as named
    from analytic.names import unknown

    from .. import specifications
    from ..setting import Setting
    from . import study

    for name in studies or ():
        if name not in STUDIES:
            raise unknown("study", name, list(STUDIES))
    line, flat, wide = named.load(target), named.load(plane), named.load(space)
    if line.dim != 1 or line.components < 2:
        raise ValueError(
            f"target is {target!r}: give a mixture of two or more components on the line, to be guided"
        )
    chosen, varied = tuple(labels or (1,)), tuple(studies or STUDIES)
    if line.condition(chosen).components == line.components:
        raise ValueError(f"label is {chosen}, all of {target}: leave a component out of the condition")
    if "rescaled" in varied and (wide.dim < 2 or wide.components < 2 or not wide.variances.all()):
        raise ValueError(
            f"space is {space!r}: give a mixture of two or more components with a density, in several dimensions"
        )
    if "rescaled" in varied and min(scales or (1.0,)) < 1:
        raise ValueError(f"scale is {min(scales or ()):g}: give at least 1 where predictions are rescaled")
    if samples < 1000 or samples % 100:
        raise ValueError(f"samples is {samples}: give a multiple of 100 of at least 1000")
    for number in steps or ():
        if number < 1:
            raise ValueError(f"steps is {number}: give at least 1")
    for text in methods or ():
        specifications.job_of(text)  # complains before anything is measured
    given = {"methods": methods, "scales": scales, "deviations": deviations, "powers": powers, "steps": steps}
    return study.Guidance(
        varied,
        (target, line),
        (plane, flat),
        (space, wide),
        chosen,
        (tuple(float(i == 0) for i in range(flat.dim)),),
        (seen,),
        samples=samples,
        setting=Setting(*specifications.path_and_grid(path, grid, "log-snr"), seed=seed),
        **{name: tuple(values) for name, values in given.items() if values},  # type: ignore[arg-type]
    )
