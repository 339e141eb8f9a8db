"""Token samplers on a device: which kernels carry out their moves, what they are given, and in what memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from analytic import sequences

from ....cuda.device import Device
from ...kernel import Kernel
from ...model.cavities import Model, undefined
from ...model.messages_by_label import stacked
from ...moves.births import Births
from ...moves.event_loop import EXCEEDED, IMPOSSIBLE
from ...moves.events import EXCEEDED_RATE, Events, impossible_start
from ...moves.first_jump import FirstJump
from ...moves.guided import Guided, labelled
from ...moves.move import Move
from ...moves.pair import Pair
from ...moves.reveal import Reveal
from ...moves.site import longest
from ...moves.sites import Sites
from ..fused import Trajectories, trajectories
from . import kernels
from .kernels import built, compiled, start
from .plans import (
    LINES,
    ROWS,
    events_plan,
    fused_plan,
    in_registers,
    poisson,
    start_plan,
    steps_plan,
    times_of,
)

_SHARE = 0.5  # of the free memory that one launch takes at most

MOVES: dict[type, Callable[..., None]] = {
    Sites: kernels.sites,
    Pair: kernels.pair,
    Reveal: kernels.reveal,
    Births: kernels.births,
    FirstJump: kernels.first_jump,
    Guided: kernels.guided,
}


def carry_of(what: Move | Trajectories) -> Callable[..., None]:
    """Return what a thread does in a move, or in whole trajectories."""
    if isinstance(what, Trajectories):
        return kernels.fused_by_messages if what.near is None else kernels.fused_by_neighbours
    if isinstance(what, Events):
        return kernels.events
    return kernels.poisson_sites if poisson(what) else MOVES[type(what)]


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
        self.fused = None if any(map(poisson, kernel.moves)) else trajectories(kernel.moves, model)
        for move in kernel.moves:
            if not self._runs(move):
                exit_kind = getattr(move, "exit", "")
                what = f"{type(move).__name__}({exit_kind})" if exit_kind else type(move).__name__
                raise ValueError(
                    f"device is {device.name!r}, where {kernel.name!r} with its move {what} on {model.data!r} does not "
                    "run: on a MarkovSequence all moves do, guided ones on Labelled ones, on other data event-driven "
                    "ones; use device='cpu'"
                )

    def _runs(self, move: Move) -> bool:
        """Return True if a move has a kernel for the data."""
        if isinstance(move, Guided):
            data = labelled(self.model.data)
            data.condition(move.label)  # refuses a label that is none
            return stacked(data) is not None
        return isinstance(move, Events) or (self.model.transitions is not None and type(move) in MOVES)

    @property
    def row_bytes(self) -> int:
        """Device memory that one sequence takes."""
        L, V, S = self.model.data.length, self.model.process.vocabulary, self.model.process.states
        lines = 0 if in_registers(self.model) else LINES * V + ROWS * S
        if self.fused is None:
            by_events, guided = (
                any(isinstance(move, kind) for move in self.kernel.moves) for kind in (Events, Guided)
            )
            table = V**L if by_events and not self._chain else 0
            steps = L * (V + S + 4) if self.model.transitions or guided else 0
            steps += L * (2 * V + 3) if guided else 0
            jumps = 3 * (longest(S) + 1) if any(map(poisson, self.kernel.moves)) else 0
            return 8 * (3 * L + lines + jumps + max(2 + table, steps))
        return 8 * (2 * L + lines + (3 * L if self.fused.near else L * V))

    @property
    def _chain(self) -> bool:
        return isinstance(self.model.data, sequences.MarkovSequence | sequences.Product)

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
            for number, move in enumerate(self.kernel.moves):
                if isinstance(move, Events):
                    self._draw_events(move, states, seed, first, number)
                else:
                    self._draw_steps(move, states, seed, first, number)
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
                raise undefined(fused.moves[move].flow.t, f"{int(wrong.sum())} such samples")
            raise FloatingPointError(f"{bad} sites had a probability that is none: take more steps")

    def _draw_steps(self, move: Move, states: Any, seed: Any, first: int, number: int) -> None:
        failed = self.device.xp.zeros((states.shape[1], 2), np.int64)
        plan = steps_plan(move, self.model, states, failed, seed, first, number, self.device)
        self._launch(carry_of(move), plan)
        impossible, bad = (int(v) for v in failed.sum(axis=0))
        if impossible:
            raise undefined(times_of(move)[0], f"{impossible} such samples")
        if bad and isinstance(move, Guided):
            raise move.undefined(bad)
        if bad:
            raise FloatingPointError(f"{bad} sites had a probability that is none: take more steps")

    def _draw_events(self, move: Events, states: Any, seed: Any, first: int, number: int) -> None:
        counts = self.device.xp.zeros(states.shape[1], np.int64)
        plan = events_plan(move, self.model, states, counts, seed, first, number, self.device)
        self._launch(carry_of(move), plan)
        if bool((counts == IMPOSSIBLE).any()):
            raise impossible_start(move)
        if bool((counts == EXCEEDED).any()):
            raise FloatingPointError(EXCEEDED_RATE.format(move=move))
