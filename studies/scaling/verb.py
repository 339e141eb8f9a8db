"""`assay scaling`: how many steps accuracy costs."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from analytic import targets as named
from solvers import grids
from solvers.names import unknown

from .. import specifications
from ..inference import Slope
from ..output import figures, render
from ..output.options import FormatOption, JsonOption, TableOption, check_output
from ..output.unconverted import Report, progress, show
from ..setting import Job, Setting
from ..store import Store
from . import crossings as scaling_crossings
from . import figure, on_tokens, study
from . import tables as scaling_frames
from .errors import UnmeasurableError

TOKENS = "tokens"
AGAINST = (*study.AGAINST, TOKENS)


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
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="Gaussian or one-dimensional target on which epsilon is varied and methods are compared, repeatable. "
            f"By default {', '.join(study.TARGETS)}."
        ),
    ] = None,
    path: Annotated[str, typer.Option(help="Gaussian path.")] = "VE(0.02, 20)",
    grid: Annotated[str, typer.Option(help="Grid of times by name.")] = "karras",
    limit: Annotated[int, typer.Option(help="Steps to give up at, by exact law.")] = study.MOST,
    line_limit: Annotated[int, typer.Option(help="Steps to give up at, by density.")] = study.MOST_ON_LINE,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for table, plot and finished work; a killed run goes on from there."),
    ] = None,
    table: TableOption = None,
    plot: Annotated[
        Path | None, typer.Option(help="Also draw NFE against every size: .png, .svg or .html.")
    ] = None,
    form: FormatOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure how many evaluations an error costs, against the error and against the size of the target.

    Continuous methods by exact law on Gaussians (epsilon, dimension, condition number, intrinsic dimension) and by
    density on mixtures on the line (separation, number of modes), with exponents, and with the evaluations at which
    methods' errors cross. Ancestral sampling of tokens against length and vocabulary: masks beside uniform
    noise by exact law on short chains, masks to a length of 1000 by the information profile.

    Example: assay scaling heun dpm-solver++-2m ddpm --against epsilon --plot steps.png
    """
    check_output(form, table, plot)
    chosen = list(dict.fromkeys(against or [a for a in AGAINST if a != TOKENS or not methods]))
    for name in chosen:
        if name not in AGAINST:
            raise unknown("against", name, list(AGAINST))
    if grid not in grids.catalogue:
        raise unknown("grid", grid, list(grids.catalogue))
    for what, value in (("limit", limit), ("line-limit", line_limit)):
        if value < 4:
            raise ValueError(f"{what} is {value}: give at least 4")
    work = _jobs(methods)
    if methods and chosen == [TOKENS]:
        raise ValueError(
            f"against is 'tokens' and method is {methods[0]!r}: tokens are measured for ancestral sampling, name none"
        )
    plan = study.Plan(
        Setting(specifications.path_of(path), grid), tuple(target or study.TARGETS), limit, line_limit
    )
    _check_targets(plan.targets)
    store = None if out is None else Store(out / "finished")
    continuous = [name for name in chosen if name != TOKENS]
    growths, crossings = _continuous(work, plan, continuous, store, bool(methods)) if continuous else ([], [])
    tokens = _tokens(store) if TOKENS in chosen else []
    _show(growths, crossings, tokens, form, as_json)
    for file in (table, out / "scaling.csv" if out else None):
        if file is not None:
            _write(growths, crossings, tokens, file)
    for file in (plot, out / "scaling.png" if out else None):
        if file is not None:
            figures.save(figure.figure(growths, tokens), file)


def _jobs(methods: Sequence[str] | None) -> list[Job]:
    found = [specifications.job_of(text) for text in methods or study.METHODS]
    for job in found:
        if job.method.half != "continuous":
            raise ValueError(
                f"method is {job.method.name!r}, one for tokens: name continuous methods, or none for tokens"
            )
    return found


def _check_targets(names: Sequence[str]) -> None:
    for name in names:
        law = named.load(name)
        if not law.is_gaussian and law.dim > 1:
            raise ValueError(f"target is {name!r}: give a Gaussian or a mixture on the line, such as easy-1d")


def _continuous(
    work: Sequence[Job], plan: study.Plan, against: Sequence[str], store: Store | None, named_methods: bool
) -> tuple[list[study.Growth], list[scaling_crossings.Crossing]]:
    """Measure every method against every size, two at a time: the compiled parts run outside the lock."""
    studies = [study.Study(job, plan, everywhere=named_methods) for job in work]
    pairs = (
        scaling_crossings.pairs_of([s.label for s in studies], named_methods) if "epsilon" in against else []
    )
    of = {s.label: s for s in studies}
    with progress() as bar, ThreadPoolExecutor(2) as pool:
        task = bar.add_task("evaluations needed", total=len(studies) * len(against) + len(pairs))

        def growth_of(one: study.Study) -> list[study.Growth]:
            found = []
            for what in against:
                found += _kept_growths(store, one, what)
                bar.advance(task)
            return found

        def crossing_of(pair: tuple[str, str]) -> list[scaling_crossings.Crossing]:
            found = []
            for name in plan.targets:
                found += _kept_crossings(store, of[pair[0]], of[pair[1]], name)
            bar.advance(task)
            return found

        growths = [g for found in pool.map(growth_of, studies) for g in found]
        crossings = [c for pair in pairs for c in crossing_of(pair)]
    return sorted(growths, key=lambda g: against.index(g.against)), crossings


def _key(one: study.Study) -> dict[str, Any]:
    plan = one.plan
    # a named target can be a file: what it holds is what counts
    asked = {
        "targets": plan.targets,
        "laws": [named.load(name) for name in plan.targets],
        "setting": plan.setting,
        "limits": [plan.most, plan.most_on_line],
    }
    return asked | {"method": one.label, "everywhere": one.everywhere}


def _kept_growths(store: Store | None, one: study.Study, what: str) -> list[study.Growth]:
    key = _key(one) | {"study": f"scaling {what}"}
    saved = store.load(key) if store else None
    if saved is not None:
        return [_growth(record) for record in saved]
    found = list(one.against(what))
    if store:
        store.save(key, [asdict(g) for g in found])
    return found


def _growth(record: dict[str, Any]) -> study.Growth:
    needs = tuple(study.Need(**need) for need in record["needs"])
    return study.Growth(**record | {"needs": needs, "exponent": _slope(record["exponent"])})


def _slope(record: dict[str, Any]) -> Slope:
    crossing = record["crossing"]
    parts = {"window": tuple(record["window"]), "local": tuple(record["local"])}
    return Slope(**record | parts | {"crossing": None if crossing is None else tuple(crossing)})


def _kept_crossings(
    store: Store | None, first: study.Study, second: study.Study, name: str
) -> list[scaling_crossings.Crossing]:
    key = {"study": f"crossings {name}", "first": _key(first), "second": _key(second)}
    saved = store.load(key) if store else None
    if saved is not None:
        return [scaling_crossings.Crossing(**record) for record in saved]
    try:
        found = scaling_crossings.crossings(first, second, name)
    except UnmeasurableError:  # the table against epsilon says which method has no law and why
        found = []
    if store:
        store.save(key, [asdict(c) for c in found])
    return found


def _tokens(store: Store | None) -> list[on_tokens.Scaling]:
    found: list[on_tokens.Scaling] = []
    with progress() as bar:
        task = bar.add_task("steps needed by tokens", total=on_tokens.LADDERS)
        for place, ladder in enumerate(on_tokens.ladders()):
            key = {"study": "scaling tokens", "place": place}
            saved = store.load(key) if store else None
            if saved is None:
                one = ladder()
                if store:
                    store.save(key, asdict(one))
            else:
                parts = {"sizes": tuple(saved["sizes"]), "steps": tuple(saved["steps"])}
                one = on_tokens.Scaling(**saved | parts | {"exponent": _slope(saved["exponent"])})
            found.append(one)
            bar.advance(task)
    return found


def _show(
    growths: Sequence[study.Growth],
    crossings: Sequence[scaling_crossings.Crossing],
    tokens: Sequence[on_tokens.Scaling],
    form: str | None,
    as_json: bool,
) -> None:
    found: list[Report] = []
    if as_json:
        if growths:
            found.append(Report("scaling-continuous", "Evaluations needed", scaling_frames.long(growths)))
        if crossings:
            found.append(Report("crossings", "Crossings", scaling_frames.crossing_frame(crossings)))
    else:
        found += scaling_frames.reports(growths, crossings)
    if tokens:
        frame = on_tokens.frame(tokens) if as_json else on_tokens.summary(tokens)
        found.append(Report("scaling", "Steps that ancestral sampling of tokens needs", frame))
    show(found, form, as_json)


def _write(
    growths: Sequence[study.Growth],
    crossings: Sequence[scaling_crossings.Crossing],
    tokens: Sequence[on_tokens.Scaling],
    file: Path,
) -> None:
    """Write everything measured: one table in the file named, crossings and, beside others, tokens in their own."""
    parts: list[tuple[str, pd.DataFrame]] = []
    if growths:
        parts.append(("", scaling_frames.long(growths)))
    if crossings:
        parts.append(("-crossings", scaling_frames.crossing_frame(crossings)))
    if tokens:
        parts.append(("-tokens" if parts else "", on_tokens.frame(tokens)))
    for ending, frame in parts:
        render.write(frame, file.with_stem(file.stem + ending))
