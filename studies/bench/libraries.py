"""Solvers of other libraries on the same samplers, as their users call them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from analytic import GaussianMixture, chains, sequences
from solvers.continuous.tableau import Tableau

from .peers import denoised, described_by
from .token_peers import posterior_of

OF_K_DIFFUSION = {"ddpm": "euler_ancestral", "heun": "heun", "dpm-solver++-2m": "dpmpp_2m"}


def diffrax_heun(tableau: Tableau, target: GaussianMixture) -> Callable[[Any], Any]:
    """Return sample(x) of diffrax's Heun method on the probability-flow ODE, on the nodes of a tableau of `heun`.

    As `heun` does it integrates dy/dkappa = (y - D)/kappa with y = x/alpha and kappa = sigma/alpha; on a
    variance-preserving path, where alpha is (1 + kappa^2)^(-1/2). x is an (n, dim) array of jax.

    Raises
    ------
    ImportError
        Without diffrax.
    ValueError
        A target with rotated components, or a tableau of another method or path, or one that ends at sigma = 0.
    """
    import diffrax
    import jax
    import jax.numpy as jnp

    described = described_by(target)
    if tableau.path is None or tableau.name.split("(")[0] != "heun":
        raise ValueError(f"tableau is {tableau.name!r}: give one of 'heun' with its path")
    levels = np.array([(float(tableau.path.alpha(t)), float(tableau.path.sigma(t))) for t in tableau.grid])
    if not np.allclose((levels**2).sum(axis=1), 1.0):
        raise ValueError(f"path is {tableau.path!r}: give a variance-preserving one")
    if not levels[-1, 1] > 0:
        raise ValueError("grid ends at sigma = 0, where the slope has no value: end it before")
    kappa = levels[:, 1] / levels[:, 0]

    def sample(x: Any) -> Any:
        mixture = [jnp.asarray(part, dtype=x.dtype) for part in described]
        nodes = jnp.asarray(kappa, dtype=x.dtype)

        def slope(k: Any, y: Any, _: Any) -> Any:
            alpha = 1 / jnp.sqrt(1 + k * k)
            D = denoised(jnp, lambda logits: jax.nn.softmax(logits, 1), mixture, alpha * y, alpha, alpha * k)
            return (y - D) / k

        solved = diffrax.diffeqsolve(
            diffrax.ODETerm(slope),
            diffrax.Heun(),
            nodes[0],
            nodes[-1],
            None,
            x * jnp.sqrt(1 + nodes[0] ** 2),
            stepsize_controller=diffrax.StepTo(nodes),
            max_steps=len(kappa),
        )
        return solved.ys[-1] / jnp.sqrt(1 + nodes[-1] ** 2)

    return jax.jit(sample)


def _vp(tableau: Tableau) -> Any:
    """Return a tableau's path, which the equations below are of: ValueError for one that is not of VP."""
    path: Any = tableau.path
    if type(path).__name__ != "VP" or path.schedule != "linear":
        raise ValueError(f"path is {path!r}: give VP with its linear schedule")
    return path


def diffrax_sde(tableau: Tableau, target: GaussianMixture) -> Callable[[Any, Any], Any]:
    """Return sample(x, keys) of Euler's method on the reverse SDE of VP, at a tableau's nodes, x (n, dim).

    A sample each under `vmap`, with a Brownian path that is not kept (`UnsafeBrownianPath`), as diffrax recommends for
    speed. Raises ImportError without diffrax, ValueError for another path or rotated components.
    """
    import diffrax
    import jax
    import jax.numpy as jnp

    path, described = _vp(tableau), described_by(target)
    times, top = (
        np.array(tableau.grid),
        float(tableau.grid[0]),
    )  # a number of Python takes the type of what it meets

    def sample(x: Any, keys: Any) -> Any:
        mixture = [jnp.asarray(part, dtype=x.dtype) for part in described]
        nodes = jnp.asarray(top - times, dtype=x.dtype)  # runs forward

        def beta_at(s: Any) -> Any:
            return path.beta_min + (top - s) * (path.beta_max - path.beta_min)

        def drift(s: Any, y: Any, _: Any) -> Any:
            t, beta = top - s, beta_at(s)
            alpha = jnp.exp(-0.25 * t * t * (path.beta_max - path.beta_min) - 0.5 * t * path.beta_min)
            sigma2 = 1 - alpha * alpha
            D = denoised(
                jnp, lambda logits: jax.nn.softmax(logits, 1), mixture, y[None], alpha, jnp.sqrt(sigma2)
            )[0]
            return beta * (0.5 * y + (alpha * D - y) / sigma2)

        def diffusion(s: Any, y: Any, _: Any) -> Any:
            return jnp.sqrt(beta_at(s)) * jnp.ones_like(y)

        def one(start: Any, key: Any) -> Any:
            like: Any = jax.eval_shape(lambda: start)
            noise = diffrax.UnsafeBrownianPath(shape=like, key=key)
            terms: Any = diffrax.MultiTerm(
                diffrax.ODETerm(drift),
                diffrax.ControlTerm(lambda s, y, a: _Diagonal(diffusion(s, y, a)), noise),
            )
            solved = diffrax.diffeqsolve(
                terms,
                diffrax.Euler(),
                nodes[0],
                nodes[-1],
                None,
                start,
                stepsize_controller=diffrax.StepTo(nodes),
                max_steps=len(times),
                adjoint=diffrax.DirectAdjoint(),
            )
            return solved.ys[-1]

        return jax.vmap(one)(x, keys)

    import lineax

    _Diagonal = lineax.DiagonalLinearOperator
    return jax.jit(sample)


def torchsde_euler(tableau: Tableau, target: GaussianMixture) -> Callable[[Any], Any]:
    """Return sample(x) of torchsde's Euler method on the reverse SDE of VP, in as many even steps, x (n, dim).

    Raises ImportError without torchsde, ValueError for another path or rotated components.
    """
    import torch
    import torchsde

    path, described = _vp(tableau), described_by(target)
    start, stop, steps = float(tableau.grid[0]), float(tableau.grid[-1]), len(tableau)

    def sample(x: Any) -> Any:
        mixture = [torch.as_tensor(np.array(part), dtype=x.dtype) for part in described]

        class Reverse:
            noise_type, sde_type = "diagonal", "ito"

            def f(self, s: Any, y: Any) -> Any:
                t = start - s
                beta = path.beta_min + t * (path.beta_max - path.beta_min)
                alpha = torch.exp(-0.25 * t * t * (path.beta_max - path.beta_min) - 0.5 * t * path.beta_min)
                sigma2 = 1 - alpha * alpha
                D = denoised(
                    torch, lambda logits: torch.softmax(logits, 1), mixture, y, alpha, torch.sqrt(sigma2)
                )
                return beta * (0.5 * y + (alpha * D - y) / sigma2)

            def g(self, s: Any, y: Any) -> Any:
                beta = path.beta_min + (start - s) * (path.beta_max - path.beta_min)
                return torch.sqrt(beta) * torch.ones_like(y)

        span = torch.tensor([0.0, start - stop], dtype=x.dtype)
        with torch.no_grad():
            return torchsde.sdeint(Reverse(), x, span, method="euler", dt=(start - stop) / steps)[-1]

    return sample


def diffusers_ddpm(target: GaussianMixture, steps: int) -> Callable[[Any], Any]:
    """Return sample(x) of diffusers' DDPMScheduler with its own betas, in so many of 1000 steps, x (n, dim).

    Raises ImportError without diffusers, ValueError for rotated components.
    """
    import diffusers
    import torch

    described = described_by(target)
    kind: Any = diffusers.DDPMScheduler
    scheduler = kind(num_train_timesteps=1000, clip_sample=False)

    def sample(x: Any) -> Any:
        mixture = [torch.as_tensor(np.array(part), dtype=x.dtype) for part in described]
        scheduler.set_timesteps(steps)
        with torch.no_grad():
            for t in scheduler.timesteps:
                kept = scheduler.alphas_cumprod[t].to(x.dtype)
                alpha, sigma = torch.sqrt(kept), torch.sqrt(1 - kept)
                D = denoised(torch, lambda logits: torch.softmax(logits, 1), mixture, x, alpha, sigma)
                x = scheduler.step((x - alpha * D) / sigma, t, x).prev_sample
        return x

    return sample


def k_diffusion(tableau: Tableau, target: GaussianMixture) -> Callable[[Any], Any]:
    """Return sample(x) of k-diffusion's sampler that has a tableau's method, x (n, dim), at the tableau's nodes.

    Its samples are y = x/alpha and its levels sigma/alpha; `sample_euler_ancestral` is `ddpm` in these.

    Raises
    ------
    ImportError
        Without k-diffusion.
    ValueError
        A method that it has not, a grid to sigma = 0, rotated components.
    """
    import importlib

    import torch

    described, method = described_by(target), tableau.name.split("(")[0]
    if tableau.path is None or method not in OF_K_DIFFUSION:
        raise ValueError(f"tableau is {tableau.name!r}: give one of {list(OF_K_DIFFUSION)} with its path")
    alphas, sigmas = (
        np.array([float(f(t)) for t in tableau.grid]) for f in (tableau.path.alpha, tableau.path.sigma)
    )
    if not sigmas[-1] > 0:
        raise ValueError("grid ends at sigma = 0, where a step differs: end it before")
    solve = getattr(importlib.import_module("k_diffusion.sampling"), f"sample_{OF_K_DIFFUSION[method]}")

    def sample(x: Any) -> Any:
        mixture = [torch.as_tensor(np.array(part), dtype=x.dtype) for part in described]

        def model(y: Any, level: Any) -> Any:
            return denoised(torch, lambda logits: torch.softmax(logits, 1), mixture, y, 1.0, level[0])

        levels = torch.as_tensor(sigmas / alphas, dtype=x.dtype)
        return solve(model, x / alphas[0], levels, disable=True) * alphas[-1]

    return sample


def flow_matching(
    noise: chains.Mixture, grid: ArrayLike, data: sequences.MarkovSequence
) -> Callable[[Any], Any]:
    """Return sample(x) of flow_matching's MixtureDiscreteEulerSolver, x (n, L) a tensor of integers.

    Its clock is alpha, so that the schedule is linear; its last step draws all sites from their posterior, in float32
    as by its default. It is `dfm-jump` to the grid's last node but one, and finalise="posterior".

    Raises ImportError without flow_matching, ValueError for another schedule or noise or a matrix for each step.
    """
    import torch
    from flow_matching.path import MixtureDiscreteProbPath
    from flow_matching.path.scheduler import PolynomialConvexScheduler
    from flow_matching.solver import MixtureDiscreteEulerSolver
    from flow_matching.utils import ModelWrapper

    times = np.asarray(grid, dtype=np.float64)
    levels = np.array([float(noise.alpha(t)) for t in times])
    if not np.allclose(levels, 1 - times, rtol=0, atol=1e-12):
        raise ValueError(f"noise is {noise!r}: give the linear schedule")
    posterior, masked = posterior_of(noise, data), isinstance(noise, chains.Absorbing)

    class Model(ModelWrapper):  # type: ignore[misc]
        def forward(self, x: Any, t: Any, **_: Any) -> Any:
            p = posterior(x, float(t[0]))
            return torch.nn.functional.pad(p, (0, 1)) if masked else p

    solver = MixtureDiscreteEulerSolver(
        Model(None),
        MixtureDiscreteProbPath(PolynomialConvexScheduler(n=1.0)),
        vocabulary_size=data.vocabulary + masked,
    )
    clock = torch.as_tensor(levels, dtype=torch.float32)
    return lambda x: solver.sample(x_init=x, step_size=None, time_grid=clock)
