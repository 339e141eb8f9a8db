"""Tableaux are checked when built, print themselves, count, save and load."""

from __future__ import annotations

import re
from dataclasses import FrozenInstanceError
from pathlib import Path as FilePath
from typing import Any

import numpy as np
import pytest

from analytic import paths, targets
from solvers import Block, Tableau, catalogue, grids, run, sample, strong

VP = paths.VP()
GRID = grids.log_snr(VP, 5)
ROTATED, LINE = targets.load("rotated-2d"), targets.load("gaussian-1d")


def _block(**changes: Any) -> Block:
    """A good block of three steps, two stages, one register, one channel; with changes."""
    arrays: dict[str, Any] = {
        "U": np.ones((3, 2, 1)),
        "A": np.tile([[0.0, 0.0], [0.5, 0.0]], (3, 1, 1)),
        "G": np.zeros((3, 2, 1)),
        "V": np.ones((3, 1, 1)),
        "B": np.ones((3, 1, 2)),
        "H": np.ones((3, 1, 1)),
        "levels": np.ones((3, 2, 2)),
        "times": np.full((3, 2), np.nan),
        "span": np.array([[0.9, 0.6], [0.6, 0.3], [0.3, 0.1]]),
        "asks": np.tile([[1.0, 0.0], [0.0, 1.0]], (3, 1, 1)),
        "during": np.array([[[0.9, 0.6]], [[0.6, 0.3]], [[0.3, 0.1]]]),
        "functionals": ("time",),
    }
    return Block(**arrays | changes)


def _tableau(*blocks: Block) -> Tableau:
    return Tableau("mine", blocks, np.array([0.9, 0.6, 0.3, 0.1]), (0.5, 0.5), (0.9, 0.1), VP, 1.0, 0.0)


def _filled(name: str, place: tuple[int, ...], value: float) -> np.ndarray[Any, Any]:
    array = np.array(getattr(_block(), name))
    array[place] = value
    return array


BAD_BLOCKS = [
    ({"U": np.ones((3, 1, 1))}, r"U has shape \(3, 1, 1\), expected \(3, 2, 1\)"),
    ({"H": np.ones((3, 1, 2))}, r"H has shape \(3, 1, 2\), expected \(3, 1, 1\)"),
    ({"levels": np.ones((3, 2))}, r"levels has shape \(3, 2\), expected \(3, 2, 2\)"),
    (
        {"B": _filled("B", (1, 0, 1), np.inf)},
        r"B\[1, 0, 1\] is inf in the step from t = 0.6 to 0.3, where register 0 takes evaluation 1",
    ),
    ({"A": _filled("A", (0, 0, 1), 1.0)}, "A has an entry on or above its diagonal"),
    ({"A": _filled("A", (0, 1, 1), 1.0)}, "A has an entry on or above its diagonal"),
    ({"levels": _filled("levels", (0, 0, 1), -1.0)}, "levels has a negative entry"),
    ({"levels": np.zeros((3, 2, 2))}, "alpha = sigma = 0"),
    ({"span": _filled("span", (0, 1), 0.95)}, "span goes up in time"),
    ({"asks": np.zeros((3, 2, 2))}, r"asks has \(0, 0\): an evaluation must ask for something"),
    (
        {"asks": _filled("asks", (0, 1, 1), np.nan)},
        r"evaluation 1 asks for part 1 \(0: E\[x_0\|x\] or the velocity, 1: the score\)",
    ),
    ({"during": np.full((3, 1, 2), 0.6)}, "during leaves the span"),
    ({"functionals": ("wiener",)}, "functionals has 'wiener': use None or one of"),
]


@pytest.mark.parametrize(("changes", "message"), BAD_BLOCKS)
def test_a_bad_block_is_refused_with_the_reason(changes: dict[str, Any], message: str) -> None:
    _block()
    with pytest.raises(ValueError, match=message):
        _block(**changes)


def test_blocks_that_do_not_fit_together_are_refused() -> None:
    two_out = _block(V=np.ones((3, 2, 1)), B=np.ones((3, 2, 2)), H=np.ones((3, 2, 1)))
    last = {
        name: getattr(_block(), name)[2:]
        for name in ("U", "A", "G", "V", "B", "H", "asks", "levels", "times", "span", "during")
    }
    with pytest.raises(ValueError, match="blocks is empty: a tableau needs at least one step"):
        _tableau()
    with pytest.raises(ValueError, match="block 0 takes 2 registers but the one before leaves 1"):
        _tableau(_block(U=np.ones((3, 2, 2)), V=np.ones((3, 1, 2))))
    with pytest.raises(
        ValueError, match="block 0 repeats a step that changes the number of registers: split it"
    ):
        _tableau(two_out)
    with pytest.raises(ValueError, match=r"step 3 starts at 0.3 but step 2 ended at 0.1"):
        _tableau(_block(), _block(**last))


def test_blocks_and_tableaux_cannot_be_changed() -> None:
    block = _block()
    with pytest.raises(ValueError, match="read-only"):
        block.U[0, 0, 0] = 2.0
    with pytest.raises(FrozenInstanceError):
        block.functionals = ()  # type: ignore[misc]
    mine = np.ones((3, 2, 1))
    assert _block(U=mine).U is not mine


def test_steps_channels_and_evaluations_are_counted() -> None:
    tableau = _tableau(_block())
    assert len(tableau) == 3
    assert tableau.nfe == 6
    assert [(c.step, c.functional, c.start, c.stop) for c in tableau.channels] == [
        (0, "time", 0.9, 0.6),
        (1, "time", 0.6, 0.3),
        (2, "time", 0.3, 0.1),
    ]
    steps = list(tableau.steps)
    assert [len(step) for step in steps] == [1, 1, 1]
    np.testing.assert_array_equal(steps[1].span, [[0.6, 0.3]])
    np.testing.assert_array_equal(tableau.blocks[0][-1].span, [[0.3, 0.1]])
    with pytest.raises(IndexError, match="index is 3: the block has 3 steps"):
        tableau.blocks[0][3]
    assert not tableau.deterministic
    assert _tableau(_block(H=np.zeros((3, 1, 1)))).deterministic


COST = {
    "euler": 1,
    "ddpm": 1,
    "heun": 2,
    "kutta-3": 3,
    "rk4": 4,
    "dpm-solver-3": 3,
    "deis-tab-3": 1,
    "predictor-corrector": 2,
}


@pytest.mark.parametrize(("name", "cost"), COST.items())
def test_nfe_is_the_papers_count(name: str, cost: int) -> None:
    assert catalogue[name].tableau(VP, GRID).nfe == 5 * cost
    with_zero = catalogue[name].tableau(VP, grids.log_snr(VP, 5, append_zero=True))
    assert with_zero.nfe == 5 * cost + 1


def test_print_names_the_method_its_cost_and_every_coefficient() -> None:
    text = str(catalogue["sde-dpm-solver++-2m"].tableau(VP, GRID))
    assert text.startswith(
        "sde-dpm-solver++-2m: 5 steps, 5 NFE, 5 noise channels, level (0.00657159, 0.999978) ->"
    )
    assert "step 0: 1 stages, registers 1 -> 2, noise ('reciprocal-variance',)" in text
    assert "steps 1..4 (first shown): 1 stages, registers 2 -> 2" in text
    shown = re.findall(r"^  (\w) = \[", text, re.MULTILINE)
    assert shown == list("UAGVBH") * 2


@pytest.mark.parametrize("name", list(catalogue.continuous))
def test_a_saved_tableau_gives_identical_samples(name: str, tmp_path: FilePath) -> None:
    for start in ("practical", "exact"):
        tableau = catalogue[name].tableau(VP, GRID, start=start)
        file = tmp_path / "tableau.npz"
        tableau.save(file)
        loaded = Tableau.load(file, path=VP)
        x = ROTATED.noised(*tableau.start).sample(5, seed=1)
        np.testing.assert_array_equal(run(loaded, ROTATED, x, seed=2), run(tableau, ROTATED, x, seed=2))
        assert str(loaded) == str(tableau)
        assert loaded.channels == tableau.channels
        for attribute in ("name", "start", "end", "prior_deviation", "stochasticity", "options", "path"):
            assert getattr(loaded, attribute) == getattr(tableau, attribute)
        np.testing.assert_array_equal(loaded.grid, tableau.grid)


def test_a_tableau_without_its_path_runs_but_has_no_strong_error(tmp_path: FilePath) -> None:
    catalogue["ddpm"].tableau(VP, GRID).save(tmp_path / "a.npz")
    loaded = Tableau.load(tmp_path / "a.npz")
    assert np.isfinite(sample(loaded, ROTATED, 3)).all()
    with pytest.raises(ValueError, match="tableau has no path"):
        strong(loaded, LINE)
    with pytest.raises(ValueError, match="tableau has no path"):
        run(loaded, lambda x, t: x, np.zeros((2, 2)))
    np.savez(tmp_path / "b.npz", x=np.ones(3))
    with pytest.raises(ValueError, match=r"b.npz holds no tableau: give one written by Tableau.save"):
        Tableau.load(tmp_path / "b.npz")
