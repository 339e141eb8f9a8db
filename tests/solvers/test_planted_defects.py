"""No coefficient of any method can be wrong by a thousandth without moving samples far beyond what the tests allow.

The methods are held to a second derivation at 1e-12 (test_methods_against_reference); here every table of every
method is spoiled once, to show that nothing in it is beyond that test's reach.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analytic import paths, targets
from solvers import catalogue, run
from studies.setting import Setting

PATH, TARGET = paths.VP(), targets.load("pair-2d")
START = np.array([[0.3, -1.2], [-0.7, 0.4], [1.6, 0.9]])


@pytest.mark.parametrize("name", [*catalogue.continuous, *catalogue.beyond])
def test_every_table_of_coefficients_matters(name: str) -> None:
    setting = Setting(PATH, "log-snr").of(catalogue[name])
    if catalogue[name].process == "mean-reverting":  # where it begins an evaluation knows nothing of the data
        setting = replace(setting, start=0.3)
    if catalogue[name].process == "bridge":  # whose own grid begins with a step too short to matter
        setting = replace(setting, grid="uniform")
    tableau = catalogue[name].tableau(setting.path, setting.nodes(6))
    noise = np.random.default_rng(0).standard_normal((len(tableau.channels), *START.shape))
    right = run(tableau, TARGET, START, noise=noise)
    for index, block in enumerate(tableau.blocks):
        for table in ("U", "A", "G", "V", "B", "H"):
            if not np.any(getattr(block, table)):
                continue
            blocks = list(tableau.blocks)
            blocks[index] = replace(block, **{table: getattr(block, table) * 1.001})
            wrong = run(replace(tableau, blocks=tuple(blocks)), TARGET, START, noise=noise)
            assert np.abs(wrong - right).max() > 1e-8, (index, table)
