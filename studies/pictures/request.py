"""What the words of `assay pictures` ask for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from analytic import chains, sequences
from analytic import targets as named

from .. import specifications
from ..order.on_tokens import TokenSetting
from ..setting import Setting
from ..study import Study
from . import revealed as tokens
from . import trajectories as ways
from .study import BUDGETS, METHODS, Pictures


def samples(
    methods: Sequence[str] | None,
    target: str,
    path: str,
    grid: str | None,
    nfe: Sequence[int] | None,
    count: int,
    seed: int,
) -> Study[Any]:
    """Return the study of samples in the plane; ValueError for another target."""
    law = named.load(target)
    if law.dim != 2:
        raise ValueError(
            f"target is {target!r} of dimension {law.dim}: give one in the plane, such as nine-2d"
        )
    work = [specifications.job_of(text) for text in methods or METHODS]
    setting = Setting(*specifications.path_and_grid(path, grid, "karras"), samples=count, seed=seed)
    return Pictures(work, target, law, setting, tuple(nfe or BUDGETS))


def trajectories(
    methods: Sequence[str] | None, target: str, path: str, grid: str | None, steps: int, count: int, seed: int
) -> Study[Any]:
    """Return the study of ways on the line; ValueError for another target."""
    law = named.load(target)
    if law.dim != 1:
        raise ValueError(
            f"target is {target!r} of dimension {law.dim}: give one on the line, such as easy-1d"
        )
    work = [specifications.job_of(text) for text in methods or ways.METHODS]
    setting = Setting(*specifications.path_and_grid(path, grid, "log-snr"), seed=seed)
    return ways.Trajectories(work, target, law, setting, steps, count)


def revealed(methods: Sequence[str] | None, target: str, steps: int, width: int, seed: int) -> Study[Any]:
    """Return the study of tokens under masks."""
    data = sequences.load(target)
    work = [specifications.job_of(text) for text in methods or tokens.METHODS]
    setting = TokenSetting("masks", chains.Absorbing(data.vocabulary, "linear"), "uniform")
    return tokens.Revealed(work, target, data, setting, steps, min(width, data.length), seed)
