"""The same samplers as one writes them by hand: loops of torch, compiled or not, and scans of XLA.

What the speed of `sample` is held against. Noise is drawn by the library itself, on its device, unless it is given.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from analytic import GaussianMixture
from solvers.continuous.tableau import Block, Tableau

_NAMES = ("U", "A", "G", "V", "B", "H", "asks", "levels")


def denoised(
    xp: Any, softmax: Callable[[Any], Any], target: Sequence[Any], x: Any, alpha: Any, sigma: Any
) -> Any:
    """E[x_0 | x] of x (n, dim); `target` holds log weights (K,), means and variances (K, dim), as arrays of xp."""
    log_weights, means, variances = target
    gap = x[:, None, :] - alpha * means
    total = alpha * alpha * variances + sigma * sigma
    logits = log_weights - 0.5 * (gap * gap / total + xp.log(total)).sum(-1)
    posterior = means + alpha * variances / total * gap
    return (softmax(logits)[:, :, None] * posterior).sum(1)


def _denoise_first(
    xp: Any, softmax: Callable[[Any], Any], target: Sequence[Any], x: Any, alpha: Any, sigma: Any
) -> Any:
    """The same of x (dim, n), components first and samples last: what compilers make the best code of."""
    log_weights, means, variances = target
    gap = x - alpha * means[:, :, None]
    total = (alpha * alpha * variances + sigma * sigma)[:, :, None]
    logits = log_weights[:, None] - 0.5 * (gap * gap / total + xp.log(total)).sum(1)
    posterior = means[:, :, None] + (alpha * variances)[:, :, None] / total * gap
    return (softmax(logits)[:, None, :] * posterior).sum(0)


def described_by(target: GaussianMixture) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return log weights (K,), means and variances (K, dim). ValueError for a target with rotated components."""
    if target.rotations is not None:
        raise ValueError(f"target is {target!r} with rotated components: give diagonal covariances")
    return np.log(target.weights), target.means, target.variances


def _step_of(block: Block, denoise: Callable[..., Any]) -> Callable[..., Any]:
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
    first: bool = False,
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
    first : bool
        Take samples as (dim, n), and lay components out first.

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
    described, laid_out = described_by(target), dict[Any, Any]()

    def at(dtype: Any) -> Any:
        """Target, steps and coefficients in a float type, laid out on the device once."""
        if dtype in laid_out:
            return laid_out[dtype]
        mixture = [torch.as_tensor(np.array(part), dtype=dtype, device=device) for part in described]

        laid, over = (_denoise_first, 0) if first else (denoised, 1)

        def denoise(x: Any, alpha: Any, sigma: Any) -> Any:
            return laid(torch, lambda logits: torch.softmax(logits, over), mixture, x, alpha, sigma)

        runs = []
        for block in tableau.blocks:
            step = _step_of(block, denoise)
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


def xla_scan(tableau: Tableau, target: GaussianMixture) -> Callable[[Any, Any], Any]:
    """Return sample(x, key): a scan over the steps of a tableau, compiled whole; x (dim, n), components first.

    Raises ImportError without jax, ValueError for a target with rotated components.
    """
    import jax
    import jax.numpy as jnp

    described = described_by(target)

    def sample(x: Any, key: Any) -> Any:
        mixture = [jnp.asarray(part, dtype=x.dtype) for part in described]

        def denoise(y: Any, alpha: Any, sigma: Any) -> Any:
            return _denoise_first(jnp, lambda logits: jax.nn.softmax(logits, 0), mixture, y, alpha, sigma)

        registers: Any = (x,)
        for place, block in enumerate(tableau.blocks):
            step, channels = _step_of(block, denoise), len(block.functionals)
            arrays = tuple(jnp.asarray(getattr(block, name), dtype=x.dtype) for name in _NAMES)
            keys = jax.random.split(jax.random.fold_in(key, place), len(block))

            def carry(state: Any, row: Any, step: Any = step, channels: int = channels) -> Any:
                key, coefficients = row
                xi = jax.random.normal(key, (channels, *x.shape), x.dtype) if channels else ()
                return step(state, xi, *coefficients), None

            if block.U.shape[2] == block.V.shape[1]:
                registers, _ = jax.lax.scan(carry, registers, (keys, arrays))
            else:  # the number of registers changes, which a scan cannot carry
                for i in range(len(block)):
                    registers, _ = carry(registers, (keys[i], tuple(a[i] for a in arrays)))
        return registers[0]

    return jax.jit(sample)
