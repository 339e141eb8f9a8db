"""What the words of `assay order` ask for: methods and targets of one half or of both, and the studies that answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from analytic import GaussianMixture, paths, sequences
from analytic import targets as named
from analytic.names import unknown
from solvers.catalogue import PATHS_OF
from solvers.discrete.model.every_state import MOST_STATES
from solvers.protocols import a_process, noising

from .. import specifications
from ..setting import PLAIN, Grid, Job, Setting, distinct_starts, jobs
from ..study import Study
from . import on_data, on_text
from .on_data import DataErrors, by_samples_only
from .on_text import TextErrors
from .on_tokens import TARGETS as TOKEN_TARGETS
from .on_tokens import TokenOrders, TokenSetting, common_vocabulary, default_settings, pairs, token_jobs
from .study import TARGETS, Orders


def methods_of(
    texts: Sequence[str] | None, starts: Sequence[str], whole: bool = False
) -> tuple[list[Job], list[Job]]:
    """Return the methods named, continuous ones from each start and those of tokens; all of both by default.

    With `whole` continuous ones once more for all options of their claims; ValueError if methods are named too.
    """
    if texts and whole:
        raise ValueError(
            f"--all is for the whole catalogue: leave out {', '.join(texts)}, or name options yourself"
        )
    if not texts:
        return jobs(None, starts, whole), token_jobs()
    found = [job for text in texts for job in _from_starts(text, starts)]
    return tuple([j for j in found if j.method.half == half] for half in ("continuous", "discrete"))  # type: ignore[return-value]


def _from_starts(text: str, starts: Sequence[str]) -> list[Job]:
    named_start = specifications.split("method", text)[2].get("start")
    return distinct_starts(specifications.job_of(text), (named_start,) if named_start else starts)


def targets_of(
    texts: Sequence[str] | None, continuous: bool, tokens: bool, only_tokens: bool = False
) -> tuple[dict[str, GaussianMixture], dict[str, sequences.SequenceLaw]]:
    """Return the targets named, mixtures and laws of tokens; by default those worth a table, for the methods there are.

    Raises ValueError for a target of a half that no method is of.
    """
    if not texts:
        return (
            {t: named.load(t) for t in TARGETS} if continuous and not only_tokens else {},
            {t: sequences.load(t) for t in TOKEN_TARGETS} if tokens else {},
        )
    of_tokens = [t for t in texts if t in sequences.catalogue or Path(t).suffix == ".txt"]
    both = (*named.catalogue, *sequences.catalogue)
    for text in texts:
        if not Path(text).suffix and text not in both:
            raise unknown("target", text, both, "`assay list sequences` those of tokens")
    mixtures = {t: named.load(t) for t in texts if t not in of_tokens}
    laws = {t: sequences.load(t) for t in of_tokens}
    for found, have, half in ((mixtures, continuous, "continuous"), (laws, tokens, "discrete")):
        if found and not have:
            raise ValueError(
                f"target is {next(iter(found))!r}, which is for {half} methods, and no method named is one: "
                "name methods and targets of one half (see assay list)"
            )
    return mixtures, laws


def place(
    path: str | None, grid: str | None, work: Sequence[Job], named: bool
) -> tuple[list[Job], paths.Gaussian, Grid]:
    """Return the methods to measure, and the path and the grid where.

    Without a path it is the plain one of the methods' process, or of noising where they are of several: the others are
    then measured on their own plain paths (`Setting.of`). A path that is given is for the methods of its process;
    others are left out.

    Raises ValueError if methods were named that are for another process, and for an unknown path or grid.
    """
    if path is None:
        processes = {job.method.process for job in work}
        plain = PLAIN[processes.pop() if len(processes) == 1 else "noising"]()
        return list(work), plain, specifications.grid_of(grid or plain.grid)
    chosen, nodes = specifications.path_and_grid(path, grid)
    fitting = [job for job in work if chosen.process in job.method.processes]
    other = next((job.method for job in work if chosen.process not in job.method.processes), None)
    if named and other:
        raise ValueError(
            f"path is {path!r}, {a_process(chosen.process)}, and {other.name} is for {other.process} ones: give "
            f"{PATHS_OF[other.process]}, or no path for the plain one"
        )
    return fitting, chosen, nodes


def on_mixtures(
    work: Sequence[Job], targets: Mapping[str, GaussianMixture], setting: Setting, samples: int | None
) -> Study[Any]:
    """Return the study of mixtures: orders or, on data, error against evaluations.

    Raises ValueError for data beside other targets, and for a setting no grid can take.
    """
    setting.nodes(16)  # complains about begin and end before anything is measured
    data = [name for name, target in targets.items() if by_samples_only(target)]
    if not data:
        return Orders(work, targets, setting if samples is None else replace(setting, samples=samples))
    if len(targets) > 1:
        raise ValueError(f"target is {', '.join(targets)}: study {data[0]}, which is data, on its own")
    setting = replace(setting, samples=samples or on_data.SAMPLES)
    if not noising(setting.path):
        raise ValueError(
            f"target is {data[0]!r}, which is data: give a Gaussian path, or a mixture for {setting.path!r}"
        )
    practical = [j for j in work if j.start == "practical" and setting.path.process in j.method.processes]
    return DataErrors(practical, data[0], targets[data[0]], setting)


def on_tokens(
    work: Sequence[Job],
    laws: Mapping[str, sequences.SequenceLaw],
    noises: Sequence[str] | None,
    samples: int | None,
    seed: int,
    strict: bool,
    **setting: Any,
) -> Study[Any]:
    """Return the study of tokens: orders by exact law or, on laws too long to enumerate, statistics of samples.

    Parameters
    ----------
    strict : bool
        Complain about a method that takes none of the noises.
    **setting
        What the fields of TokenSetting are to be; None leaves a noise's own.

    Raises
    ------
    ValueError
        Targets of several vocabularies, a long one beside others, an unknown noise.
    """
    vocabulary = common_vocabulary(laws)
    known = {name: value for name, value in setting.items() if value is not None}
    long = _too_long(laws, vocabulary + 1)
    settings = default_settings(vocabulary, long=bool(long))
    if noises:
        settings = [TokenSetting(text, specifications.noise_of(text, vocabulary)) for text in noises]
        long = _too_long(laws, max(s.process.states for s in settings))
    settings = [replace(s, **known) for s in settings]
    for one in settings:
        one.nodes(4)  # complains about grid, begin and end before anything is measured
    if long and len(laws) > 1:
        raise ValueError(f"target is {', '.join(laws)}: study {long[0]}, too long for exact laws, on its own")
    chosen = list(pairs(work, settings, strict=strict))
    if not long:
        return TokenOrders(chosen, laws)
    return TextErrors(chosen, long[0], laws[long[0]], samples or on_text.SAMPLES, seed)


def _too_long(laws: Mapping[str, sequences.SequenceLaw], states: int) -> list[str]:
    return [name for name, data in laws.items() if states**data.length > MOST_STATES]
