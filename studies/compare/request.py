"""What the words of `assay compare` ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from analytic import GaussianMixture, sequences
from analytic.names import unknown

from .. import specifications, wrong_scores
from ..order.on_tokens import TokenSetting, default_settings
from ..order.request import targets_of
from ..setting import Job, Setting
from .places import OnMixture, OnTokens, Place
from .study import Comparison

__all__ = ["all_metrics_are_some", "comparison", "methods_of", "on_mixtures", "on_tokens", "targets_of"]


def methods_of(
    texts: Sequence[str] | None, targets: Sequence[str] | None, mixed: Sequence[str], tokens: Sequence[str]
) -> tuple[list[Job], list[Job]]:
    """Return the continuous methods and those of tokens that were named, by default some for the targets there are."""
    if not texts:
        of_tokens = [t for t in targets or () if t in sequences.catalogue or Path(t).suffix == ".txt"]
        texts = [
            *(mixed if not targets or len(of_tokens) < len(targets) else ()),
            *(tokens if of_tokens else ()),
        ]
    work = [specifications.job_of(text) for text in texts]
    return (
        [job for job in work if job.method.half == "continuous"],
        [job for job in work if job.method.half == "discrete"],
    )


def on_mixtures(
    targets: Mapping[str, GaussianMixture],
    paths: Sequence[str] | None,
    grids: Sequence[str] | None,
    begin: float | None,
    end: float | None,
    initial: str,
    score: str = "exact",
) -> list[Place]:
    """Return every target on every path with every grid; on an interpolant the way to it from the law of -0.6 x.

    Raises ValueError for begin and end that a path does not have, and for a score that is none or that there is no way
    to ask.
    """
    found: list[Place] = []
    for path in paths or ("VP",):
        for grid in grids or (None,):
            where, nodes = specifications.path_and_grid(path, grid, "log-snr")
            setting = Setting(where, nodes, begin, end, initial)
            setting.nodes(2)  # complains about begin and end before anything is measured
            name = grid or (nodes if isinstance(nodes, str) else "its own")
            for target, law in targets.items():
                on_path = setting.on(law)
                if on_path is not law and (score != "exact" or initial != "marginal"):
                    raise ValueError(
                        f"path is {path!r}, from one law to another: leave out --score and --initial, which are for "
                        "noise"
                    )
                model = wrong_scores.score_of(score, law, where)
                found.append(OnMixture(target, on_path, path, name, setting, model))
    return found


def on_tokens(
    targets: Mapping[str, sequences.SequenceLaw],
    noises: Sequence[str] | None,
    grids: Sequence[str] | None,
    begin: float | None,
    end: float | None,
    initial: str,
    score: str = "exact",
) -> list[Place]:
    """Return every law under every noise with every grid.

    Raises ValueError for a score that is no model of one's own, and for one of sequences that cannot be enumerated.
    """
    if score != "exact" and not specifications.is_file(score):
        raise ValueError(f"score is {score!r}: of tokens give FILE.py:NAME, a model of your own, or exact")
    model = wrong_scores.OwnModel.of(score) if score != "exact" else None
    found: list[Place] = []
    for target, law in targets.items():
        settings = default_settings(law.vocabulary, long=law.length > 16)
        if noises:
            settings = [TokenSetting(text, specifications.noise_of(text, law.vocabulary)) for text in noises]
        for setting in settings:
            for grid in grids or (setting.grid,):
                own = replace(setting, grid=grid, start=begin, stop=end, initial=initial)
                own.nodes(2)  # complains about grid, begin and end before anything is measured
                place = OnTokens(target, law, setting.noise, grid, own, model)
                if model is not None and place.by_samples:
                    raise ValueError(
                        f"score is {score!r}, but target {target} is too long for the exact law by which models of "
                        "tokens are compared: give one of at most 131072 states"
                    )
                found.append(place)
    return found


def comparison(
    work: Sequence[Job], places: Sequence[Place], metrics: Sequence[str] | None, **asked: Any
) -> Comparison:
    """Return the study of methods at places."""
    return Comparison(work, places, metrics=tuple(metrics or ()), **asked)


def all_metrics_are_some(metrics: Sequence[str] | None, studies: Sequence[Any]) -> None:
    """Raise ValueError for a metric that no place has."""
    known = list(dict.fromkeys(m for study in studies for place in study.places for m in place.metrics))
    for metric in metrics or ():
        if metric not in known:
            raise unknown("metric", metric, known)
