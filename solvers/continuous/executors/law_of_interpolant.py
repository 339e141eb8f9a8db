"""The exact law of a sampler on an interpolant between Gaussians, whose covariances may turn on the way."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from analytic import Interpolated

from ..tableau import Tableau
from .law import GaussianLaw, gaussian_law

Array = NDArray[np.float64]
_ROUNDING = 1e-13  # of the largest variance, below which a covariance counts as diagonal in a basis


def law_of_interpolant(
    tableau: Tableau, target: Interpolated, initial: str | GaussianLaw = "marginal"
) -> GaussianLaw:
    """Exact law of the sample a tableau on an interpolant ends with, for a joint law that is one Gaussian.

    Mean and covariance of all registers are carried through every step as matrices, at a cost of O(steps dim^3).

    Parameters
    ----------
    tableau : Tableau
    target : Interpolated
    initial : str or GaussianLaw
        "marginal": the target's own law at the start level; "prior": N(0, prior_deviation^2 I); or a law.

    Returns
    -------
    GaussianLaw
        In the eigenbasis of the target's law at the end level where the covariance is diagonal in it, or in its own.

    Raises
    ------
    ValueError
        A target of several components, or an `initial` that is none of the above.
    FloatingPointError
        The law overflowed: the method is unstable on this grid.
    """
    truth, d = gaussian_law(target.noised(*tableau.end)), target.dim
    mean, cov = _start(tableau, target, initial)
    for block in tableau.blocks:
        stages = _answers(target, block)
        for i in range(len(block)):
            flow, shift, noise = _affine(block, i, stages, d)
            with np.errstate(over="ignore", invalid="ignore"):
                mean, cov = flow @ mean + shift, flow @ cov @ flow.T + noise @ noise.T
    if not (np.all(np.isfinite(mean)) and np.all(np.isfinite(cov))):
        raise FloatingPointError(
            f"{tableau.name} overflowed on {len(tableau)} steps: take more steps or another grid"
        )
    return _in_a_basis(mean[:d], cov[:d, :d], truth.basis)


def _start(tableau: Tableau, target: Interpolated, initial: Any) -> tuple[Array, Array]:
    if isinstance(initial, GaussianLaw):
        return initial.mean, initial.covariance
    if initial == "marginal":
        law = target.noised(*tableau.start)
        return law.mean(), law.covariance()
    if initial == "prior":
        return np.zeros(target.dim), tableau.prior_deviation**2 * np.eye(target.dim)
    raise ValueError(f"initial is {initial!r}: use 'marginal', 'prior' or a GaussianLaw")


def _answers(target: Interpolated, block: Any) -> tuple[Array, Array]:
    """What every evaluation answers, gain x + offset: (steps, stages, dim, dim) and (steps, stages, dim)."""
    alpha, sigma = block.levels[..., 0], block.levels[..., 1]
    at = target.moments(target.path.time(alpha, sigma).ravel())
    a, b = (block.asks[..., k].ravel()[:, None, None] for k in (0, 1))
    # symmetric: S^-1 from the right is the transpose of a solution
    pull = a * at.drifts[:, 0] - b * np.eye(target.dim)
    gain = np.linalg.solve(at.covariances[:, 0], pull.swapaxes(1, 2)).swapaxes(1, 2)
    offset = a[:, 0] * at.slopes[:, 0] - np.einsum("nij,nj->ni", gain, at.means[:, 0])
    shape = alpha.shape
    return gain.reshape(*shape, *gain.shape[1:]), offset.reshape(*shape, target.dim)


def _affine(block: Any, i: int, stages: tuple[Array, Array], d: int) -> tuple[Array, Array, Array]:
    """One step as a map of all registers in one vector: matrix, shift, and weights of the noises."""
    R, C = block.registers_in, len(block.functionals)
    width = (R + C) * d + 1  # registers, noises, and 1
    given = [np.eye(d, width, r * d) for r in range(R + C)]
    F: list[Array] = []
    parts = ((block.U, block.A, block.G), (block.V, block.B, block.H))

    def combined(tables: tuple[Array, Array, Array], row: int) -> Array:
        of_registers, of_stages, of_noises = (table[i, row] for table in tables)
        terms = zip([*of_registers, *of_noises, *of_stages], [*given, *F], strict=False)
        return sum((c * term for c, term in terms if c), np.zeros((d, width)))

    for j in range(block.stages):
        answer = stages[0][i, j] @ combined(parts[0], j)
        answer[:, -1] += stages[1][i, j]
        F.append(answer)
    out = np.concatenate([combined(parts[1], r) for r in range(block.registers_out)])
    return out[:, : R * d], out[:, -1], out[:, R * d : -1]


def _in_a_basis(mean: Array, covariance: Array, basis: Array | None) -> GaussianLaw:
    turned = covariance if basis is None else basis.T @ covariance @ basis
    rest = np.abs(turned - np.diag(np.diag(turned))).max()
    if rest <= _ROUNDING * np.abs(turned).max():
        return GaussianLaw(mean if basis is None else basis.T @ mean, np.diag(turned).copy(), basis)
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    return GaussianLaw(vectors.T @ mean, values, vectors)
