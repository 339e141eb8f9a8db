"""The checks of the report, one test each: for a machine with a GPU."""

from __future__ import annotations

import pytest

from analytic import GaussianMixture, paths
from solvers import catalogue, grids, sample
from studies.gpu import report

pytestmark = pytest.mark.gpu


def test_every_check_of_the_report_holds() -> None:
    failing = [check for check in report.checks(report.Sizes()) if not check.holds]
    assert not failing


def test_samples_stay_on_the_device_and_on_the_current_stream() -> None:
    cupy = pytest.importorskip("cupy")
    tableau = catalogue["ddpm"].tableau(paths.VP(), grids.log_snr(paths.VP(), 8))
    target = GaussianMixture([0.3, 0.7], [[-1.0], [2.0]], [0.1, 0.3])
    plain = sample(tableau, target, 1000, seed=4, device="cuda")
    assert isinstance(plain, cupy.ndarray)
    with cupy.cuda.Stream(non_blocking=True) as stream:
        other = sample(tableau, target, 1000, seed=4, device="cuda")
        stream.synchronize()
    assert bool((plain == other).all())


def test_more_than_is_free_is_refused() -> None:
    tableau = catalogue["ddpm"].tableau(paths.VP(), grids.log_snr(paths.VP(), 8))
    target = GaussianMixture([0.3, 0.7], [[-1.0], [2.0]], [0.1, 0.3])
    with pytest.raises(MemoryError, match="GB free and this takes"):
        report.Device("cuda").check_room(1 << 45, "draw fewer samples in a call")
    assert len(sample(tableau, target, 10, device="cuda")) == 10
