"""Equal words mean equal things: whatever a result depends on changes its fingerprint, and use does not."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analytic import GaussianMixture, chains, paths, sequences, targets
from solvers import Imperfect, ScoreError, catalogue
from studies.fingerprints import fingerprint
from studies.setting import Job, Setting

TURN = np.array([[0.6, -0.8], [0.8, 0.6]])


def plane(turn: np.ndarray, weights: Any = (0.4, 0.6), mean: float = 1.0) -> GaussianMixture:
    covariance = turn @ np.diag([0.5, 0.1]) @ turn.T
    return GaussianMixture(weights, [[-mean, 0.0], [mean, 1.0]], np.stack([covariance] * 2))


def test_every_parameter_of_a_target_counts() -> None:
    """Weights, means, variances and rotations, which a repr of sizes or a key of the first three left out."""
    different = [
        plane(TURN),
        plane(TURN.T),
        plane(TURN, (0.5, 0.5)),
        plane(TURN, mean=1.0 + 1e-15),
        GaussianMixture([0.4, 0.6], [[-1.0, 0.0], [1.0, 1.0]], [[0.5, 0.1]] * 2),
        Imperfect(plane(TURN), ScoreError(0.2, "wave")),
        Imperfect(plane(TURN), ScoreError(0.3, "wave")),
    ]
    assert len({fingerprint(target) for target in different}) == len(different)
    assert fingerprint(plane(TURN)) == fingerprint(plane(TURN))


@pytest.mark.parametrize("name", sorted(sequences.catalogue))
def test_use_does_not_change_a_law_of_sequences(name: str) -> None:
    data, fresh = sequences.load(name), fingerprint(sequences.load(name))
    tokens = data.sample(3)
    masked = np.where(np.arange(data.length) % 2, tokens, data.vocabulary)
    data.masked_posterior(masked)
    data.marginals  # noqa: B018 (kept once asked for)
    data.log_probability(tokens)
    assert fingerprint(data) == fresh


def test_use_does_not_change_a_mixture_a_path_or_a_noise() -> None:
    target, path, noise = targets.load("pair-2d"), paths.VP(), chains.Hybrid(4, 0.2)
    before = fingerprint(target, path, noise)
    target.score(target.sample(3))
    path.time_of_log_snr(path.log_snr(0.5))
    noise.transition(0.2, 0.5)
    assert fingerprint(target, path, noise) == before


def test_options_settings_and_users_functions_count() -> None:
    job, setting = Job(catalogue["edm-churn"], "practical", {"gamma": 0.1}), Setting()

    def straight(t: Any) -> Any:
        return 1 - t

    def bent(t: Any) -> Any:
        return 1 - t**2

    different = [
        job,
        replace(job, options={"gamma": 0.2}),
        replace(job, options={}),
        setting,
        replace(setting, path=paths.VP()),
        replace(setting, path=paths.VE(0.02, 20.5)),
        replace(setting, seed=1),
        {"a": 1},
        {"a": 1.0},
        [1, 2],
        [[1], 2],
        "1",
        *(paths.Gaussian(f, lambda t: t) for f in (straight, bent)),
    ]
    assert len({fingerprint(one) for one in different}) == len(different)


def test_a_users_method_counts_by_its_file(tmp_path: Path) -> None:
    """Results of a loaded file are stale once the file has changed."""
    found = []
    for factor in (1.0, 1.01):
        file = tmp_path / "mine.py"
        file.write_text(f"FACTOR = {factor}\ndef build(path, grid):\n    return FACTOR\n")
        code = (
            f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import mine\n"
            "from studies.fingerprints import fingerprint; print(fingerprint(mine.build))"
        )
        done = subprocess.run([sys.executable, "-B", "-c", code], capture_output=True, text=True, check=True)
        found.append(done.stdout)
    assert found[0] != found[1]


def test_what_cannot_be_written_down_is_refused() -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(TypeError, match="holds itself"):
        fingerprint(circle)
    with pytest.raises(TypeError, match="no fingerprint"):
        fingerprint(iter([1]))
