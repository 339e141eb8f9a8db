"""`assay gap`: when is the noisy sampler better than the deterministic one?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ..command import verb
from ..study import Study

STUDIES = ("size", "noise", "pulse", "contraction", "evaluations", "start", "learned")
ALONE = ("start", "learned")  # measured where they are asked for
LEARNED, LEARNED_TARGET = "learned", "nine-2d"


@verb()
def gap(
    studies: Annotated[
        list[str] | None,
        typer.Option(
            "--study",
            help=f"What to vary, repeatable: {', '.join(STUDIES)}. By default all but start and learned, and on "
            f"{LEARNED_TARGET} learned alone.",
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            help=f"Target by name (see `assay list targets`); easy-1d by default, {LEARNED_TARGET} for learned."
        ),
    ] = None,
    error: Annotated[
        str | None,
        typer.Option(
            help="What is wrong with the score: constant, relative, wave or bump with its size and options. "
            "\"wave(0.2, of='eps', frequency=2.0, phase=0.5)\" by default, \"constant(0.2, of='eps')\" on a Gaussian."
        ),
    ] = None,
    ode: Annotated[str, typer.Option(help="Deterministic method.")] = "rk4",
    sde: Annotated[str, typer.Option(help="Noisy method.")] = "stochastic-heun",
    steps: Annotated[int, typer.Option(help="Steps of both.")] = 128,
    path: Annotated[str, typer.Option(help="Gaussian path.")] = "VE(0.02, 20)",
    grid: Annotated[
        str | None, typer.Option(help="Grid of times by name, or a file of sigmas; karras by default.")
    ] = None,
    samples: Annotated[int, typer.Option(help="Samples where laws are sampled.")] = 1_000_000,
    seed: Annotated[int, typer.Option(help="Seed of all noise.")] = 0,
    train: Annotated[
        bool, typer.Option("--train", help="Train the networks again (needs torch) instead of those shipped.")
    ] = False,
    out: Path | None = None,
) -> Study[Any]:
    """Measure how far ODE and SDE samplers with a wrong score are from each other and from the truth.

    By exact law on a Gaussian, by density on a one-dimensional mixture, by samples elsewhere. Varied are the size of
    the score's error, the amount of noise (eta, w(t), churn, corrector steps), the time at which the score errs,
    and the evaluations; and the KL from the exact marginal is followed on the way down. `--study start` says what is
    left at the end of a wrong start, at equal evaluations. `--study learned` takes small networks trained by score
    matching, flow matching and with the Fokker-Planck residual as a penalty.

    Example: assay gap --study pulse --error "bump(0.3, of='eps', width=0.5)" --plot gap.png
    """
    from analytic import targets as named
    from analytic.names import unknown

    from .. import specifications
    from ..setting import Setting
    from .gaps import ERROR, GAUSSIAN_ERROR, Plan
    from .study import Gaps

    for name in studies or ():
        if name not in STUDIES:
            raise unknown("study", name, list(STUDIES))
    if steps < 4:
        raise ValueError(f"steps is {steps}: give at least 4")
    asked = tuple(
        studies or ((LEARNED,) if target == LEARNED_TARGET else [s for s in STUDIES if s not in ALONE])
    )
    if LEARNED in asked:
        if set(asked) != {LEARNED} or target not in (None, LEARNED_TARGET):
            raise ValueError(
                f"study is 'learned', whose networks know {LEARNED_TARGET}: ask for it alone, without another target"
            )
        from ..learned.study import LearnedGaps

        return LearnedGaps(retrain=train, states=None if out is None else out / "networks", seed=seed)
    if train:
        raise ValueError("train is given but nothing is learned: add --study learned")
    law = named.load(target or "easy-1d")
    for name in ("contraction", "start"):
        if name in asked and law.dim > 1 and studies:
            raise ValueError(f"study is {name!r} on {target!r}: KL needs a target on the line")
    if law.dim > 1:
        asked = tuple(name for name in asked if name != "contraction")
    wrong = GAUSSIAN_ERROR if law.is_gaussian else ERROR
    wrong = wrong if error is None else specifications.error_of(error)
    setting = Setting(*specifications.path_and_grid(path, grid, "karras"), samples=samples, seed=seed)
    return Gaps(Plan(target or "easy-1d", law, wrong, ode, sde, steps, setting), asked)
