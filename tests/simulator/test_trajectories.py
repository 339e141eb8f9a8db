"""Every continuous method on the CUDA simulator: the same samples as on the CPU, but for rounding."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba import cuda

from analytic import GaussianMixture, paths
from solvers import Imperfect, ScoreError, catalogue, grids, law, sample
from solvers.continuous.executors import on_cuda
from solvers.continuous.executors.packed import pack
from solvers.continuous.executors.trajectory import plan_of
from solvers.cuda.device import Device
from solvers.numerics import philox
from solvers.reductions import Histogram, Moments
from tests.shapes import one_of_each_shape

pytestmark = pytest.mark.simulator

PATH = paths.VP()
COVARIANCES = [[[0.5, 0.2], [0.2, 0.3]], [[0.2, -0.1], [-0.1, 0.4]]]
TARGETS: dict[str, Any] = {
    "line": GaussianMixture([0.3, 0.7], [[-1.0], [2.0]], [0.1, 0.3]),
    "shared": GaussianMixture([0.2, 0.5, 0.3], [[-1.0, 0.0], [1.0, 1.0], [0.0, -2.0]], 0.2),
    "diagonal": GaussianMixture([0.5, 0.5], [[-1.0, 0.0], [1.0, 1.0]], [[0.1, 0.2], [0.3, 0.4]]),
    "rotated": GaussianMixture([0.4, 0.6], [[-1.0, 0.0], [1.0, 1.0]], COVARIANCES),
    "single": GaussianMixture([1.0], [[0.5, -0.5, 0.25]], 0.25),
    "wide": GaussianMixture([0.5, 0.5], np.linspace(-1, 1, 24).reshape(2, 12), 0.25),
}
WRONG = [
    ScoreError(0.1),
    ScoreError(0.05, "relative", "x0"),
    ScoreError(0.2, "wave", "eps", frequency=3.0, phase=0.4),
    ScoreError(0.3, "bump", centre=0.5),
]
# Units in the last place of the largest sample that a step may differ by.
ULP_PER_STEP = 8
# As many times larger may the effect of other roundings be than that of one: lanes round in another order.
ROUNDINGS = 8


def tableau_of(name: str, steps: int, **keywords: Any) -> Any:
    return catalogue[name].tableau(PATH, grids.log_snr(PATH, steps), **keywords)


def both(tableau: Any, target: Any, n: int, **keywords: Any) -> tuple[Any, Any]:
    return tuple(sample(tableau, target, n, device=device, **keywords) for device in ("cpu", "cuda"))  # type: ignore[return-value]


def assert_same(tableau: Any, target: Any, n: int, **keywords: Any) -> None:
    exact, simulated = both(tableau, target, n, seed=11, **keywords)
    single, simulated_single = both(tableau, target, n, seed=11, dtype="float32", **keywords)
    assert simulated_single.dtype == single.dtype == np.float32
    # what a method makes of rounding errors is the same in float64, whose errors are 2^29 times smaller
    made = max(np.abs(single - exact).max(), np.spacing(np.abs(single).max()))
    assert np.abs(simulated_single - exact).max() <= ROUNDINGS * made
    assert np.abs(simulated - exact).max() <= ROUNDINGS * made * 2.0**-29


@pytest.mark.parametrize(("name", "start"), one_of_each_shape())
def test_every_shape_of_method_gives_the_samples_of_the_cpu(name: str, start: str) -> None:
    for target in ("line", "rotated"):
        assert_same(tableau_of(name, 6, start=start), TARGETS[target], 5)


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_on_every_kind_of_mixture(target: str) -> None:
    for name in ("ddpm", "dpm-solver++-2m", "predictor-corrector"):
        assert_same(tableau_of(name, 16), TARGETS[target], 33)


@pytest.mark.parametrize("target", ["line", "rotated"])
def test_with_errors_of_every_kind(target: str) -> None:
    for error in [*WRONG, WRONG]:
        assert_same(tableau_of("stochastic-heun", 16), Imperfect(TARGETS[target], error), 9)


def test_with_given_noise_and_a_given_start_or_law() -> None:
    tableau, target, n = tableau_of("ddpm", 16), TARGETS["diagonal"], 10
    generator = np.random.default_rng(3)
    channels = generator.normal(size=(len(tableau.channels), n, 2))
    assert_same(tableau, target, n, noise=channels)
    assert_same(tableau, target, n, initial=generator.normal(size=(n, 2)), noise=channels)
    assert_same(tableau, target, n, initial="prior")
    single = TARGETS["single"]
    assert_same(tableau, single, n, initial=law(tableau, single))


@pytest.mark.parametrize("n", [1, 31, 32, 33, 64])
def test_any_number_of_samples_from_any_first_on(n: int) -> None:
    tableau, target = tableau_of("euler-maruyama", 8), TARGETS["line"]
    assert_same(tableau, target, n, first=1 << 33)
    whole = sample(tableau, target, n + 5, seed=2, device="cuda")
    np.testing.assert_array_equal(sample(tableau, target, n, seed=2, first=5, device="cuda"), whole[5:])


def test_large_runs_are_cut_into_launches_that_leave_the_samples_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tableau, target, n = tableau_of("ddpm", 8), TARGETS["line"], 23
    channels = np.random.default_rng(3).normal(size=(len(tableau.channels), n, 1))
    for keywords in ({}, {"noise": channels}, {"initial": np.linspace(-1, 1, n)[:, None]}):
        whole = sample(tableau, target, n, device="cuda", **keywords)
        monkeypatch.setattr(on_cuda, "MOST", 10)
        np.testing.assert_array_equal(sample(tableau, target, n, device="cuda", **keywords), whole)
        monkeypatch.undo()


def test_threads_beyond_the_last_sample_do_nothing() -> None:
    tableau, target = tableau_of("ddpm", 8), TARGETS["line"]
    room = np.full((40, 1), 7.0)
    expected = sample(tableau, target, 5, seed=3)
    device = Device("cuda")
    law_there = target.noised(*tableau.start)
    plan = on_cuda.with_a_channel(plan_of(pack(tableau), target, law_there, "float64", np.uint64(3)))
    device.launch(on_cuda.kernel(on_cuda.shape_of(plan)), 40, (plan, room[:5]), threads=32)
    np.testing.assert_allclose(room[:5], expected, rtol=1e-13)
    assert np.all(room[5:] == 7.0)


def test_a_trajectory_that_overflows_is_reported() -> None:
    path = paths.VE(sigma_min=1e-3, sigma_max=1e3)
    tableau = (
        catalogue["adams-bashforth"] if "adams-bashforth" in catalogue.continuous else catalogue["euler"]
    )
    unstable = tableau.tableau(path, grids.uniform(path, 4))
    with pytest.raises(FloatingPointError, match="samples that are not finite"):
        sample(
            unstable,
            TARGETS["line"],
            4,
            initial=np.full((4, 1), 1e308) * [[1], [-1], [1], [-1]],
            device="cuda",
        )


# ---------------------------------------------------------------- plain mathematics in place of the polynomials

INTERPRETED = """
import sys, numpy as np
from solvers.numerics import philox
sys.path.insert(0, sys.argv[1])
import test_trajectories as here
words = [int(w) for c in here.COUNTERS for w in philox.philox(*(np.uint32(v) for v in c))]
out = {"words": np.array(words, np.uint32)}
for dtype in ("float64", "float32"):
    for name in here.INTERPRETED_METHODS:
        tableau = here.tableau_of(name, 16)
        out[f"{dtype} {name}"] = here.sample(tableau, here.TARGETS["rotated"], 12, seed=11, device="cuda", dtype=dtype)
        wrong = here.Imperfect(here.TARGETS["line"], here.WRONG)
        out[f"{dtype} {name} wrong"] = here.sample(tableau, wrong, 5, seed=11, device="cuda", dtype=dtype)
np.savez(sys.argv[2], **out)
"""
INTERPRETED_METHODS = ("ddpm", "heun", "dpm-solver++-3m")
COUNTERS = [
    (0, 0, 0, 0, 0, 0),
    (0xFFFFFFFF,) * 6,
    (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344, 0xA4093822, 0x299F31D0),
]
ANSWERS = [  # Random123's kat_vectors, philox4x32-10
    *(0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8),
    *(0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    *(0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
]


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Samples of kernels in which nothing is compiled: exp, log, sin and cos are NumPy's."""
    file = tmp_path_factory.mktemp("interpreted") / "samples.npz"
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    here = str(Path(__file__).parent)
    command = [sys.executable, "-W", "error", "-c", INTERPRETED, here, str(file)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(np.load(file))


def test_interpreted_philox_gives_the_known_answers(interpreted: dict[str, Any]) -> None:
    assert interpreted["words"].tolist() == ANSWERS


def test_with_plain_mathematics_samples_differ_by_rounding(interpreted: dict[str, Any]) -> None:
    """A step's primitives are off by 2 ulp, their averages by as much; steps as short as these hardly amplify it."""
    apart = {}
    for dtype in ("float64", "float32"):
        for name in INTERPRETED_METHODS:
            tableau = tableau_of(name, 16)
            for key, target, n in (
                (f"{dtype} {name}", TARGETS["rotated"], 12),
                (f"{dtype} {name} wrong", Imperfect(TARGETS["line"], WRONG), 5),
            ):
                compiled = sample(tableau, target, n, seed=11, dtype=dtype)
                ulp = np.spacing(np.abs(compiled).max())
                apart[key] = float(np.abs(interpreted[key] - compiled).max() / ulp / len(tableau))
    assert max(apart.values()) <= ULP_PER_STEP, apart
    # they are other primitives, and it shows
    assert min(max(v for k, v in apart.items() if dtype in k) for dtype in ("float64", "float32")) > 0, apart


def test_integers_of_the_stream_are_the_same_in_a_kernel() -> None:
    rows, seed, first = 40, np.uint64((7 << 32) + 5), (3 << 32) - 9
    found = np.zeros((rows, 2), np.uint64)

    def kernel(arguments: Any) -> None:
        words, scratch = arguments
        i = cuda.grid(1)
        if i < words.shape[0]:
            philox.fill_words(seed, first + i, 11, 4, 2, scratch[i])
            words[i, 0], words[i, 1] = scratch[i, 0, 0], scratch[i, 1, 0]

    Device("cuda").launch(cuda.jit(kernel), rows, (found, np.zeros((rows, 2, 1), np.uint64)), threads=32)
    expected = np.zeros((2, rows), np.uint64)
    philox.fill_words(seed, first, 11, 4, 2, expected)
    np.testing.assert_array_equal(found, expected.T)


def test_reductions_are_those_of_the_cpu_but_for_rounding() -> None:
    tableau, target = tableau_of("ddpm", 8), TARGETS["rotated"]
    asked = (Moments(), Histogram(np.linspace(-3, 3, 7)))
    here = sample(tableau, target, 40, seed=3, reduce=asked, part=16)
    there = sample(tableau, target, 40, seed=3, reduce=asked, part=16, device=("cuda", "cpu"))
    np.testing.assert_allclose(there[0].mean, here[0].mean, rtol=1e-13)
    np.testing.assert_allclose(there[0].covariance, here[0].covariance, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(there[1].counts, here[1].counts)
