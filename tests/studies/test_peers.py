"""What the kernels are timed beside: the same samplers, written in other libraries."""

from __future__ import annotations

import sys
from itertools import pairwise
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from analytic import GaussianMixture, paths
from solvers import catalogue, grids, law, run
from studies.bench import libraries, peers
from studies.gpu.estimates import METHODS, PATH, TARGETS

N = 40


def case(method: str, target: GaussianMixture, **keywords: Any) -> tuple[Any, Any, Any, Any]:
    tableau = catalogue[method].tableau(PATH, grids.log_snr(PATH, 12), **keywords)
    generator = np.random.default_rng(1)
    x = generator.normal(size=(N, target.dim))
    noise = generator.normal(size=(len(tableau.channels), N, target.dim))
    return tableau, x, noise, run(tableau, target, x, noise=noise)


@pytest.mark.parametrize("compiled", [None, "aot_eager"])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("method", [*METHODS, "stochastic-heun", "predictor-corrector"])
def test_torch_s_loop_is_the_sampler(method: str, target: str, compiled: str | None) -> None:
    torch = pytest.importorskip("torch")
    tableau, x, noise, expected = case(method, TARGETS[target])
    loop = peers.torch_loop(tableau, TARGETS[target], compiled=compiled)
    found = loop(torch.as_tensor(x), torch.as_tensor(noise))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12, atol=1e-12)
    single = loop(torch.as_tensor(x, dtype=torch.float32), torch.as_tensor(noise, dtype=torch.float32))
    assert single.dtype == torch.float32
    np.testing.assert_allclose(single.numpy(), expected, rtol=1e-4, atol=1e-4)


def test_torch_s_loop_draws_noise_of_its_own() -> None:
    torch = pytest.importorskip("torch")
    target, n = GaussianMixture([1.0], [[1.0]], [0.25]), 200_000
    tableau = catalogue["ddpm"].tableau(PATH, grids.log_snr(PATH, 12))
    torch.manual_seed(0)
    x = peers.torch_loop(tableau, target)(torch.randn((n, 1), dtype=torch.float64)).numpy()
    exact = law(tableau, target, initial="prior")
    assert abs(x.mean() - exact.mean[0]) < 5 * np.sqrt(exact.variances[0] / n)
    assert abs(x.var() / exact.variances[0] - 1) < 5 * np.sqrt(2 / n)


@pytest.mark.parametrize("target", TARGETS)
def test_diffrax_solves_the_flow_as_heun_does(target: str) -> None:
    pytest.importorskip("diffrax")
    to_jax = peers.jax_array(simulated=True)
    tableau, x, _, expected = case("heun", TARGETS[target])
    solve = libraries.diffrax_heun(tableau, TARGETS[target])
    np.testing.assert_allclose(np.asarray(solve(to_jax(x))), expected, rtol=1e-12, atol=1e-12)
    single = solve(to_jax(x.astype(np.float32)))
    assert single.dtype == np.float32
    np.testing.assert_allclose(np.asarray(single), expected, rtol=1e-4, atol=1e-4)


def test_what_peers_cannot_do_they_refuse() -> None:
    pytest.importorskip("diffrax")
    target, turned = TARGETS["line, 2 components"], np.array([[[1.0, 0.5], [0.5, 1.0]]])
    rotated = GaussianMixture([1.0], [[0.0, 0.0]], turned)
    tableau = catalogue["heun"].tableau(PATH, grids.log_snr(PATH, 4))
    for make in (peers.torch_loop, libraries.diffrax_heun):
        with pytest.raises(ValueError, match="rotated components: give diagonal covariances"):
            make(tableau, rotated)
    with pytest.raises(ValueError, match="tableau is 'ddpm': give one of 'heun'"):
        libraries.diffrax_heun(catalogue["ddpm"].tableau(PATH, grids.log_snr(PATH, 4)), target)
    to_zero = np.append(grids.log_snr(PATH, 4), 0.0)
    with pytest.raises(ValueError, match="grid ends at sigma = 0"):
        libraries.diffrax_heun(catalogue["heun"].tableau(PATH, to_zero), target)
    exploding = paths.VE(sigma_min=0.02, sigma_max=20.0)
    with pytest.raises(ValueError, match="give a variance-preserving one"):
        libraries.diffrax_heun(catalogue["heun"].tableau(exploding, grids.karras(exploding, 4)), target)


def test_without_a_gpu_they_say_so() -> None:
    torch, jax = pytest.importorskip("torch"), pytest.importorskip("jax")
    if torch.cuda.is_available() or jax.default_backend() == "gpu":
        pytest.skip("there is a GPU")
    with pytest.raises(RuntimeError, match="torch sees no GPU"):
        peers.torch_device(simulated=False)
    with pytest.raises(RuntimeError, match="jax sees no GPU"):
        peers.jax_array(simulated=False)
    assert peers.torch_device(simulated=True)[0] == "cpu"


def heun(model: Any, x: Any, sigmas: Any, disable: bool) -> Any:
    """Karras et al. 2022, algorithm 1, in k-diffusion's form: a level for each sample."""
    for sigma, then in pairwise(sigmas):
        d = (x - model(x, sigma.expand(len(x)))) / sigma
        ahead = x + (then - sigma) * d
        x = x + (then - sigma) * (d + (ahead - model(ahead, then.expand(len(x)))) / then) / 2
    return x


def dpmpp_2m(model: Any, x: Any, sigmas: Any, disable: bool) -> Any:
    """Lu et al. 2022, algorithm 2, at alpha = 1, in k-diffusion's form."""
    before, h_before = None, None
    for sigma, then in pairwise(sigmas):
        D, h = model(x, sigma.expand(len(x))), (sigma / then).log()
        extended = D if before is None else D + h / h_before * (D - before) / 2
        x, before, h_before = then / sigma * x + (1 - then / sigma) * extended, D, h
    return x


def euler_ancestral(model: Any, x: Any, sigmas: Any, disable: bool) -> Any:
    """A draw from q(x_s | x_t, x_0 = D), in k-diffusion's form."""
    import torch

    for sigma, then in pairwise(sigmas):
        D, share = model(x, sigma.expand(len(x))), (then / sigma) ** 2
        x = D + share * (x - D) + then * (1 - share).sqrt() * torch.randn_like(x)
    return x


def test_k_diffusion_is_asked_in_its_own_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the library where it is installed, else by its samplers as written here; its noise is its own."""
    torch = pytest.importorskip("torch")
    try:
        import k_diffusion.sampling  # noqa: F401
    except ImportError:
        library = ModuleType("k_diffusion.sampling")
        for function in (heun, dpmpp_2m, euler_ancestral):
            setattr(library, f"sample_{function.__name__}", function)
        monkeypatch.setitem(sys.modules, "k_diffusion", ModuleType("k_diffusion"))
        monkeypatch.setitem(sys.modules, "k_diffusion.sampling", library)
    for method in ("heun", "dpm-solver++-2m"):
        for target in TARGETS.values():
            tableau, x, _, expected = case(method, target)
            solve = libraries.k_diffusion(tableau, target)
            np.testing.assert_allclose(solve(torch.as_tensor(x)), expected, rtol=1e-12, atol=1e-12)
            assert solve(torch.as_tensor(x, dtype=torch.float32)).dtype == torch.float32
    target, n = GaussianMixture([1.0], [[1.0]], [0.25]), 200_000
    tableau = catalogue["ddpm"].tableau(PATH, grids.log_snr(PATH, 12))
    torch.manual_seed(0)
    x = libraries.k_diffusion(tableau, target)(torch.randn((n, 1), dtype=torch.float64)).numpy()
    exact = law(tableau, target, initial="prior")
    assert abs(x.mean() - exact.mean[0]) < 5 * np.sqrt(exact.variances[0] / n)
    assert abs(x.var() / exact.variances[0] - 1) < 5 * np.sqrt(2 / n)
    with pytest.raises(ValueError, match="tableau is 'euler': give one of"):
        libraries.k_diffusion(catalogue["euler"].tableau(PATH, grids.log_snr(PATH, 4)), target)
    to_zero = np.append(grids.log_snr(PATH, 4), 0.0)
    with pytest.raises(ValueError, match="grid ends at sigma = 0"):
        libraries.k_diffusion(catalogue["heun"].tableau(PATH, to_zero), target)


def test_a_scan_of_xla_is_the_sampler() -> None:
    jax = pytest.importorskip("jax")
    to_jax = peers.jax_array(simulated=True)
    for method in ("heun", "dpm-solver++-2m"):
        for target in TARGETS.values():
            tableau, x, _, expected = case(method, target)
            found = peers.xla_scan(tableau, target)(to_jax(x.T.copy()), jax.random.key(0))
            np.testing.assert_allclose(np.asarray(found).T, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("of", ["XLA", "torch", "diffrax", "torchsde", "diffusers"])
def test_noisy_loops_of_others_sample_the_target(of: str) -> None:
    """To first order in their steps; noise is their own."""
    torch = pytest.importorskip("torch")
    target, n, steps = GaussianMixture([1.0], [[1.0, -1.0]], [[0.25, 0.5]]), 20_000, 200
    tableau = catalogue["ddpm"].tableau(PATH, grids.uniform(PATH, steps))
    start = np.random.default_rng(0).standard_normal((n, 2))
    torch.manual_seed(0)
    if of in ("XLA", "diffrax"):
        jax = pytest.importorskip("jax")
        x, key = peers.jax_array(simulated=True)(start), jax.random.key(0)
        if of == "XLA":
            found = np.asarray(peers.xla_scan(tableau, target)(x.T, key)).T
        else:
            solve, keys = libraries.diffrax_sde(tableau, target), jax.random.split(key, n)
            found = np.asarray(solve(x, keys))
            assert solve(x.astype(np.float32)[:3], keys[:3]).dtype == np.float32
    else:
        y = torch.as_tensor(start)
        if of == "torch":
            found = peers.torch_loop(tableau, target, first=True)(y.T.contiguous()).numpy().T
        else:
            pytest.importorskip(of)
            made = (
                libraries.torchsde_euler(tableau, target)
                if of == "torchsde"
                else libraries.diffusers_ddpm(target, steps)
            )
            found = made(y).numpy()
    assert found.shape == (n, 2)
    np.testing.assert_allclose(found.mean(axis=0), [1.0, -1.0], atol=0.03)
    np.testing.assert_allclose(found.var(axis=0), [0.25, 0.5], rtol=0.08)
