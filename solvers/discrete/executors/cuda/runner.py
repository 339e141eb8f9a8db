"""Token samplers on a device: which kernels carry out their moves, what they are given, and in what memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ....cuda.device import Device
from ...kernel import Kernel
from ...model.cavities import Model
from ...moves.move import Move, Thread
from ..fused import Trajectories, trajectories
from . import kernels
from .kernels import built, compiled, start
from .plans import LINES, ROWS, fused_plan, in_registers, start_plan, steps_plan

_SHARE = 0.5  # of the free memory that one launch takes at most


def carry_of(fused: Trajectories) -> Callable[..., None]:
    """Return what a thread does in whole trajectories."""
    return kernels.fused_by_messages if fused.near is None else kernels.fused_by_neighbours


class Runner:
    """A token sampler on a device.

    Parameters
    ----------
    kernel : Kernel
    model : Model
    device : Device

    Raises
    ------
    ValueError
        A move that has no kernel for such data.
    TypeError
        A guided kernel on data without labels.
    """

    def __init__(self, kernel: Kernel, model: Model, device: Device) -> None:
        self.kernel, self.model, self.device = kernel, model, device
        fused = trajectories(kernel.moves, model)
        # Poisson numbers of jumps need scratch, which the loops over whole trajectories have none of
        poisson = fused is not None and any(move.exit == "poisson" for move in fused.moves)
        self.fused = None if poisson else fused
        self.threads = [] if self.fused else [self._thread(move) for move in kernel.moves]

    def _thread(self, move: Move) -> Thread:
        """Return what a move gives a GPU. Raises ValueError if it does not run there."""
        thread = move.thread(self.model)
        if thread is None:
            exit_kind = getattr(move, "exit", "")
            what = f"{type(move).__name__}({exit_kind})" if exit_kind else type(move).__name__
            raise ValueError(
                f"device is {self.device.name!r}, where {self.kernel.name!r} with its move {what} on "
                f"{self.model.data!r} does not run: on a MarkovSequence most moves do, guided ones on Labelled ones, "
                "on other data event-driven ones; use device='cpu'"
            )
        return thread

    @property
    def row_bytes(self) -> int:
        """Device memory that one sequence takes."""
        L, V, S = self.model.sizes
        lines = 0 if in_registers(self.model) else LINES * V + ROWS * S
        if self.fused is not None:
            return 8 * (2 * L + lines + (3 * L if self.fused.near else L * V))
        scratch = (sum(math.prod(sizes) for _, *sizes in one.scratch.values()) for one in self.threads)
        return 8 * (2 * L + 2 + lines + max(scratch, default=0))

    def rows(self) -> int:
        """Sequences that one launch takes at most. Raises MemoryError if there is no room for one."""
        self.device.check_room(self.row_bytes, "free memory on the device, or take shorter sequences")
        return max(1, int(_SHARE * self.device.free() / self.row_bytes))

    def sent(self, tokens: Any) -> Any:
        """Return tokens (n, L), a NumPy array, as states (L, n) on the device."""
        return self.device.xp.asarray(np.ascontiguousarray(tokens.T))

    def start(self, tokens: Any, table: Any, seed: Any, first: int) -> Any:
        """Return states (L, n) on the device, drawn from the rows of a table (V, S) that tokens (n, L) name."""
        states = self.sent(tokens) if tokens.any() else self.device.xp.zeros(tokens.T.shape, np.int64)
        self.device.launch(
            compiled(start), len(tokens), (start_plan(table, states, seed, first, self.device),)
        )
        return states

    def draw(self, states: Any, seed: Any, first: int) -> Any:
        """Carry states (L, n) through all moves, in place; return them as tokens (n, L)."""
        xp = self.device.xp
        if self.fused is not None:
            self._draw_fused(self.fused, states, seed, first)
        else:
            for number in range(len(self.threads)):
                self._draw_steps(number, states, seed, first)
        return xp.ascontiguousarray(states.T)

    def _launch(self, carry: Callable[..., None], plan: Any) -> None:
        kernel = compiled(built(carry, plan, self.model))
        self.device.launch(kernel, plan.states.shape[1], (plan,))

    def _draw_fused(self, fused: Trajectories, states: Any, seed: Any, first: int) -> None:
        failed = self.device.xp.zeros((states.shape[1], 3), np.int64)
        plan = fused_plan(fused, states, failed, seed, first, self.device)
        self._launch(carry_of(fused), plan)
        wrong = failed[:, 1:].any(axis=1)
        if bool(wrong.any()):
            move, impossible, bad = (int(v) for v in failed[wrong][0])
            if impossible:
                raise fused.moves[move].impossible(f"{int(wrong.sum())} such samples")
            raise fused.moves[move].no_law(bad)

    def _draw_steps(self, number: int, states: Any, seed: Any, first: int) -> None:
        move, thread = self.kernel.moves[number], self.threads[number]
        failed = self.device.xp.zeros((states.shape[1], 2), np.int64)
        plan = steps_plan(thread, self.model, states, failed, seed, first, number, self.device)
        self._launch(thread.carry, plan)
        impossible, bad = (int(v) for v in failed.sum(axis=0))
        if impossible:
            raise move.impossible(f"{impossible} such samples")
        if bad:
            raise move.no_law(bad)
