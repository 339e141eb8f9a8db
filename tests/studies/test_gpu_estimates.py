"""What a step is estimated to ask of a GPU, against what the source says."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from analytic import sequences
from solvers import catalogue, grids
from studies.gpu import estimates
from studies.gpu.estimates import LINE, PATH, PLANE, UNIFORM, bytes_of, summed, unit_of, work
from studies.gpu.ptx_machine import in_place_of_a_gpu


@pytest.mark.parametrize(
    ("instruction", "unit", "several"),
    [
        ("fma.rn.f32", "floats", 1),
        ("div.rn.f64", "floats", 14),
        ("setp.lt.f64", "integers", 1),
        ("selp.f32", "integers", 1),
        ("add.s64", "integers", 2),
        ("setp.gt.s64", "integers", 2),
        ("shl.b32", "integers", 1),
        ("and.pred", "integers", 1),
        ("ex2.approx.ftz.f32", "special", 1),
        ("cvt.rn.f32.s64", "special", 1),
        ("ld.global.v2.f64", "memory", 1),
        ("ld.param.u64", "none", 0),
        ("mov.f32", "none", 0),
        ("bra.uni", "branches", 1),
        ("ret", "branches", 1),
    ],
)
def test_an_instruction_belongs_to_a_unit(instruction: str, unit: str, several: float) -> None:
    assert unit_of(instruction) == (unit, several)


@pytest.mark.parametrize(
    ("instruction", "size"),
    [
        ("ld.global.v2.f64", 16),
        ("st.local.f32", 4),
        ("ld.u8", 1),
        ("ld.param.u64", 0),
        ("mov.f64", 0),
        ("cvta.to.global.u64", 0),
    ],
)
def test_an_instruction_moves_bytes(instruction: str, size: int) -> None:
    assert bytes_of(instruction) == size


def executed(method: str, target: Any, steps: int) -> Counter[str]:
    tableau = catalogue[method].tableau(PATH, grids.log_snr(PATH, steps))
    with in_place_of_a_gpu() as found:
        estimates.sample(tableau, target, 32, dtype="float32", device="cuda")
    return Counter({name: times // 32 for name, times in found.items()})


def test_more_steps_execute_what_their_source_calls() -> None:
    """A step of ddpm is one evaluation, with one exp a component, and one pair of deviates, with one root."""
    # a quotient for each variance in two passes over components, which all of PLANE share, and one for the weights
    for target, variances in ((LINE, 2), (PLANE, 1)):
        more = executed("ddpm", target, 12)
        more.subtract(executed("ddpm", target, 8))
        assert more["ex2.approx.ftz.f32"] == 4 * target.components
        assert more["sqrt.rn.f32"] == 4
        assert more["div.rn.f32"] == 4 * target.dim * (2 * variances + 1)
        assert not any("f64" in name and times for name, times in more.items())


def test_more_tokens_execute_what_their_source_calls() -> None:
    """Messages there and back multiply a matrix twice and are scaled twice; each draw makes one uniform number."""
    V, steps, more = 8, 2, 4
    counts = []
    for length in (8, 8 + more):
        data = sequences.MarkovSequence(np.full(V, 1 / V), np.full((V, V), 1 / V), length)
        kernel = catalogue["tweedie-tau-leaping"].kernel(UNIFORM, grids.uniform(UNIFORM, steps))
        with in_place_of_a_gpu() as found:
            estimates.sample(kernel, data, 32, device="cuda")
        counts.append(Counter({name: times // 32 for name, times in found.items()}))
    counts[1].subtract(counts[0])
    assert counts[1]["rcp.rn.f64"] == 2 * more * steps
    assert counts[1]["cvt.rn.f64.s64"] == more * (steps + 1)
    assert counts[1]["fma.rn.f64"] >= more * steps * (2 * V**2 + V)
    # messages are not read with the matrices: they are in registers
    assert 2 * V**2 <= (counts[1]["ld.f64"] + counts[1]["ld.global.f64"]) / (more * steps) < 4 * V**2


def test_time_is_that_of_the_busiest_unit() -> None:
    one = summed(
        Counter({"fma.rn.f32": 256, "add.s32": 64, "mov.f32": 1000, "ld.global.f32": 16}), 2, "float32"
    )
    assert (one.floats, one.integers, one.memory, one.bytes, one.busiest) == (128, 32, 8, 32, "issue")
    assert one.time == pytest.approx(1e9 * 168 / 128 / (132 * 1.98e9))
    assert one.time_without_caches == pytest.approx(32 / 3350)
    assert summed(Counter({"fma.rn.f64": 256}), 2, "float64").busiest == "floats"


def test_float64_takes_longer() -> None:
    tableau = catalogue["heun"].tableau(PATH, grids.log_snr(PATH, 8))
    assert work(tableau, PLANE, "float64", 2).time > work(tableau, PLANE, "float32", 2).time
