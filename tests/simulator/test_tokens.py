"""Token samplers on the CUDA simulator: the same tokens as on the CPU."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from analytic import chains, sequences
from solvers import catalogue, grids, sample
from solvers.cuda.device import Device
from solvers.discrete import bridge, stream, walk
from solvers.discrete.executors.cuda import plans, runner
from solvers.discrete.executors.fused import trajectories
from solvers.discrete.model.cavities import Model
from solvers.discrete.model.messages_by_block import LANES
from solvers.discrete.moves.move import Move
from solvers.discrete.moves.site import compound_into, longest
from tests.solvers.made_up_move import OneSite

pytestmark = pytest.mark.simulator

V, L = 4, 9
SMOOTH = sequences.MarkovSequence(np.full(V, 0.25), np.random.default_rng(0).dirichlet(np.ones(V), size=V), L)
SHARP = sequences.MarkovSequence(np.full(V, 0.25), 0.004 / V + 0.996 * np.roll(np.eye(V), 1, axis=1), L)
CHANGING = sequences.MarkovSequence(
    np.full(V, 0.25), np.random.default_rng(1).dirichlet(np.ones(V), size=(L - 1, V)), L
)
TABLE = sequences.Enumerated(np.random.default_rng(2).dirichlet(np.ones(V**3)).reshape(V, V, V))
NOISES = {
    "masked": chains.Absorbing(vocabulary=V),
    "uniform": chains.Uniform(vocabulary=V),
    "hybrid": chains.Hybrid(vocabulary=V, p_uniform=0.2),
}
UNTOUCHED = -7  # no number that scratch comes to hold
LABELLED = sequences.Labelled([SMOOTH, SHARP, CHANGING], [0.5, 0.2, 0.3])
GUIDES = {
    "guided-ancestral": ("transition", "posterior", "classifier"),
    "guided-tau-leaping": ("rates", "posterior", "classifier"),
}


def kernel_of(name: str, noise: str, steps: int = 8, **keywords: Any) -> Any:
    return catalogue[name].kernel(NOISES[noise], grids.uniform(NOISES[noise], steps=steps), **keywords)


def assert_same(kernel: Any, data: Any, n: int, **keywords: Any) -> None:
    expected = sample(kernel, data, n, seed=5, **keywords)
    found = sample(kernel, data, n, seed=5, device="cuda", **keywords)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("name", sorted(set(catalogue.discrete) - set(GUIDES)))
def test_tokens_are_those_of_the_cpu(name: str, noise: str) -> None:
    try:
        kernel = kernel_of(name, noise)
    except ValueError as error:
        pytest.skip(str(error))  # no method of this noise, or only with options
    if any(type(move).thread is Move.thread for step in kernel.steps for move in step):
        pytest.skip(f"{name} runs on a CPU alone")
    for data in (SMOOTH, SHARP, CHANGING):
        assert_same(kernel, data, 20, first=(1 << 32) - 3)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("name", GUIDES)
def test_guided_tokens_are_those_of_the_cpu(name: str, noise: str) -> None:
    for guide in GUIDES[name]:
        for gamma in (0.0, 0.7, 1.0, 3.0):
            kernel = kernel_of(name, noise, 5, label=1, gamma=gamma, guide=guide)
            assert_same(kernel, LABELLED, 12, first=(1 << 32) - 3)


def test_guided_tokens_with_other_noise_finalisers_and_labels_that_rows_forbid() -> None:
    noise = chains.BirthDeath(vocabulary=V)
    for guide in GUIDES["guided-tau-leaping"]:
        grid = grids.uniform(noise, steps=4)
        kernel = catalogue["guided-tau-leaping"].kernel(noise, grid, label=2, gamma=2.0, guide=guide)
        assert_same(kernel, LABELLED, 12)
    # the second law never leaves the upper half of the vocabulary, the first goes everywhere
    half = np.kron(np.eye(2), np.full((2, 2), 0.5))
    upper = sequences.MarkovSequence([0.0, 0.0, 0.5, 0.5], half, L)
    data = sequences.Labelled([SMOOTH, upper], [0.5, 0.5])
    start = np.full((10, L), V)
    start[:, 4], start[:5, 6] = 3, 2
    for finalise in ("posterior", "argmax"):
        kernel = kernel_of("guided-ancestral", "masked", 4, label=1, gamma=2.0, finalise=finalise)
        assert_same(kernel, data, 10, initial=start)
    start[:, 4] = 0  # the label's law forbids it, its absence does not
    for gamma in (0.0, 2.0):
        kernel = kernel_of("guided-ancestral", "masked", 4, label=1, gamma=gamma)
        if not gamma:
            assert_same(kernel, data, 10, initial=start)
            continue
        for device in ("cpu", "cuda"):
            with pytest.raises(FloatingPointError, match=r"a sample has probability 0 at t = .*undefined"):
                sample(kernel, data, 10, initial=start, device=device)


MANY = 11
ANY = sequences.MarkovSequence(
    np.full(MANY, 1 / MANY), np.random.default_rng(3).dirichlet(np.ones(MANY), size=MANY), 5
)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["masked", "uniform"])
def test_many_tokens_work_in_memory_and_few_in_memory_of_their_own(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = {"masked": chains.Absorbing(MANY), "uniform": chains.Uniform(MANY)}[name]
    methods = ["tweedie-tau-leaping", "tau-leaping", "theta-trapezoidal", "gillespie", "guided-ancestral"]
    methods += ["location-corrected-tau-leaping", "maskgit" if name == "masked" else "poisson-tau-leaping"]
    for method in methods:
        data = sequences.Labelled([ANY, ANY], [0.5, 0.5]) if "guided" in method else ANY
        kernel = catalogue[method].kernel(noise, grids.uniform(noise, steps=3))
        for most in (MANY - 1, MANY):
            monkeypatch.setattr(plans, "MOST_UNROLLED", most)
            assert_same(kernel, data, 6)


def test_starts_need_data_only_where_noise_left_something_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = list[int]()
    draw = sequences.MarkovSequence.sample
    monkeypatch.setattr(sequences.MarkovSequence, "sample", lambda *a: drawn.append(a[1]) or draw(*a))
    # time 1 is all masks; the default start of the others is a little before it
    for name, asked in (("masked", []), ("uniform", [12, 12])):
        kernel = kernel_of("tau-leaping", name, steps=2)
        assert_same(kernel, SMOOTH, 12, first=5)
        assert drawn == asked
        assert_same(kernel, SMOOTH, 12, initial="prior")
        assert drawn == asked


def test_what_does_not_run_there_says_so() -> None:
    kernel = kernel_of("guided-ancestral", "uniform", label=1)
    with pytest.raises(ValueError, match=r"move Guided\(probability\) on Labelled.* use device='cpu'"):
        sample(kernel, sequences.Labelled([TABLE, TABLE], [0.5, 0.5]), 2, device="cuda")
    with pytest.raises(TypeError, match=r"data is MarkovSequence.*give sequences.Labelled"):
        sample(kernel, SMOOTH, 2, device="cuda")
    with pytest.raises(ValueError, match="label is 1; labels run from 0 to 0"):
        sample(kernel, sequences.Labelled([SMOOTH], [1.0]), 2, device="cuda")
    death = chains.PureDeath(V, "cosine")
    kernel = catalogue["guided-ancestral"].kernel(death, grids.uniform(death, 3), guide="classifier")
    with pytest.raises(ValueError, match="never shows the state 1"):
        sample(kernel, LABELLED, 2, device="cuda")


@pytest.mark.parametrize("noise", ["masked", "uniform"])
def test_options_and_finalisers_run_too(noise: str) -> None:
    grid = grids.uniform(NOISES[noise], steps=4)
    for name, options in (
        ("theta-rk-2", {"theta": 0.4}),
        ("theta-trapezoidal", {"finalise": "posterior"}),
        ("ctmc-predictor-corrector", {"finalise": "argmax"}),
    ):
        assert_same(catalogue[name].kernel(NOISES[noise], grid, **options), SMOOTH, 12)


def test_poisson_laws_run_up_to_the_length_that_scratch_is_made_for() -> None:
    noise = chains.BirthDeath(vocabulary=V)
    kernel = catalogue["poisson-tau-leaping"].kernel(noise, grids.uniform(noise, steps=32))
    assert_same(kernel, SMOOTH, 12)
    for rate in (1.0, 600.0, 699.0):  # all jumps by the most states
        law = np.array([0.0] * (V - 1) + [rate])
        compound_into(1.0, 0, law, np.empty(longest(V)), np.empty(longest(V)), np.empty(longest(V) + 1))
        assert law.sum() == pytest.approx(1.0)
        assert law[0] == pytest.approx(np.exp(-rate))


def test_a_move_that_the_package_does_not_have_brings_what_a_thread_does() -> None:
    noise = NOISES["uniform"]
    grid = grids.uniform(noise, steps=3)
    made_up = walk("made-up", noise, grid, lambda t, s: [OneSite(bridge(noise, t, s), i) for i in (4, 0)])
    assert_same(made_up, SMOOTH, 12)


def test_births_run_on_chains() -> None:
    noise = chains.PureDeath(vocabulary=V)
    grid = grids.uniform(noise, steps=4)
    for births in ("bridge", "mean", "poisson"):
        assert_same(catalogue["blackout"].kernel(noise, grid, births=births), SMOOTH, 12)
    assert_same(catalogue["blackout-as-published"].kernel(noise, grid), SMOOTH, 12)


def test_dense_noise_runs_on_chains() -> None:
    noise = chains.BirthDeath(vocabulary=V)
    assert_same(catalogue["tau-leaping"].kernel(noise, grids.uniform(noise, steps=4)), SMOOTH, 12)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("name", ["gillespie", "uniformization"])
def test_events_on_a_table_too(name: str, noise: str) -> None:
    assert_same(kernel_of(name, noise), TABLE, 10)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("n", [1, LANES - 1, LANES + 1, 64])
def test_any_number_of_samples(noise: str, n: int) -> None:
    kernel = kernel_of("tweedie-tau-leaping", noise, 4, finalise="argmax")
    assert_same(kernel, SMOOTH, n)
    assert_same(kernel, SMOOTH, n, initial="prior")
    whole = sample(kernel, SMOOTH, n + 5, seed=5, device="cuda")
    np.testing.assert_array_equal(sample(kernel, SMOOTH, n, seed=5, first=5, device="cuda"), whole[5:])


def test_infilling_and_parts() -> None:
    kernel = kernel_of("discrete-euler", "masked")
    start = np.full((20, L), V)
    start[:, 3] = 1
    assert_same(kernel, SMOOTH, 20, initial=start)
    parts = list(stream(kernel, SMOOTH, 20, seed=5, initial=start, rows=7, device="cuda"))
    assert [first for first, _ in parts] == [0, 7, 14]
    expected = sample(kernel, SMOOTH, 20, seed=5, initial=start)
    np.testing.assert_array_equal(np.concatenate([runner for _, runner in parts]), expected)


def test_a_row_that_the_data_forbid_is_reported() -> None:
    forbidden = sequences.MarkovSequence(np.full(2, 0.5), np.eye(2), 3)
    noise = chains.Absorbing(vocabulary=2)
    grid = grids.uniform(noise, steps=4)
    start = np.array([[0, 2, 0], [0, 2, 1]])
    for name in ("tweedie-tau-leaping", "gillespie"):
        with pytest.raises(FloatingPointError, match=r"a sample has probability 0 at t = .*undefined"):
            sample(catalogue[name].kernel(noise, grid), forbidden, 2, initial=start, device="cuda")


def test_sites_run_on_chains_alone() -> None:
    with pytest.raises(ValueError, match=r"move Sites.*on Enumerated.*use device='cpu'"):
        sample(kernel_of("tau-leaping", "masked"), TABLE, 2, device="cuda")


SCRATCH = ("predicted", "line", "row", "moved")  # beside the moves' own
LINES = {"line", "row", "jumps", "logs"}  # some lines of scratch, each for a use of its own


@pytest.mark.slow
def test_each_thread_keeps_to_scratch_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plans, "MOST_UNROLLED", V - 1)
    device, n, used, named = Device("cuda"), 3, set[str](), set[str]()
    for name, move, model in moves_of_every_kind():
        room = np.tile(np.arange(model.data.length)[:, None] % V, (1, n))
        if "reveal" in name or "neighbours" in name:
            room[:] = V
        if "blackout" in name:  # counts that are possible where nearly all is dead
            room[:] = 0
        carry: Any
        if isinstance(move, tuple):
            fused = trajectories(move, model)
            assert fused is not None
            plan: Any = runner.fused_plan(fused, room, np.zeros((n, 3), np.int64), np.uint64(5), 0, device)
            carry = runner.carry_of(fused)
        else:
            thread, failed = move.thread(model), np.zeros((n, 2), np.int64)
            plan = runner.steps_plan(thread, model, room, failed, np.uint64(5), 0, 0, device)
            carry = thread.carry
        parts: dict[str, Any] = {}
        common = {field: getattr(plan, field, np.zeros(0)) for field in SCRATCH}
        own = plan.scratch._asdict() if hasattr(plan, "scratch") else {}
        for field, array in (common | own).items():
            if array.shape[-1] != n:
                continue  # of no use to this kernel
            array[:] = UNTOUCHED
            if field in LINES and array.ndim >= 3:
                parts |= {f"{field}[{line}]": array[line] for line in range(len(array))}
            else:
                parts[field] = array
        named |= set(own)
        device.launch(runner.compiled(runner.built(carry, plan, model)), n, (plan,), threads=32)
        for field, array in parts.items():
            touched = (array != UNTOUCHED).reshape(-1, n).any(axis=0)
            assert touched.all() or not touched.any(), (name, field, touched)
            used |= {field.split("[")[0]} if touched.any() else set()
    assert used == set(SCRATCH) | named


def moves_of_every_kind() -> Iterator[tuple[str, Any, Model]]:
    """Yield moves that kernels carry out, with a model: tuples of them for whole trajectories."""
    for method, noise, whole in (
        ("tweedie-tau-leaping", NOISES["masked"], True),
        ("tweedie-tau-leaping", NOISES["uniform"], True),
        ("tau-leaping", NOISES["uniform"], False),
        ("poisson-tau-leaping", NOISES["uniform"], False),
        ("theta-trapezoidal", NOISES["uniform"], False),
        ("maskgit", NOISES["masked"], False),
        ("location-corrected-tau-leaping", NOISES["uniform"], False),
        ("blackout-as-published", chains.PureDeath(vocabulary=V), False),
        ("gillespie", NOISES["uniform"], False),
        ("guided-ancestral", NOISES["uniform"], False),
    ):
        options = {"guide": "classifier", "gamma": 2.0} if "guided" in method else {}
        kernel = catalogue[method].kernel(noise, grids.uniform(noise, steps=4), **options)
        word = (
            "neighbours" if whole and noise is NOISES["masked"] else "reveal" if method == "maskgit" else ""
        )
        yield (
            f"{method} {word}",
            kernel.moves if whole else kernel.moves[2],
            Model(noise, LABELLED if options else SMOOTH),
        )
        if method == "gillespie":
            yield f"{method} by a table", kernel.moves[2], Model(noise, TABLE)


def test_threads_beyond_the_last_sample_do_nothing() -> None:
    for name, noise in (
        ("tweedie-tau-leaping", "masked"),
        ("tweedie-tau-leaping", "uniform"),
        ("gillespie", "uniform"),
    ):
        model, kernel, device = Model(NOISES[noise], SMOOTH), kernel_of(name, noise, 2), Device("cuda")
        room = np.full((L, 40), 1)
        fused = trajectories(kernel.moves, model)
        if fused is None:
            thread, failed = kernel.moves[0].thread(model), np.zeros((5, 2), np.int64)
            plan: Any = runner.steps_plan(thread, model, room[:, :5], failed, np.uint64(5), 0, 0, device)
            carry = thread.carry
        else:
            plan = runner.fused_plan(fused, room[:, :5], np.zeros((5, 3), np.int64), np.uint64(5), 0, device)
            carry = runner.carry_of(fused)
        device.launch(runner.compiled(runner.built(carry, plan, model)), 40, (plan,), threads=32)
        assert np.all(room[:, 5:] == 1)
        if noise == "uniform":
            assert np.any(room[:, :5] != 1)
