"""A sampler on a fixed grid as a table of coefficients: a stochastic general linear method.

A step maps registers Z (register 0 is the sample) through stages F to registers Z'::

    stage inputs   U_i  = sum_r U[i,r] Z_r + sum_{j<i} A[i,j] F_j + sum_m G[i,m] xi_m
    evaluations    F_i  = a_i E[x_0 | U_i] + b_i score(U_i) at level_i = (alpha, sigma)
    registers      Z'_r = sum_s V[r,s] Z_s + sum_j B[r,j] F_j + sum_m H[r,m] xi_m

with independent standard normal channels xi_m. What is asked of the model, (a, b), is (1, 0) for its denoiser,
(0, 1) for the score and (alpha', -sigma sigma') for the flow's velocity alpha' E[x_0|x] + sigma' E[eps|x], which is
regular where alpha = 0 and where sigma = 0. On an interpolant, whose velocity no weights of these two give, a is the
weight of the velocity itself: F_i = a_i v(U_i) + b_i score(U_i). A, U, B, V are Burrage and Butcher's names (1980).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path as FilePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analytic import reprs

from ..protocols import Path
from .functionals import FUNCTIONALS, known

Array = NDArray[np.float64]
_COEFFICIENTS = ("U", "A", "G", "V", "B", "H", "asks", "levels", "times", "span", "during")
_TERMS = {
    "U": "stage {0} takes register {1}",
    "A": "stage {0} takes evaluation {1}",
    "G": "stage {0} takes noise {1}",
    "V": "register {0} takes register {1}",
    "B": "register {0} takes evaluation {1}",
    "H": "register {0} takes noise {1}",
    "asks": "evaluation {0} asks for part {1} (0: E[x_0|x] or the velocity, 1: the score)",
    "levels": "evaluation {0} is at level {1} (0: alpha, 1: sigma)",
}


@dataclass(frozen=True, eq=False)
class Block:
    """A run of consecutive steps of one shape; every array leads with the step.

    Attributes
    ----------
    U, A, G : (steps, stages, registers_in | stages | channels) float64 arrays
        Stage inputs. A is strictly lower triangular.
    V, B, H : (steps, registers_out, registers_in | stages | channels) float64 arrays
        Register updates.
    asks : (steps, stages, 2) float64 array
        What each evaluation is: weights of E[x_0 | x], or on an interpolant of the velocity, and of the score.
    levels : (steps, stages, 2) float64 array
        alpha and sigma of each evaluation.
    times : (steps, stages) float64 array
        Time of each evaluation, nan where the level is off the path.
    span : (steps, 2) float64 array
        Times between which the step moves the sample: from, to. Equal for a step that stays.
    during : (steps, channels, 2) float64 array
        Times between which each channel is a functional of the Brownian path, within the span: from, to.
    functionals : tuple of (str or None), one a channel
        Which functional of the Brownian path the channel is (`solvers.continuous.functionals`), None for
        noise that belongs to no path.
    """

    U: Array
    A: Array
    G: Array
    V: Array
    B: Array
    H: Array
    asks: Array
    levels: Array
    times: Array
    span: Array
    during: Array
    functionals: tuple[str | None, ...]

    __repr__ = reprs.brief

    def __post_init__(self) -> None:
        for name in _COEFFICIENTS:
            array = np.array(getattr(self, name), dtype=np.float64)
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        n, stages, channels = len(self.span), self.stages, len(self.functionals)
        into, out = self.U.shape[2], self.V.shape[1]
        expected = {
            "U": (n, stages, into),
            "A": (n, stages, stages),
            "G": (n, stages, channels),
            "V": (n, out, into),
            "B": (n, out, stages),
            "H": (n, out, channels),
            "asks": (n, stages, 2),
            "levels": (n, stages, 2),
            "times": (n, stages),
            "span": (n, 2),
            "during": (n, channels, 2),
        }
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise ValueError(
                    f"{name} has shape {getattr(self, name).shape}, expected {shape}: give a block of {n} steps, "
                    f"{stages} stages, {channels} channels consistent arrays"
                )
        if not np.all(np.isfinite(self.span)):
            raise ValueError(f"span holds {self.span[~np.isfinite(self.span)][0]}: give finite times")
        for name, meaning in _TERMS.items():
            bad = np.argwhere(~np.isfinite(getattr(self, name)))
            if len(bad):
                step, row, column = (int(i) for i in bad[0])
                start, stop = self.span[step].tolist()
                raise ValueError(
                    f"{name}[{step}, {row}, {column}] is {getattr(self, name)[step, row, column]} in the step from "
                    f"t = {start:g} to {stop:g}, where {meaning.format(row, column)}: this has no limit; "
                    "where sigma = 0 or alpha = 0 take a first-order step, ask for the velocity, or "
                    "start the grid where alpha > 0"
                )
        if np.any(np.triu(self.A)):
            raise ValueError("A has an entry on or above its diagonal: a stage may only use earlier stages")
        if np.any(self.levels < 0) or np.any(self.levels.sum(axis=2) == 0):
            raise ValueError(
                "levels has a negative entry or alpha = sigma = 0: give alpha >= 0, sigma >= 0, not both zero"
            )
        if np.any(self.span[:, 1] > self.span[:, 0]):
            raise ValueError("span goes up in time: samplers walk a decreasing grid")
        if not np.all(np.any(self.asks, axis=2)):
            raise ValueError("asks has (0, 0): an evaluation must ask for something, leave it out instead")
        if np.any(self.during > self.span[:, None, :1]) or np.any(self.during < self.span[:, None, 1:]):
            raise ValueError("during leaves the span: a step's noise is of the times that the step covers")
        for functional in self.functionals:
            if functional is not None and not known(functional):
                raise ValueError(f"functionals has {functional!r}: use None or one of {tuple(FUNCTIONALS)}")

    def __len__(self) -> int:
        return len(self.span)

    @property
    def stages(self) -> int:
        """Evaluations a step."""
        return self.A.shape[1]

    @property
    def registers_in(self) -> int:
        """Registers a step takes."""
        return self.U.shape[2]

    @property
    def registers_out(self) -> int:
        """Registers a step leaves."""
        return self.V.shape[1]

    def __getitem__(self, index: int) -> Block:
        """Return one step, as a block of length one."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"index is {index}: the block has {len(self)} steps")
        index %= len(self)
        arrays = {name: getattr(self, name)[index : index + 1] for name in _COEFFICIENTS}
        return Block(**arrays, functionals=self.functionals)


@dataclass(frozen=True)
class Channel:
    """One N(0, I) a sampler draws: which step, which functional of the path, between which times."""

    step: int
    functional: str | None
    start: float
    stop: float


@dataclass(frozen=True, eq=False)
class Tableau:
    """A sampler on a grid. Immutable; checked when built; printable; saved by `save`.

    Attributes
    ----------
    name : str
    blocks : tuple of Block
        The steps in order; `steps` walks them one by one.
    grid : (nodes,) float64 array
        The decreasing times it was built on.
    start, end : (alpha, sigma)
        Level the sample has before the first and after the last step.
    path : Path or None
        Needed only by `strong` and by models that take a time; None if `load` was not given it.
    prior_deviation : float
        Standard deviation of the conventional N(0, s^2 I) start.
    stochasticity : float or None
        eta of the reverse SDE dx = [f x - (1 + eta^2)/2 g^2 score] dt + eta g dW the method
        approximates: 0 for the probability-flow ODE, None if it follows no such equation.
    process : str
        What its path is, and so what its evaluations ask for.
    """

    name: str
    blocks: tuple[Block, ...]
    grid: Array
    start: tuple[float, float]
    end: tuple[float, float]
    path: Path | None
    prior_deviation: float
    stochasticity: float | None
    options: dict[str, Any] = field(default_factory=dict)
    process: str = "noising"

    __repr__ = reprs.brief

    def __post_init__(self) -> None:
        if not self.blocks:
            raise ValueError("blocks is empty: a tableau needs at least one step")
        registers = 1
        for index, block in enumerate(self.blocks):
            if block.registers_in != registers:
                raise ValueError(
                    f"block {index} takes {block.registers_in} registers but the one before leaves {registers}"
                )
            if len(block) > 1 and block.registers_in != block.registers_out:
                raise ValueError(
                    f"block {index} repeats a step that changes the number of registers: split it"
                )
            registers = block.registers_out
        if registers < 1:
            raise ValueError("the last step leaves no register: register 0 is the sample")
        spans = np.concatenate([block.span for block in self.blocks])
        if not np.array_equal(spans[1:, 0], spans[:-1, 1]):
            first = int(np.argmax(spans[1:, 0] != spans[:-1, 1]))
            raise ValueError(
                f"step {first + 1} starts at {spans[first + 1, 0]} but step {first} ended at {spans[first, 1]}"
            )

    def __len__(self) -> int:
        return sum(len(block) for block in self.blocks)

    @property
    def steps(self) -> Iterator[Block]:
        """The steps one by one, each a block of length one."""
        return (block[i] for block in self.blocks for i in range(len(block)))

    @property
    def nfe(self) -> int:
        """Number of model evaluations a sample costs."""
        return sum(len(block) * block.stages for block in self.blocks)

    @cached_property
    def channels(self) -> tuple[Channel, ...]:
        """The N(0, I) draws in the order executors use them: step by step, channel by channel."""
        out: list[Channel] = []
        index = 0
        for block in self.blocks:
            for during in block.during.tolist():
                out.extend(Channel(index, f, *own) for f, own in zip(block.functionals, during, strict=True))
                index += 1
        return tuple(out)

    @property
    def deterministic(self) -> bool:
        """True if no step draws noise."""
        return not any(np.any(block.G) or np.any(block.H) for block in self.blocks)

    def __str__(self) -> str:
        lines = [
            f"{self.name}: {len(self)} steps, {self.nfe} NFE, {len(self.channels)} noise channels, "
            f"level ({self.start[0]:.6g}, {self.start[1]:.6g}) -> ({self.end[0]:.6g}, {self.end[1]:.6g})"
        ]
        first = 0
        for block in self.blocks:
            last = first + len(block) - 1
            label = f"step {first}" if last == first else f"steps {first}..{last} (first shown)"
            lines.append(
                f"{label}: {block.stages} stages, registers {block.registers_in} -> {block.registers_out}, "
                f"noise {block.functionals}"
            )
            for name in ("U", "A", "G", "V", "B", "H", "asks"):
                if getattr(block, name)[0].size:
                    rows = "; ".join(" ".join(f"{v: .6g}" for v in row) for row in getattr(block, name)[0])
                    lines.append(f"  {name} = [{rows}]")
            first = last + 1
        return "\n".join(lines)

    def save(self, file: str | FilePath) -> None:
        """Write the tableau to an .npz file; the path is not part of it, `load` takes it again."""
        arrays: dict[str, Any] = {"grid": self.grid}
        for index, block in enumerate(self.blocks):
            for name in _COEFFICIENTS:
                arrays[f"{index}.{name}"] = getattr(block, name)
        header = {item.name: getattr(self, item.name) for item in fields(self)}
        header |= {
            "blocks": [{"functionals": block.functionals} for block in self.blocks],
        }
        del header["grid"], header["path"]
        np.savez_compressed(file, allow_pickle=False, header=np.array(json.dumps(header)), **arrays)

    @staticmethod
    def load(file: str | FilePath, path: Path | None = None) -> Tableau:
        """Read a tableau written by `save`; `path` is needed again for `strong` and for models that take a time.

        Raises ValueError if the file holds no tableau.
        """
        with np.load(file, allow_pickle=False) as data:
            if "header" not in data:
                raise ValueError(f"file {file} holds no tableau: give one written by Tableau.save")
            header = json.loads(str(data["header"]))
            blocks = tuple(
                Block(
                    **{name: data[f"{index}.{name}"] for name in _COEFFICIENTS},
                    functionals=tuple(info["functionals"]),
                )
                for index, info in enumerate(header["blocks"])
            )
            grid = data["grid"]
        header |= {"blocks": blocks, "grid": grid, "path": path}
        header |= {"start": tuple(header["start"]), "end": tuple(header["end"])}
        return Tableau(**header)
