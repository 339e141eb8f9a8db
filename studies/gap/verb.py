"""`assay gap`: when is the noisy sampler better than the deterministic one?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from analytic import targets as named
from solvers.names import unknown

from .. import specifications
from ..learned import figure as learned_figure
from ..learned import study as learned_gap
from ..learned import tables as learned_tables
from ..learned.training import RECIPES
from ..output import figures, render
from ..output.options import FormatOption, JsonOption, TableOption, check_output
from ..output.unconverted import Report, progress, show
from ..setting import Setting
from ..store import Store
from . import figure, study
from . import tables as gap_frames

STUDIES = ("size", "noise", "pulse", "contraction", "evaluations", "learned")
LEARNED = "learned"


def gap(
    studies: Annotated[
        list[str] | None,
        typer.Option(
            "--study",
            help=f"What to vary, repeatable: {', '.join(STUDIES)}. By default all but learned, and on "
            f"{learned_gap.TARGET} learned alone.",
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            help=f"Target by name (see `assay list targets`); easy-1d by default, {learned_gap.TARGET} for learned."
        ),
    ] = None,
    error: Annotated[
        str | None,
        typer.Option(
            help="What is wrong with the score: constant, relative, wave or bump with its size and options. "
            "\"wave(0.2, of='eps', frequency=2.0, phase=0.5)\" by default, \"constant(0.2, of='eps')\" on a Gaussian."
        ),
    ] = None,
    ode: Annotated[str, typer.Option(help="Deterministic method.")] = study.ODE,
    sde: Annotated[str, typer.Option(help="Noisy method.")] = study.SDE,
    steps: Annotated[int, typer.Option(help="Steps of both.")] = 128,
    path: Annotated[str, typer.Option(help="Gaussian path.")] = "VE(0.02, 20)",
    grid: Annotated[str, typer.Option(help="Grid of times by name.")] = "karras",
    samples: Annotated[int, typer.Option(help="Samples where laws are sampled.")] = 1_000_000,
    seed: Annotated[int, typer.Option(help="Seed of all noise.")] = 0,
    train: Annotated[
        bool, typer.Option("--train", help="Train the networks again (needs torch) instead of those shipped.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for finished work; a killed run goes on from there.")
    ] = None,
    table: TableOption = None,
    plot: Annotated[Path | None, typer.Option(help="Also draw every study: .png, .svg or .html.")] = None,
    form: FormatOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure how far ODE and SDE samplers with a wrong score are from each other and from the truth.

    By exact law on a Gaussian, by density on a one-dimensional mixture, by samples elsewhere. Varied are the size of
    the score's error, the amount of noise (eta, w(t), churn, corrector steps), the time at which the score errs,
    and the evaluations; and the KL from the exact marginal is followed on the way down. `--study learned` takes
    small networks trained by score matching, flow matching and with the Fokker-Planck residual as a penalty.

    Example: assay gap --study pulse --error "bump(0.3, of='eps', width=0.5)" --plot gap.png
    """
    check_output(form, table, plot)
    for name in studies or ():
        if name not in STUDIES:
            raise unknown("study", name, list(STUDIES))
    if steps < 4:
        raise ValueError(f"steps is {steps}: give at least 4")
    asked = tuple(studies or ((LEARNED,) if target == learned_gap.TARGET else STUDIES[:-1]))
    if LEARNED in asked and (set(asked) != {LEARNED} or target not in (None, learned_gap.TARGET)):
        raise ValueError(
            f"study is 'learned', whose networks know {learned_gap.TARGET}: ask for it alone, without another target"
        )
    if train and LEARNED not in asked:
        raise ValueError("train is given but nothing is learned: add --study learned")
    if LEARNED in asked:
        _show_learned(train, seed, out, table, plot, form, as_json)
        return
    target = target or "easy-1d"
    mixture = named.load(target)
    wrong = (
        specifications.error_of(error)
        if error is not None
        else study.GAUSSIAN_ERROR
        if mixture.is_gaussian
        else study.ERROR
    )
    setting = Setting(specifications.path_of(path), grid, samples=samples, seed=seed)
    plan = study.Plan(target, mixture, wrong, ode, sde, steps, setting)
    on_line = mixture.dim == 1
    chosen = [s for s in asked if s != "contraction" or on_line or studies]
    if "contraction" in chosen and not on_line:
        raise ValueError(f"study is 'contraction' on {target!r}: KL along the way needs a target on the line")
    store = None if out is None else Store(out / "finished")
    found: list[study.Gap] = []
    parts = [part for name in chosen for part in _parts(name, plan)]
    with progress() as bar:
        task = bar.add_task("", total=len(parts))
        for name, part in parts:
            bar.update(task, description=name)
            key = {"study": f"gap {name}", "plan": plan}
            saved = store.load(key) if store else None
            new = list(part()) if saved is None else [study.Gap(**record) for record in saved]
            if store and saved is None:
                store.save(key, [asdict(g) for g in new])
            found += new
            bar.advance(task)
    show(reports(plan, found, as_json), form, as_json)
    everything = pd.DataFrame([asdict(g) for g in found])
    if table is not None:
        render.write(everything, table)
    if plot is not None:
        figures.save(figure.figure(found), plot)
    if out is not None:
        render.write(everything, out / "gap.csv")
        figures.save(figure.figure(found), out / "gap.png")


def _show_learned(
    train: bool,
    seed: int,
    out: Path | None,
    table: Path | None,
    plot: Path | None,
    form: str | None,
    as_json: bool,
) -> None:
    """Measure networks, one finished cell at a time."""
    store = None if out is None else Store(out / "finished")
    names = [learned_gap.EXACT, *RECIPES]
    keys = {name: {"study": "gap learned", "network": name, "train": train, "seed": seed} for name in names}
    saved: dict[str, Any] = {name: store.load(key) if store else None for name, key in keys.items()}
    found = {name: learned_gap.restored(record) for name, record in saved.items() if record is not None}
    states = None if out is None else out / "networks"
    with progress() as bar:
        task = bar.add_task("", total=len(names) - len(found))
        for record in learned_gap.learned_gap(
            retrain=train,
            states=states,
            skip=found,
            seed=seed,
            report=lambda text: bar.update(task, description=text),
        ):
            found[record.network] = record
            if store:
                store.save(keys[record.network], asdict(record))
            bar.advance(task)
    records = [found[name] for name in names]
    everything = pd.DataFrame([asdict(record) for record in records]).drop(columns=["times", "score_errors"])
    shown = pd.DataFrame([asdict(record) for record in records]) if as_json else learned_tables.table(records)
    title = f"ODE and SDE with learned scores, {learned_gap.TARGET}, squared W2 in thousandths"
    show([Report("gap-learned", title, shown, learned_tables.NOTES)], form, as_json)
    if table is not None:
        render.write(everything, table)
    for file in (plot, None if out is None else out / "gap-learned.png"):
        if file is not None:
            figures.save(learned_figure.figure(records), file)
    if out is not None:
        render.write(everything, out / "gap-learned.csv")


def _parts(name: str, plan: study.Plan) -> list[tuple[str, Callable[[], Iterator[study.Gap]]]]:
    """Pieces of work that are kept when finished."""
    if name == "noise":
        return [(f"noise: {k}", partial(study.by_noise, plan, {k: v})) for k, v in study.KNOBS.items()]
    whole: dict[str, Callable[[study.Plan], Iterator[study.Gap]]] = {
        "size": study.by_size,
        "pulse": study.by_pulse,
        "contraction": study.along_the_way,
        "evaluations": study.by_evaluations,
    }
    return [(name, partial(whole[name], plan))]


def reports(plan: study.Plan, found: list[study.Gap], everything: bool) -> list[Report]:
    """Return one table a study, or every number in one."""
    if everything:
        return [Report("gap", "Gaps", pd.DataFrame([asdict(g) for g in found]))]
    where = (
        f"{plan.name}, {plan.steps} steps, {plan.error.shape} error of {plan.error.size:g} in {plan.error.of}"
    )
    return [
        Report(f"gap-{name.replace(' ', '-')}", f"{title}: {where}", frame, notes)
        for name, title, frame, notes in gap_frames.tables_of(found)
    ]
