"""What token samplers take of a device: no more than is free there, and on the device that was named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from analytic import chains, sequences
from solvers import catalogue, grids, sample
from solvers.cuda.device import Device
from solvers.discrete import stream
from solvers.discrete.executors.cuda.runner import Runner
from solvers.discrete.model.cavities import Model

pytestmark = pytest.mark.simulator

V, L = 4, 9
DATA = sequences.MarkovSequence(np.full(V, 0.25), 0.1 + 0.6 * np.eye(V), L)
NOISE = chains.Uniform(vocabulary=V)
KERNEL = catalogue["tweedie-tau-leaping"].kernel(NOISE, grids.uniform(NOISE, steps=4))
ROW = Runner(KERNEL, Model(NOISE, DATA), Device("cuda")).row_bytes


def leave(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(Device, "free", lambda self: size)


def test_tokens_that_do_not_fit_are_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    leave(monkeypatch, 2 * L * 1000 - 1)
    monkeypatch.setattr(Runner, "draw", lambda *_: pytest.fail("drawn"))
    with pytest.raises(MemoryError, match=r"'cuda' has .* GB free and this takes .*: draw fewer samples"):
        sample(KERNEL, DATA, 1000, device="cuda")


def test_one_sequence_that_does_not_fit_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    leave(monkeypatch, ROW - 1)
    with pytest.raises(MemoryError, match="take shorter sequences"):
        next(stream(KERNEL, DATA, 1, device="cuda"))
    leave(monkeypatch, ROW)
    assert len(sample(KERNEL, DATA, 1, device="cuda")) == 1


def test_labelled_chains_take_no_table_of_all_sequences() -> None:
    data = sequences.Labelled(
        [sequences.MarkovSequence(np.full(V, 0.25), 0.1 + 0.6 * np.eye(V), 100)] * 2, [0.5, 0.5]
    )
    kernel = catalogue["guided-ancestral"].kernel(NOISE, grids.uniform(NOISE, steps=4))
    assert Runner(kernel, Model(NOISE, data), Device("cuda")).row_bytes < 8 * 100 * 8 * V


def test_little_memory_makes_small_parts_and_the_same_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = sample(KERNEL, DATA, 20, seed=5)
    leave(monkeypatch, 2 * 7 * ROW)
    parts = list(stream(KERNEL, DATA, 20, seed=5, device="cuda"))
    assert [first for first, _ in parts] == [0, 7, 14]
    np.testing.assert_array_equal(np.concatenate([tokens for _, tokens in parts]), expected)


class Library:
    """NumPy in the place of a device's library: what is used of it, and under which device."""

    def __init__(self, current: list[str]) -> None:
        self.current, self.used = current, list[str]()

    def __getattr__(self, name: str) -> Any:
        assert self.current == ["cuda:1"] * max(1, len(self.current)), f"{name} on another device"
        self.used.append(name)
        return getattr(np, name)


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    current: list[str] = []
    found, make = Library(current), Device.__init__

    @contextmanager
    def entered(self: Device) -> Iterator[None]:
        current.append(self.name)
        yield
        current.pop()

    def made(self: Device, name: str) -> None:
        make(self, name)
        self.xp = found

    monkeypatch.setattr(Device, "__init__", made)
    monkeypatch.setattr(Device, "current", entered)
    return found


@pytest.mark.parametrize("method", ["tweedie-tau-leaping", "theta-trapezoidal", "gillespie"])
def test_all_is_done_on_the_device_that_was_named(method: str, library: Library) -> None:
    kernel = catalogue[method].kernel(NOISE, grids.uniform(NOISE, steps=2))
    sample(kernel, DATA, 3, device="cuda:1")
    list(stream(kernel, DATA, 3, device="cuda:1"))
    assert {"empty", "zeros", "asarray"} <= set(library.used)


def test_what_the_caller_keeps_is_taken_before_parts_share_the_rest(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Device, "free", lambda self: 2 * (20 if "empty" in library.used else 40) * ROW)
    monkeypatch.setattr(Runner, "draw", lambda self, states, *_: parts.append(states.shape[1]) or states.T)
    parts: list[int] = []
    sample(KERNEL, DATA, 40, device="cuda:1")
    assert parts == [20, 20]
