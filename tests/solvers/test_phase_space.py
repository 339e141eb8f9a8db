"""Samplers in phase space: the papers' loops, orders on a Gaussian and on a mixture, laws, starts, refusals."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from analytic import GaussianMixture, paths, targets
from solvers import catalogue, grids, law, run, sample, strong
from solvers.continuous.executors.shared_path import SharedPath
from solvers.methods.continuous.phase_space_splitting import WORDS
from tests.solvers.phase_space_loops import STEPS, Backward, loop

METHODS = list(catalogue.on("phase-space"))
PATHS: dict[str, Any] = {
    "cld": paths.CLD(),
    "psld": paths.PSLD(),
    "overdamped": paths.CLD(3.0, 1.7, 0.3, 0.5),
}
GAUSSIAN, MIXTURE = targets.load("gaussian-1d"), targets.load("easy-1d")


def compared(
    name: str, path: Any, how: str, change: Any = lambda tableau: tableau, seed: int = 0, **options: Any
) -> tuple[Any, Any]:
    """Both registers of a tableau and of the loop, from the same points and deviates."""
    rng = np.random.default_rng(seed)
    grid = grids.power(path, 5, stop=0.02)
    tableau = change(catalogue[name].tableau(path, grid, begin=how, **options))
    x, noise = rng.standard_normal(7), rng.standard_normal((len(tableau.channels), 7))
    found = run(tableau, MIXTURE, x[:, None], noise=noise[..., None], full=True)
    return np.stack([z[:, 0] for z in found.registers], axis=1), loop(
        name, path, grid, MIXTURE, x, noise, how, **options
    )


CASES: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in METHODS),
    *(("phase-space-verlet", {"word": word, "substeps": "midpoint"}) for word in WORDS["flow"]),
    *(("phase-space-splitting", {"word": word, "substeps": "midpoint"}) for word in WORDS["noisy"]),
    ("phase-space-splitting", {"word": "OBAB", "substeps": "euler"}),
    ("phase-space-lambda-ddim", {"lam": -0.7, "matrix": "ones"}),
]


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_tableau_is_the_loop_with_scores_of_phase_space(name: str, options: dict[str, Any]) -> None:
    assert set(METHODS) == set(STEPS)
    for path in [PATHS["psld"]] if options else PATHS.values():  # where every part has a score
        for how in ("data",) if options else ("data", "noise"):
            found, expected = compared(name, path, how, **options)
            # the loop of gDDIM integrates an equation that grows e^8-fold on the way
            np.testing.assert_allclose(found, expected, rtol=1e-11, atol=2e-8 if name == "gddim" else 1e-11)


@pytest.mark.parametrize("name", METHODS)
def test_every_table_of_coefficients_matters(name: str) -> None:
    right, _ = compared(name, PATHS["psld"], "data")
    tableau = catalogue[name].tableau(PATHS["psld"], grids.power(PATHS["psld"], 5, stop=0.02))
    for index, block in enumerate(tableau.blocks):
        for table in ("U", "A", "G", "V", "B", "H", "levels"):
            if not np.any(getattr(block, table)):
                continue

            def spoiled(tableau: Any, index: int = index, table: str = table) -> Any:
                blocks = list(tableau.blocks)
                blocks[index] = replace(blocks[index], **{table: getattr(blocks[index], table) * 1.001})
                return replace(tableau, blocks=tuple(blocks))

            wrong, _ = compared(name, PATHS["psld"], "data", spoiled)
            # far beyond what the loop allows; a noisy sampler forgets most of where it began
            assert np.abs(wrong - right).max() > (1e-6 if name == "gddim" else 1e-8), (index, table)


def errors(name: str, path: str, steps: tuple[int, ...], **options: Any) -> np.ndarray:
    found = []
    for N in steps:
        tableau = catalogue[name].tableau(PATHS[path], grids.power(PATHS[path], N), **options)
        found.append(law(tableau, GAUSSIAN).error_to(GAUSSIAN.noised(*tableau.end)).w2)
    return np.array(found)


BY_EULER = {"substeps": "euler"}


@pytest.mark.parametrize(
    ("name", "options", "order"),
    [
        ("cld-em", {}, 1),
        ("sscs", {}, 1),
        ("sscs-midpoint", {}, 2),
        ("gddim", {}, 1),
        ("phase-space-heun", {}, 2),
        ("phase-space-verlet", {}, 2),
        ("phase-space-verlet", {"word": "BAB"} | BY_EULER, 1),
        ("phase-space-verlet", {"word": "BA"} | BY_EULER, 1),
        *(
            ("phase-space-splitting", {"word": word}, 2 if word == word[::-1] else 1)
            for word in WORDS["noisy"]
        ),
        ("phase-space-splitting", BY_EULER, 1),
        ("phase-space-lambda-ddim", {"lam": 2.0, "matrix": "ones"}, 1),
    ],
    ids=str,
)
def test_orders_on_a_gaussian_by_exact_law(name: str, options: dict[str, Any], order: int) -> None:
    chosen = catalogue[name].options | options
    assert {claim.order for claim in catalogue[name].claims if claim.covers(chosen)} == {order}
    for path in ("cld", "psld"):
        # of these the error changes its sign on the way: it is small and settles late
        late = (name, options) in (("phase-space-heun", {}), ("phase-space-verlet", {}))
        e = errors(name, path, (512, 1024, 2048) if late else (64, 128, 256), **options)
        slopes = np.log2(e[:-1] / e[1:])
        # local slopes approach the order, the rest halving with the step
        assert abs(2 * slopes[1] - slopes[0] - order) < 0.03, slopes


@pytest.mark.parametrize(
    ("name", "order", "steps"),
    [
        ("sscs", 1, (32, 64)),
        ("sscs-midpoint", 2, (32, 64)),
        pytest.param("cld-em", 1, (256, 512), marks=pytest.mark.slow),
    ],
)
def test_orders_on_a_mixture_by_the_backward_equation(name: str, order: int, steps: tuple[int, int]) -> None:
    path = PATHS["cld"]
    backward = Backward(path, MIXTURE)
    e = []
    for N in steps:
        grid = grids.uniform(path, N, stop=0.05)
        e.append(np.linalg.norm(backward.expected(name, grid) - backward.truth(grid[-1])))
    assert abs(np.log2(e[0] / e[1]) - order) < 0.1


def expected_of_flow(tableau: Any, path: Any) -> np.ndarray:
    """E x, x^2, cos 2x of a deterministic sampler on the mixture, by a sum over a lattice of (x_T, v_T)."""
    side = np.linspace(-7.5, 7.5, 121)
    xi = np.stack(np.meshgrid(side, side, indexing="ij")).reshape(2, -1)
    a, L = path.signal(1.0)[0], path.factor(1.0)[0]
    x = run(tableau, MIXTURE, np.zeros((xi.shape[1], 1)), noise=xi[..., None])[:, 0]  # from z_T = L xi
    weight = np.zeros(len(x))
    for w, m, v in zip(MIXTURE.weights, MIXTURE.means[:, 0], MIXTURE.variances[:, 0], strict=True):
        apart = (L @ xi).T - a * m
        whole = v * np.outer(a, a) + L @ L.T
        weight += (
            w
            * np.exp(-np.einsum("ni,ij,nj->n", apart, np.linalg.inv(whole), apart) / 2)
            / np.sqrt(np.linalg.det(whole))
        )
    weight *= np.linalg.det(L) * (side[1] - side[0]) ** 2 / (2 * np.pi)
    assert abs(weight.sum() - 1) < 1e-12
    return np.array([x, x**2, np.cos(2 * x)]) @ weight


@pytest.mark.parametrize(
    ("name", "order", "steps"),
    [
        ("gddim", 1, (64, 128, 256)),
        ("phase-space-heun", 2, (128, 256, 512)),
        pytest.param("phase-space-verlet", 2, (64, 128, 256), marks=pytest.mark.slow),
    ],
)
def test_orders_of_the_flow_on_a_mixture_by_a_lattice(name: str, order: int, steps: tuple[int, ...]) -> None:
    path = PATHS["cld"]
    e = []
    for N in steps:
        tableau = catalogue[name].tableau(path, grids.uniform(path, N, stop=0.05))
        truth = Backward(path, MIXTURE, 4, 4).truth(tableau.grid[-1])
        e.append(np.linalg.norm(expected_of_flow(tableau, path) - truth))
    slopes = np.log2(np.array(e[:-1]) / e[1:])
    # as above; Heun's slopes, 1.51 and 1.81, still have a part that falls faster
    assert abs(2 * slopes[1] - slopes[0] - order) < 0.15, slopes


@pytest.mark.parametrize("name", ["sscs", "sscs-midpoint"])
def test_the_backward_equation_is_that_of_the_tableau(name: str) -> None:
    """On a Gaussian to its own accuracy; on a mixture within 5 standard errors of samples, 6 numbers in all."""
    path = PATHS["cld"]
    grid = grids.uniform(path, 16, stop=0.05)
    tableau = catalogue[name].tableau(path, grid)
    found = law(tableau, GAUSSIAN)
    m, v = found.mean[0], found.variances[0]
    exact = [m, m**2 + v, np.cos(2 * m) * np.exp(-2 * v)]
    np.testing.assert_allclose(Backward(path, GAUSSIAN).expected(name, grid), exact, atol=3e-6)
    x = sample(tableau, MIXTURE, 200_000, seed=4)[:, 0]
    f = np.stack([x, x**2, np.cos(2 * x)], axis=1)
    gap = f.mean(0) - Backward(path, MIXTURE).expected(name, grid)
    assert np.all(np.abs(gap) < 5 * f.std(0) / np.sqrt(len(x))), gap


def test_a_splitting_steps_to_the_data_themselves_where_v_has_no_score() -> None:
    rng = np.random.default_rng(0)
    for name, words in (("phase-space-verlet", WORDS["flow"]), ("phase-space-splitting", WORDS["noisy"])):
        for word, path in itertools.product(words, (PATHS["cld"], PATHS["psld"])):
            at, near = (
                catalogue[name].tableau(path, [1.0, 0.6, stop], word=word, substeps="euler")
                for stop in (0.0, 1e-12)
            )
            x, noise = rng.standard_normal((5, 1)), rng.standard_normal((len(at.channels), 5, 1))
            found, limit = (run(tableau, MIXTURE, x, noise=noise) for tableau in (at, near))
            np.testing.assert_allclose(found, limit, rtol=1e-9, atol=1e-9)
            assert near.nfe - at.nfe == int(word.endswith(("AB", "ABO"))), word


def test_gddim_is_exact_on_one_datum_in_one_step_and_nothing_else_is() -> None:
    datum = GaussianMixture([1.0], [[0.7]], 0.0)
    for path in PATHS.values():
        for stop in (0.3, 1e-3, 0.0):
            off = {}
            for name in METHODS:
                tableau = catalogue[name].tableau(path, [1.0, stop])
                off[name] = law(tableau, datum).error_to(datum.noised(*tableau.end)).w2
            assert off.pop("gddim") < 1e-13
            assert min(off.values()) > 1e-3


@pytest.mark.parametrize("name", METHODS)
def test_samples_have_the_exact_law_in_every_dimension_and_in_both_executors(name: str) -> None:
    """4 numbers each for 8 methods and 2 starts, within 5 standard errors."""
    target = GaussianMixture([1.0], [[0.5, -1.0]], [[1.5, 0.3]])
    path, n = PATHS["psld"], 40_000
    for how in ("data", "noise"):
        tableau = catalogue[name].tableau(path, grids.power(path, 24), begin=how)
        exact = law(tableau, target)
        x = sample(tableau, target, n, seed=2)
        z = (x.mean(0) - exact.mean) / np.sqrt(exact.variances / n)
        assert np.all(np.abs(z) < 5)
        assert np.all(np.abs(x.var(0) / exact.variances - 1) < 5 * np.sqrt(2 / n))
        np.testing.assert_allclose(run(tableau, target, "marginal", 2, n=64), x[:64], rtol=1e-9, atol=1e-9)


def test_a_torch_module_samples_in_phase_space() -> None:
    torch = pytest.importorskip("torch")
    from solvers import denoiser

    class Module(torch.nn.Module):
        """The denoiser of N(m, v), as a network of noise levels would be."""

        def forward(self, x: Any, sigma: float) -> Any:
            return x + sigma**2 / (0.25 + sigma**2) * (1.0 - x)

    tableau = catalogue["sscs-midpoint"].tableau(PATHS["cld"], grids.power(PATHS["cld"], 16))
    start = np.random.default_rng(0).standard_normal((50, 3))
    model = denoiser(Module(), predicts="x0", takes="sigma")
    found = run(tableau, model, torch.tensor(start), seed=5)
    assert isinstance(found, torch.Tensor)
    gaussian = GaussianMixture([1.0], [[1.0] * 3], 0.25)
    np.testing.assert_allclose(found.numpy(), run(tableau, gaussian, start, seed=5), rtol=1e-10, atol=1e-10)


def test_where_a_sampler_begins() -> None:
    path = PATHS["cld"]
    grid = grids.power(path, 256)
    data, noise = (catalogue["sscs-midpoint"].tableau(path, grid, begin=how) for how in ("data", "noise"))
    assert data.start == (1.0, 0.0)
    assert noise.start == (path.alpha(1.0), path.sigma(1.0))
    assert data.end == noise.end == (path.alpha(1e-3), path.sigma(1e-3))
    assert data.nfe == noise.nfe == 512
    truth = GAUSSIAN.noised(*data.end)
    # the first step makes the joint law of (x, v), not of x alone
    first = run(data, GAUSSIAN, GAUSSIAN.sample(20_000, 3), 3, full=True)
    assert len(first.registers) == 2
    exact, prior = (law(data, GAUSSIAN, initial) for initial in ("marginal", "prior"))
    apart, published = exact.error_to(prior).w2, law(noise, GAUSSIAN, "prior").error_to(prior).w2
    assert published < 1e-6 < 10 * apart  # N(0, 1) through the noising is what is published, to e^-16
    assert exact.error_to(truth).w2 < 5e-5


def test_coarse_and_fine_grids_share_where_they_begin() -> None:
    path = PATHS["cld"]
    coarse, fine = (catalogue["sscs"].tableau(path, grids.uniform(path, N)) for N in (4, 8))
    a, b = SharedPath([coarse, fine]).noise(5000, 1, seed=1)
    np.testing.assert_array_equal(a[:2], b[:2])
    assert np.abs(np.mean(a * a, axis=(1, 2)) - 1).max() < 5 * np.sqrt(2 / 5000)
    assert np.abs(np.corrcoef(b[:, :, 0]) - np.eye(len(b))).max() < 6 / np.sqrt(5000)
    x, y = (
        sample(t, MIXTURE, 5000, 0, MIXTURE.sample(5000, 2), noise=z) for t, z in ((coarse, a), (fine, b))
    )
    apart = sample(fine, MIXTURE, 5000, 9, MIXTURE.sample(5000, 2))
    assert np.mean((x - y) ** 2) < np.mean((x - apart) ** 2) / 4


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: catalogue["sscs"].tableau(paths.VP(), [1.0, 0.1]),
            "sscs is for phase-space ones: give paths.CLD() or",
        ),
        (
            lambda: catalogue["heun"].tableau(paths.CLD(), [1.0, 0.1]),
            "a phase-space process, and heun is for noising",
        ),
        (
            lambda: catalogue["sscs"].tableau(paths.CLD(), [1.0, 0.1], begin="x"),
            "begin is 'x': use one of data, noise",
        ),
        (lambda: catalogue["sscs"].tableau(paths.CLD(), [2.0, 0.1]), "2"),
        (
            lambda: catalogue["phase-space-verlet"].tableau(paths.CLD(), [1.0, 0.1], word="OBA"),
            "word is 'OBA': use one of ABA, BAB, BA",
        ),
        (
            lambda: catalogue["phase-space-splitting"].tableau(paths.CLD(), [1.0, 0.1], substeps="rk4"),
            "substeps is 'rk4': use one of euler, midpoint",
        ),
        (
            lambda: catalogue["phase-space-lambda-ddim"].tableau(paths.CLD(), [1.0, 0.1], matrix="zero"),
            "matrix is 'zero': use one of identity, ones",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call: Any, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        call()


@pytest.mark.parametrize("name", METHODS)
def test_a_strong_error_is_refused(name: str) -> None:
    for how in ("data", "noise"):
        tableau = catalogue[name].tableau(PATHS["cld"], grids.power(PATHS["cld"], 8), begin=how)
        with pytest.raises(ValueError, match="no strong error"):
            strong(tableau, GAUSSIAN)
