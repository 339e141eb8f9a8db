"""The total variation that `density` computes is the one that samples show, on the set where the law exceeds the truth.

A histogram's TV is biased upwards; the difference F(A) - P(A) on the fixed set A = {f > p} is not.
"""

from __future__ import annotations

import numpy as np
import pytest

from analytic import distances, targets
from solvers import catalogue, density, sample
from studies.inference import fit
from studies.setting import Setting

STEPS = (16, 32, 64, 128)
# Eight intervals, each missed with probability 1e-6 if all is right.
LEVEL = 1 - 1e-6


def check(name: str, n: int, method: str = "ddpm", ladder: tuple[int, ...] = STEPS) -> None:
    target, setting = targets.load(name), Setting()
    for steps in ladder:
        tableau = catalogue[method].tableau(setting.path, setting.nodes(steps))
        truth = target.noised(*tableau.end)
        law = density(tableau, target)
        intervals = law.witness(truth)
        probability = float(np.sum(truth.cdf(intervals[:, 1]) - truth.cdf(intervals[:, 0])))
        found = distances.tv_witness(sample(tableau, target, n, seed=steps), intervals, probability)
        low, high = found.interval(LEVEL)
        assert low <= law.tv(truth) <= high
        # power: at most 4.9 standard deviations of a share, so 10^6 samples see a TV that is wrong by 2.5e-3
        assert (high - low) / 2 < 1.03 * 4.9 * 0.5 / np.sqrt(n)


@pytest.mark.parametrize("name", ["easy-1d", "narrow-1d"])
def test_a_million_samples_agree_with_the_density_on_its_witness_set(name: str) -> None:
    check(name, 1_000_000)


@pytest.mark.parametrize("method", ["sde-dpm-solver++-2m", "stochastic-heun", "edm-churn"])
def test_a_million_samples_agree_with_the_density_of_every_kind_of_noise(method: str) -> None:
    check("easy-1d", 1_000_000, method, (64,))


@pytest.mark.parametrize("name", ["easy-1d", "narrow-1d"])
def test_ddpm_has_order_one_in_total_variation(name: str) -> None:
    target, setting = targets.load(name), Setting()
    steps = [32, 64, 128, 256, 512]
    errors, uncertainty = [], []
    for N in steps:
        tableau = catalogue["ddpm"].tableau(setting.path, setting.nodes(N))
        law = density(tableau, target)
        errors.append(law.tv(target.noised(*tableau.end)))
        uncertainty.append(law.error)
    slope = fit(steps, errors, uncertainty)
    assert slope.status == "settled"
    assert abs(slope.value - 1) < 0.01
    assert slope.high - slope.low < 0.04
