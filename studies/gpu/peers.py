"""The same samplers as users of other libraries write them: a loop of torch, that loop compiled, a solver of diffrax.

What the kernels' speed is held against. Noise is drawn by the library itself, on its device, unless it is given.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from analytic import GaussianMixture
from solvers.continuous.tableau import Block, Tableau

_NAMES = ("U", "A", "G", "V", "B", "H", "asks", "levels")


def _denoise(
    xp: Any, softmax: Callable[[Any], Any], target: Sequence[Any], x: Any, alpha: Any, sigma: Any
) -> Any:
    """E[x_0 | x] of x (n, dim); `target` holds log weights (K,), means and variances (K, dim), as arrays of xp."""
    log_weights, means, variances = target
    gap = x[:, None, :] - alpha * means
    total = alpha * alpha * variances + sigma * sigma
    logits = log_weights - 0.5 * (gap * gap / total + xp.log(total)).sum(-1)
    posterior = means + alpha * variances / total * gap
    return (softmax(logits)[:, :, None] * posterior).sum(1)


def _described(target: GaussianMixture) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if target.rotations is not None:
        raise ValueError(f"target is {target!r} with rotated components: give diagonal covariances")
    return np.log(target.weights), target.means, target.variances


def _torch_step(block: Block, denoise: Callable[..., Any]) -> Callable[..., Any]:
    """Return step(registers, deviates, *coefficients of one step) -> registers, for all steps of a block.

    What is zero in all of them is left out, so that a compiled step is what one writes by hand.
    """

    def used(matrix: np.ndarray, row: int) -> list[int]:
        return [int(c) for c in np.flatnonzero(np.any(matrix[:, row] != 0, axis=0))]

    def combined(like: Any, *parts: tuple[Any, list[int], Any]) -> Any:
        terms = [row[c] * arrays[c] for row, columns, arrays in parts for c in columns]
        return sum(terms[1:], terms[0]) if terms else 0 * like

    stages = [[used(getattr(block, name), i) for name in ("U", "A", "G")] for i in range(block.stages)]
    leaves = [[used(getattr(block, name), r) for name in ("V", "B", "H")] for r in range(block.registers_out)]

    # decided here: a compiled step must not branch on numbers
    asks_score = [bool(np.any(block.asks[:, i, 1])) for i in range(block.stages)]
    asks_data = [bool(np.all(block.asks[:, i, 0] == 1)) for i in range(block.stages)]

    def step(
        registers: Any, xi: Any, U: Any, A: Any, G: Any, V: Any, B: Any, H: Any, asks: Any, levels: Any
    ) -> Any:
        F: list[Any] = []
        for i, (u, a, g) in enumerate(stages):
            x = combined(registers[0], (U[i], u, registers), (A[i], a, F), (G[i], g, xi))
            alpha, sigma = levels[i, 0], levels[i, 1]
            D = denoise(x, alpha, sigma)
            if not asks_score[i]:
                F.append(D if asks_data[i] else asks[i, 0] * D)
            else:
                F.append(asks[i, 0] * D + asks[i, 1] * (alpha * D - x) / (sigma * sigma))
        return tuple(
            combined(registers[0], (V[r], v, registers), (B[r], b, F), (H[r], h, xi))
            for r, (v, b, h) in enumerate(leaves)
        )

    return step


def torch_device(simulated: bool) -> tuple[str, Callable[[], None]]:
    """Return the name of torch's device and how to wait for it: a GPU, or the CPU where kernels are simulated.

    Raises ImportError without torch, RuntimeError if it sees no GPU.
    """
    import torch

    if torch.cuda.is_available():
        return "cuda", torch.cuda.synchronize
    if not simulated:
        raise RuntimeError("torch sees no GPU: install its CUDA build")
    return "cpu", lambda: None


def torch_loop(
    tableau: Tableau,
    target: GaussianMixture,
    device: str = "cpu",
    compiled: str | None = None,
) -> Callable[..., Any]:
    """Return sample(x, noise=None) of a plain loop over steps, x (n, dim) a tensor on the device.

    Parameters
    ----------
    tableau : Tableau
    target : GaussianMixture
        Not rotated.
    device : str
        Of torch.
    compiled : str, optional
        The backend of torch.compile, which each kind of step goes through whole; none by default. What torch has
        compiled before is forgotten.

    Raises
    ------
    ImportError
        Without torch.
    ValueError
        A target with rotated components.
    """
    import torch

    if compiled:
        torch.compiler.reset()  # it compiles so many steps of one source and then refuses
    described, laid_out = _described(target), dict[Any, Any]()

    def at(dtype: Any) -> Any:
        """Target, steps and coefficients in a float type, laid out on the device once."""
        if dtype in laid_out:
            return laid_out[dtype]
        mixture = [torch.as_tensor(np.array(part), dtype=dtype, device=device) for part in described]

        def denoise(x: Any, alpha: Any, sigma: Any) -> Any:
            return _denoise(torch, lambda logits: torch.softmax(logits, 1), mixture, x, alpha, sigma)

        runs = []
        for block in tableau.blocks:
            step = _torch_step(block, denoise)
            if compiled:
                step = torch.compile(step, backend=compiled, fullgraph=True, dynamic=False)
            arrays = [
                torch.as_tensor(np.array(getattr(block, name)), dtype=dtype, device=device) for name in _NAMES
            ]
            runs.append((step, len(block.functionals), [[a[i] for a in arrays] for i in range(len(block))]))
        laid_out[dtype] = runs
        return runs

    def sample(x: Any, noise: Any = None) -> Any:
        registers, drawn = (x,), 0
        for step, channels, coefficients in at(x.dtype):
            for row in coefficients:
                if noise is None:
                    xi = tuple(torch.randn_like(x) for _ in range(channels))
                else:
                    xi = tuple(noise[drawn : drawn + channels])
                registers, drawn = step(registers, xi, *row), drawn + channels
        return registers[0]

    return sample


def jax_array(simulated: bool) -> Callable[[Any], Any]:
    """Return what puts an array on jax's device, in its own type: a GPU, or the CPU where kernels are simulated.

    Raises ImportError without jax, RuntimeError if it sees no GPU.
    """
    # else it takes most of the GPU's memory as it starts
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    import jax

    settings: Any = jax.config
    settings.update("jax_enable_x64", True)
    if jax.default_backend() != "gpu" and not simulated:
        raise RuntimeError("jax sees no GPU: pip install 'jax[cuda13]'")
    return lambda x: jax.numpy.asarray(x)


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

    described = _described(target)
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
            D = _denoise(jnp, lambda logits: jax.nn.softmax(logits, 1), mixture, alpha * y, alpha, alpha * k)
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
