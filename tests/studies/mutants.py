"""Mutants of tableaux: one coefficient, level, noise or step of a method is wrong throughout."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from analytic import paths
from solvers import Tableau, catalogue, grids
from solvers.continuous.tableau import Block

TABLES = ("U", "A", "G", "V", "B", "H")
PATH = paths.VP()


@dataclass(frozen=True)
class Mutant:
    """A method with a fault, and a word for the fault."""

    method: str
    fault: str
    build: Callable[[Any], Tableau]


def _typical(name: str, options: dict[str, Any]) -> Block:
    """Return the block that most of the steps have."""
    tableau = catalogue[name].tableau(PATH, grids.log_snr(PATH, 12), **options)
    return max(tableau.blocks, key=len)


def _same(block: Block, typical: Block) -> bool:
    return all(getattr(block, table).shape[1:] == getattr(typical, table).shape[1:] for table in TABLES)


def _changed(name: str, options: dict[str, Any], typical: Block, change: Callable[[Block], Block]) -> Any:
    def build(times: Any) -> Tableau:
        tableau = catalogue[name].tableau(PATH, times, **options)
        blocks = tuple(change(block) if _same(block, typical) else block for block in tableau.blocks)
        return replace(tableau, blocks=blocks)

    return build


def _with_entry(table: str, row: int, column: int, factor: float) -> Callable[[Block], Block]:
    def change(block: Block) -> Block:
        values = getattr(block, table).copy()
        values[:, row, column] *= factor
        return replace(block, **{table: values})

    return change


def _with_columns_swapped(table: str, one: int, other: int) -> Callable[[Block], Block]:
    def change(block: Block) -> Block:
        values = getattr(block, table).copy()
        values[:, :, [one, other]] = values[:, :, [other, one]]
        return replace(block, **{table: values})

    return change


def _with_level_of(stage: int, end: int) -> Callable[[Block], Block]:
    """Ask the stage at the level of the step's start (0) or end (1)."""

    def change(block: Block) -> Block:
        levels, times = block.levels.copy(), block.times.copy()
        t = block.span[:, end]
        usable = PATH.sigma(t) > 0
        times[usable, stage] = t[usable]
        levels[usable, stage] = np.stack([PATH.alpha(t), PATH.sigma(t)], axis=1)[usable]
        return replace(block, levels=levels, times=times)

    return change


def _with_noise_redrawn(channel: int) -> Callable[[Block], Block]:
    """The stages see one noise, the step adds another."""

    def change(block: Block) -> Block:
        G, H = block.G, block.H
        return replace(
            block,
            G=np.concatenate([G, np.zeros_like(G[:, :, :1])], axis=2),
            H=np.concatenate(
                [np.where(np.arange(H.shape[2]) == channel, 0.0, H), H[:, :, channel : channel + 1]],
                axis=2,
            ),
            during=np.concatenate([block.during, block.during[:, channel : channel + 1]], axis=1),
            functionals=(*block.functionals, None),
        )

    return change


def _without(name: str, options: dict[str, Any], left_out: int) -> Any:
    """Walk the grid without its first or last step; the sample is taken to be where it should be."""

    def build(times: Any) -> Tableau:
        return catalogue[name].tableau(PATH, times[1:] if left_out == 0 else times[:-1], **options)

    return build


def mutants(name: str, options: dict[str, Any] | None = None) -> Iterator[Mutant]:
    """Yield all mutants of a method."""
    options = options or {}
    typical = _typical(name, options)

    def made(fault: str, change: Callable[[Block], Block]) -> Mutant:
        return Mutant(name, fault, _changed(name, options, typical, change))

    for table in TABLES:
        values = getattr(typical, table)
        for row, column in np.argwhere(np.abs(values).max(axis=0) > 0).tolist():
            at = f"{table}[{row}, {column}]"
            yield made(f"{at} times 1.03", _with_entry(table, row, column, 1.03))
            yield made(f"-{at}", _with_entry(table, row, column, -1.0))
            yield made(f"{at} dropped", _with_entry(table, row, column, 0.0))
    for one in range(typical.stages):
        for other in range(one + 1, typical.stages):
            if np.any(typical.B[:, :, one] != typical.B[:, :, other]):
                yield made(f"B columns {one} and {other} swapped", _with_columns_swapped("B", one, other))
    for stage in range(typical.stages):
        for end in (0, 1):
            if np.any(np.abs(typical.times[:, stage] - typical.span[:, end]) > 1e-12):
                yield made(
                    f"stage {stage} at the level of the step's {('start', 'end')[end]}",
                    _with_level_of(stage, end),
                )
    for channel in range(len(typical.functionals)):
        if np.any(typical.G[:, :, channel]):
            yield made(f"noise {channel} redrawn", _with_noise_redrawn(channel))
    yield Mutant(name, "first step left out", _without(name, options, 0))
    yield Mutant(name, "last step left out", _without(name, options, 1))
