"""Path planning against a plain loop from every state, and against samples."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
from scipy.stats import chi2

from analytic import chains, sequences
from solvers import catalogue, grids
from solvers.discrete import Tables, law, sample

NOISE = chains.Absorbing(3, "cosine")
DATA = sequences.MarkovSequence([0.5, 0.3, 0.2], [[0.7, 0.15, 0.15], [0.2, 0.3, 0.5], [0.4, 0.4, 0.2]], 4)


def _kernel(steps: int = 4, **options: Any) -> Any:
    return catalogue["path-planning"].kernel(NOISE, grids.uniform(NOISE, steps), **options)


def _cavity(x: tuple[int, ...], i: int) -> list[float]:
    """Law of the token at i given the tokens shown at all other sites, by enumeration."""
    out = [0.0] * 3
    for y in product(range(3), repeat=4):
        if all(j == i or x[j] in (3, y[j]) for j in range(4)):
            out[y[i]] += float(DATA.pmf()[y])
    return [p / sum(out) for p in out]


def _one_step(x: tuple[int, ...], masked_after: int, eta: float) -> dict[tuple[int, ...], float]:
    """P2's loop: propose under masks, score, mask the lowest."""
    c = [_cavity(x, i) for i in range(4)]
    holes = [i for i in range(4) if x[i] == 3]
    out: dict[tuple[int, ...], float] = {}
    for tokens in product(range(3), repeat=len(holes)):
        proposal = list(x)
        for i, v in zip(holes, tokens, strict=True):
            proposal[i] = v
        scores = [c[i][v] if i in holes else c[i][v] ** eta for i, v in enumerate(proposal)]
        surest = sorted(range(4), key=lambda i: (-round(scores[i] * 2**40), i))[: 4 - masked_after]
        y = tuple(v if i in surest else 3 for i, v in enumerate(proposal))
        out[y] = out.get(y, 0.0) + math.prod(c[i][proposal[i]] for i in holes)
    return out


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0, 3.0])
def test_one_step_law_is_that_of_the_papers_loop_from_every_state(eta: float) -> None:
    built, tables = _kernel(eta=eta), Tables(NOISE, DATA)
    (move,) = built.steps[1]
    stay = math.floor(4 * (1 - float(NOISE.alpha(built.grid[2]))))
    assert 0 < stay < 4
    found = move.matrix(tables, np.ones(tables.size, bool))
    remasked = False
    for index, x in enumerate(tables.tokens.tolist()):
        expected = np.zeros((4,) * 4)
        for y, p in _one_step(tuple(x), stay, eta).items():
            expected[y] = p
            remasked |= any(a != 3 and b == 3 for a, b in zip(x, y, strict=True)) and x.count(3) >= stay
        np.testing.assert_allclose(found[index], expected.ravel(), rtol=0, atol=1e-12)
    assert remasked == (eta > 0)


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_samples_follow_the_law_and_all_sites_are_revealed_in_the_end(eta: float) -> None:
    built = _kernel(eta=eta)
    exact = law(built, DATA)
    assert exact[(slice(3),) * 4].sum() == pytest.approx(1.0, abs=1e-12)
    n = 60_000
    drawn = sample(built, DATA, n, seed=4)
    counts = np.zeros((4,) * 4)
    np.add.at(counts, tuple(np.asarray(drawn).T), 1)
    kept = exact > 1e-12
    assert counts[~kept].sum() == 0
    statistic = float((((counts - n * exact) ** 2)[kept] / (n * exact[kept])).sum())
    assert chi2.sf(statistic, int(kept.sum()) - 1) > 1e-6


def test_a_bias_stays_however_many_the_steps() -> None:
    """Total variation to the data: proposals compete on what was drawn, so that a bias stays."""
    truth = np.zeros((4,) * 4)
    truth[(slice(3),) * 4] = DATA.pmf()
    distance = {eta: float(np.abs(law(_kernel(16, eta=eta), DATA) - truth).sum() / 2) for eta in (0.0, 1.0)}
    assert min(distance.values()) > 0.05


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="eta is -1: give a finite number"):
        _kernel(eta=-1)
    with pytest.raises(TypeError, match="eta is 'much'"):
        _kernel(eta="much")
    with pytest.raises(ValueError, match="which is no masking"):
        catalogue["path-planning"].kernel(chains.Uniform(3), [1.0, 0.5])
