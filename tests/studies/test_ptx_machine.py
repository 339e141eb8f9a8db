"""The machine that runs PTX: its instructions against known answers, then what the compiler made of the samplers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numba import cuda

from analytic import GaussianMixture, chains, paths, sequences
from solvers import catalogue, grids, sample
from solvers.discrete.moves.move import Move
from solvers.numerics import philox, primitives
from studies.gpu import ptx
from studies.gpu.ptx_machine import FaultError, Program, UnsupportedError, in_place_of_a_gpu
from tests.shapes import one_of_each_shape

ULP_PER_STEP = 8
REGISTERS = {"f32": "%f", "f64": "%fd", "u32": "%r", "s32": "%r", "u64": "%rd", "s64": "%rd"}
TYPES = {"f32": "<f4", "f64": "<f8", "u32": "<u4", "s32": "<i4", "u64": "<u8", "s64": "<i8"}


def execute(statement: str, out: str, *inputs: tuple[str, Any]) -> Any:
    """Run statements on inputs (type, value), called {1}, {2}, ..., and return what they leave in {0}."""
    room, names = np.zeros(8, np.uint64), [f"{REGISTERS[out]}90"]
    loads = ["ld.param.u64 %rd80, [k_param_4];"]
    for i, (kind, value) in enumerate(inputs, start=1):
        room[i : i + 1].view(TYPES[kind])[0] = value
        names.append(f"{REGISTERS[kind]}{i}")
        loads.append(f"ld.global.{kind} {names[-1]}, [%rd80+{8 * i}];")
    body = "\n".join([*loads, statement.format(*names), f"st.global.{out} [%rd80], {names[0]};", "ret;"])
    parameters = ",\n".join(f"\t.param .u64 k_param_{i}" for i in range(7))
    Program(f".visible .entry k(\n{parameters}\n)\n{{\n{body}\n}}\n").run((room,), 1, 1)
    return room[:1].view(TYPES[out])[0]


TINY = np.float32(2.0**-24)
CASES = [
    ("add.f32 {0}, {1}, {2};", "f32", [("f32", 1), ("f32", TINY)], 1.0),
    ("add.rn.f64 {0}, {1}, {2};", "f64", [("f64", 0.1), ("f64", 0.2)], 0.1 + 0.2),
    # the product is not rounded before the sum
    ("fma.rn.f32 {0}, {1}, {1}, {2};", "f32", [("f32", 1 + 2**-12), ("f32", -1 - 2**-11)], 2.0**-24),
    ("fma.rn.f64 {0}, {1}, {1}, {2};", "f64", [("f64", 1 + 2**-30), ("f64", -1 - 2**-29)], 2.0**-60),
    ("fma.rm.f32 {0}, {1}, {1}, {2};", "f32", [("f32", 1), ("f32", TINY)], 1.0),
    ("fma.rm.f32 {0}, {1}, {1}, {2};", "f32", [("f32", 1), ("f32", -TINY / 4)], 1 - 2.0**-24),
    ("div.rn.f32 {0}, {1}, {2};", "f32", [("f32", 1), ("f32", 3)], np.float32(1) / np.float32(3)),
    ("div.rn.f64 {0}, {1}, {2};", "f64", [("f64", -1), ("f64", 0)], -math.inf),
    ("div.rn.f64 {0}, {1}, {2};", "f64", [("f64", 0), ("f64", 0)], math.nan),
    ("sqrt.rn.f32 {0}, {1};", "f32", [("f32", 2)], np.sqrt(np.float32(2))),
    ("sqrt.rn.f64 {0}, {1};", "f64", [("f64", -1)], math.nan),
    ("max.f64 {0}, {1}, {2};", "f64", [("f64", math.nan), ("f64", 2)], 2.0),
    ("min.f32 {0}, {1}, {2};", "f32", [("f32", 3), ("f32", math.nan)], 3.0),
    ("neg.f32 {0}, {1};", "f32", [("f32", 3)], -3.0),
    ("abs.f64 {0}, {1};", "f64", [("f64", -3)], 3.0),
    ("add.f64 {0}, {1}, 0d3FF8000000000000;", "f64", [("f64", 1)], 2.5),
    ("mul.f32 {0}, {1}, 0f3F000000;", "f32", [("f32", 3)], 1.5),
    ("ex2.approx.ftz.f32 {0}, {1};", "f32", [("f32", 0.5)], np.sqrt(np.float32(2))),
    ("ex2.approx.ftz.f32 {0}, {1};", "f32", [("f32", -130)], 0.0),
    ("rcp.rn.f64 {0}, {1};", "f64", [("f64", 3)], 1 / 3),
    ("cvt.rni.f64.f64 {0}, {1};", "f64", [("f64", 2.5)], 2.0),
    ("cvt.rmi.f32.f32 {0}, {1};", "f32", [("f32", -0.5)], -1.0),
    ("cvt.rzi.f64.f64 {0}, {1};", "f64", [("f64", -1.5)], -1.0),
    ("cvt.sat.f32.f32 {0}, {1};", "f32", [("f32", 1.5)], 1.0),
    ("cvt.rzi.s64.f64 {0}, {1};", "s64", [("f64", -1.5)], -1),
    ("cvt.rzi.s32.f32 {0}, {1};", "s32", [("f32", 1e20)], 2**31 - 1),
    ("cvt.rn.f32.s64 {0}, {1};", "f32", [("s64", -(2**54) - 2**30 - 1)], np.float32(-(2.0**54) - 2.0**31)),
    ("cvt.rn.f64.u64 {0}, {1};", "f64", [("u64", 2**64 - 1)], 2.0**64),
    ("cvt.s64.s32 {0}, {1};", "s64", [("s32", -5)], -5),
    ("cvt.u64.u32 {0}, {1};", "u64", [("s32", -5)], 2**32 - 5),
    ("cvt.u32.u64 {0}, {1};", "u32", [("u64", 2**35 + 7)], 7),
    ("add.s64 {0}, {1}, -3;", "u64", [("u64", 1)], 2**64 - 2),
    ("sub.s32 {0}, {1}, {2};", "s32", [("s32", 1), ("s32", 3)], -2),
    ("mul.lo.s64 {0}, {1}, {2};", "u64", [("u64", 2**63 + 3), ("u64", 5)], 2**63 + 15),
    ("mul.hi.u64 {0}, {1}, {2};", "u64", [("u64", 2**63), ("u64", 6)], 3),
    ("mul.wide.s32 {0}, {1}, {2};", "s64", [("s32", -3), ("s32", 2**30)], -3 * 2**30),
    ("mul.wide.u32 {0}, {1}, {2};", "u64", [("s32", -3), ("s32", 2)], 2 * (2**32 - 3)),
    ("mad.lo.s64 {0}, {1}, {2}, {1};", "s64", [("s64", -3), ("s64", 7)], -24),
    ("div.s64 {0}, {1}, {2};", "s64", [("s64", -7), ("s64", 2)], -3),
    ("rem.s64 {0}, {1}, {2};", "s64", [("s64", -7), ("s64", 2)], -1),
    ("rem.u32 {0}, {1}, {2};", "u32", [("s32", -7), ("s32", 4)], (2**32 - 7) % 4),
    ("min.s64 {0}, {1}, {2};", "s64", [("s64", -7), ("s64", 2)], -7),
    ("min.u64 {0}, {1}, {2};", "s64", [("s64", -7), ("s64", 2)], 2),
    ("neg.s64 {0}, {1};", "s64", [("s64", 7)], -7),
    ("not.b64 {0}, {1};", "u64", [("u64", 0)], 2**64 - 1),
    ("xor.b32 {0}, {1}, -1;", "u32", [("u32", 1)], 2**32 - 2),
    ("and.b64 {0}, {1}, -2;", "u64", [("u64", 7)], 6),
    ("or.b64 {0}, {1}, {2};", "u64", [("u64", 5), ("u64", 2)], 7),
    ("shl.b32 {0}, {1}, 31;", "u32", [("u32", 3)], 2**31),
    ("shl.b64 {0}, {1}, 64;", "u64", [("u64", 3)], 0),
    ("shr.s64 {0}, {1}, 70;", "s64", [("s64", -3)], -1),
    ("shr.u64 {0}, {1}, 63;", "u64", [("s64", -3)], 1),
    ("mov.b64 {0}, {1};", "u64", [("f64", 1.0)], 0x3FF << 52),
    ("mov.b32 {0}, {1};", "f32", [("u32", 0x3F800000)], 1.0),
    ("mov.b64 {0}, {{{1}, {2}}};", "f64", [("u32", 0), ("u32", 0x3FF00000)], 1.0),
    ("mov.b64 {{{0}, %r77}}, {1};", "u32", [("f64", 2.0 + 2.0**-51)], 1),
    ("setp.lt.s64 %p1, {1}, {2}; selp.b64 {0}, 1, 0, %p1;", "u64", [("s64", -1), ("s64", 0)], 1),
    ("setp.lt.u64 %p1, {1}, {2}; selp.b64 {0}, 1, 0, %p1;", "u64", [("s64", -1), ("s64", 0)], 0),
    ("setp.gt.s64 %p1, {1}, -2; selp.b64 {0}, 1, 0, %p1;", "u64", [("s64", -1)], 1),
    ("setp.gtu.f64 %p1, {1}, {2}; selp.b64 {0}, 1, 0, %p1;", "u64", [("f64", math.nan), ("f64", 0)], 1),
    ("setp.ne.f64 %p1, {1}, {1}; selp.b64 {0}, 1, 0, %p1;", "u64", [("f64", math.nan)], 0),
    ("setp.neu.f64 %p1, {1}, {1}; selp.b64 {0}, 1, 0, %p1;", "u64", [("f64", math.nan)], 1),
    ("setp.equ.f64 %p1, {1}, {2}; selp.b64 {0}, 1, 0, %p1;", "u64", [("f64", math.nan), ("f64", 1)], 1),
    ("setp.eq.f64 %p1, {1}, {2}; selp.b64 {0}, 1, 0, %p1;", "u64", [("f64", 1), ("f64", 1)], 1),
    ("mov.pred %p1, -1; not.pred %p2, %p1; selp.b32 {0}, 3, 4, %p2;", "u32", [], 4),
    ("setp.eq.s64 %p1, {1}, 7; @!%p1 bra $A; mov.u64 {0}, 1; bra.uni $B; $A: mov.u64 {0}, 2; $B:", "u64", [("s64", 7)],
     1),
    ("mov.u64 {0}, 9; mov.pred %p1, 1; @%p1 bra $A; mov.u64 {0}, 1; $A:", "u64", [], 9),
]  # fmt: skip


@pytest.mark.parametrize(("statement", "out", "inputs", "answer"), CASES, ids=[c[0][:40] for c in CASES])
def test_an_instruction_gives_the_known_answer(statement: str, out: str, inputs: Any, answer: Any) -> None:
    np.testing.assert_equal(execute(statement, out, *inputs), np.dtype(TYPES[out]).type(answer))


def test_an_approximate_reciprocal_is_approximate() -> None:
    found = execute("rcp.approx.ftz.f64 {0}, {1};", "f64", ("f64", 3.0))
    assert 1e-12 < abs(found * 3 - 1) < 2e-6


def test_memory_is_checked() -> None:
    ok = "ld.global.v2.f64 {{{0}, %fd77}}, [%rd80+16];"
    assert execute(ok, "f64", ("f64", 1.0), ("f64", 2.0)) == 2.0
    with pytest.raises(FaultError, match="not aligned to 16"):
        execute("ld.global.v2.f64 {{{0}, %fd77}}, [%rd80+8];", "f64", ("f64", 1.0))
    for place in ("[%rd80+64]", "[%rd80+-8]", "[%rd77]"):
        with pytest.raises(FaultError, match=r"8 bytes, is in no array"):
            execute(f"mov.u64 %rd77, 0; ld.global.f64 {{0}}, {place};", "f64")


def test_what_it_does_not_know_it_refuses() -> None:
    for statement in ("sin.approx.f32 {0}, {1};", "add.rz.f32 {0}, {1}, {1};", "bar.sync {0}, {1};"):
        with pytest.raises(UnsupportedError):
            execute(statement, "f32", ("f32", 1.0))
    parameters = ",\n".join(f"\t.param .u64 k_param_{i}" for i in range(7))
    program = Program(f".visible .entry k(\n{parameters}\n)\n{{\nret;\n}}\n")
    with pytest.raises(ValueError, match="arguments are 14 values and the kernel takes 7"):
        program.run((np.zeros(1), np.zeros(1)), 1)


# ---------------------------------------------------------------- what was compiled


def _primitives(arguments: Any) -> None:
    x, y = arguments
    i = cuda.grid(1)
    if i < x.shape[0]:
        y[0, i], y[1, i] = primitives.exp(-x[i]), primitives.log(x[i])
        y[2, i], y[3, i] = primitives.sincospi(x[i] / x.dtype.type(4))


def apart(dtype: str, kernel: Any = _primitives) -> Any:
    """Ulp by which exp, log, sine and cosine differ from NumPy's in float64."""
    x = np.random.default_rng(0).uniform(1e-3, 1, 200).astype(dtype)
    y = np.zeros((4, 200), dtype)
    Program(ptx.ptx(kernel, ((x, y),), (9, 0))).run(((x, y),), 200)
    exact = x.astype(np.float64)
    angle = np.pi * exact / 4
    expected = np.stack([np.exp(-exact), np.log(exact), np.sin(angle), np.cos(angle)])
    return (np.abs(y - expected) / np.spacing(np.abs(expected).astype(dtype))).max(axis=1)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_libdevice_s_functions_are_accurate(dtype: str) -> None:
    assert apart(dtype).max() < 2.5


def _swapped(arguments: Any) -> None:
    x, y = arguments
    i = cuda.grid(1)
    if i < x.shape[0]:
        y[0, i], y[1, i] = primitives.exp(-x[i]), primitives.log(x[i])
        y[3, i], y[2, i] = primitives.sincospi(x[i] / x.dtype.type(4))


def test_swapped_sine_and_cosine_are_seen() -> None:
    assert apart("float64", _swapped)[2:].min() > 1e3


def _words(arguments: Any) -> None:
    seed, first, words, scratch = arguments
    i = cuda.grid(1)
    if i < words.shape[1]:
        philox.fill_words(seed, first + i, 11, 4, 2, scratch[:, i : i + 1])
        words[0, i], words[1, i] = scratch[0, i], scratch[1, i]


def _unchecked(arguments: Any) -> None:
    (x,) = arguments
    x[cuda.grid(1)] = 1.0


def test_the_integer_stream_is_that_of_the_cpu() -> None:
    words, scratch, expected = (np.zeros((2, 40), np.uint64) for _ in range(3))
    arguments = (np.uint64((7 << 32) + 5), (3 << 32) - 9, words, scratch)
    Program(ptx.ptx(_words, (arguments,), (9, 0))).run((arguments,), 40)
    philox.fill_words(*arguments[:2], 11, 4, 2, expected)
    np.testing.assert_array_equal(words, expected)


def test_a_missing_bound_check_is_a_fault() -> None:
    x = np.zeros(40)
    program = Program(ptx.ptx(_unchecked, ((x,),), (9, 0)))
    program.run((x,), 40, 8)
    assert (x == 1).all()
    with pytest.raises(FaultError):
        program.run((x,), 40, 32)


PATH = paths.VP()
TARGETS: dict[str, Any] = {
    "line": GaussianMixture([0.3, 0.7], [[-1.0], [2.0]], [0.1, 0.3]),
    "rotated": GaussianMixture(
        [0.4, 0.6], [[-1.0, 0.0], [1.0, 1.0]], [[[0.5, 0.2], [0.2, 0.3]], [[0.2, -0.1], [-0.1, 0.4]]]
    ),
    "wide": GaussianMixture([0.5, 0.5], np.linspace(-1, 1, 24).reshape(2, 12), 0.25),
}
EVERYDAY = ("ddpm", "heun", "dpm-solver++-3m", "predictor-corrector")


CASES_OF_METHODS = [
    (method, target)
    if method in EVERYDAY and target != "rotated"
    else pytest.param(method, target, marks=pytest.mark.slow)
    for method in sorted(
        {name for name, start in one_of_each_shape() if start == "practical"} | set(EVERYDAY)
    )
    for target in (TARGETS if method in EVERYDAY else ("rotated",))
]


@pytest.mark.parametrize(("method", "target"), CASES_OF_METHODS)
def test_compiled_trajectories_are_those_of_the_cpu(method: str, target: str) -> None:
    tableau = catalogue[method].tableau(PATH, grids.log_snr(PATH, 8))
    for dtype in ("float64", "float32"):
        with in_place_of_a_gpu() as executed:
            there = sample(tableau, TARGETS[target], 5, seed=3, first=1 << 33, dtype=dtype, device="cuda")
        here = sample(tableau, TARGETS[target], 5, seed=3, first=1 << 33, dtype=dtype)
        assert there.dtype == dtype
        assert np.abs(there - here).max() <= ULP_PER_STEP * len(tableau) * np.spacing(np.abs(here).max())
        single = sum(count for name, count in executed.items() if "f64" in name)
        assert (single > 0) == (dtype == "float64")


V, L = 4, 7
SMOOTH, SHARP = (
    sequences.MarkovSequence(np.full(V, 1 / V), rows, L)
    for rows in (
        np.random.default_rng(0).dirichlet(np.ones(V), size=V),
        0.1 / V + 0.9 * np.roll(np.eye(V), 1, axis=1),
    )
)
NOISES = {
    "masked": chains.Absorbing(V),
    "uniform": chains.Uniform(V),
    "hybrid": chains.Hybrid(V, p_uniform=0.2),
    "ordinal": chains.BirthDeath(V),
    "death": chains.PureDeath(V),
}
# one for each kernel and noise that decides what it does
EVERYDAY_TOKENS = {
    "masked": {"tweedie-tau-leaping", "maskgit", "theta-trapezoidal", "guided-ancestral"},
    "uniform": {"tweedie-tau-leaping", "poisson-tau-leaping", "location-corrected-tau-leaping", "gillespie"},
    "death": {"blackout-as-published"},
}
TOKENS = [
    pytest.param(name, noise, marks=() if name in EVERYDAY_TOKENS.get(noise, ()) else pytest.mark.slow)
    for noise in NOISES
    for name in sorted(catalogue.discrete)
]


MANY = sequences.MarkovSequence(
    np.full(11, 1 / 11), np.random.default_rng(0).dirichlet(np.ones(11), size=11), 5
)


@pytest.mark.parametrize(
    ("method", "noise"),
    [
        ("tweedie-tau-leaping", chains.Absorbing(11)),
        ("tweedie-tau-leaping", chains.Uniform(11)),
        ("theta-trapezoidal", chains.Uniform(11)),
        ("gillespie", chains.Uniform(11)),
    ],
)
def test_compiled_moves_draw_them_with_many_tokens_too(method: str, noise: Any) -> None:
    """Where messages and laws lie in memory that threads share out."""
    kernel = catalogue[method].kernel(noise, grids.uniform(noise, steps=4))
    with in_place_of_a_gpu():
        there = sample(kernel, MANY, 3, seed=3, device="cuda")
    np.testing.assert_array_equal(there, sample(kernel, MANY, 3, seed=3))


@pytest.mark.parametrize(("method", "noise"), TOKENS)
def test_compiled_moves_draw_the_tokens_of_the_cpu(method: str, noise: str) -> None:
    process, n = NOISES[noise], 6
    data = sequences.Labelled([SMOOTH, SHARP], [0.5, 0.5]) if "guided" in method else SMOOTH
    if method == "uniformization":
        n = 1  # it makes millions of steps near the data
    try:
        kernel = catalogue[method].kernel(process, grids.uniform(process, steps=4))
        here = sample(kernel, data, n, seed=3)
    except (ValueError, FloatingPointError) as error:
        pytest.skip(str(error))  # no method of this noise, or none on so few steps
    if any(type(move).thread is Move.thread for step in kernel.steps for move in step):
        pytest.skip(f"{method} runs on a CPU alone")
    with in_place_of_a_gpu():
        there = sample(kernel, data, n, seed=3, device="cuda")
    np.testing.assert_array_equal(there, here)
