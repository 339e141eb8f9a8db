"""The law that a sampler of equal steps comes to stay in, on a Gaussian target: the fixed point of its step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from analytic import reprs

from ...numerics.jit import COMPILED
from ...protocols import GaussianTarget
from ..imperfect import Perturbation, perturbation
from ..tableau import Block, Tableau
from .affine import affine_step
from .law import GaussianLaw, gaussian_law, ones_along
from .packed import Packed, pack

Array = NDArray[np.float64]
_EQUAL = 1e-9  # to which coefficients of equal steps agree, whose times are rounded


@dataclass(frozen=True, eq=False)
class StepMap:
    """One step on a Gaussian target, an affine map of the registers with noise, along each eigenvector.

    Attributes
    ----------
    gain : (dim, registers_out, registers_in) float64 array
    offset : (dim, registers_out) float64 array
    noise : (dim, registers_out, registers_out) float64 array
        Covariance of what is added.
    """

    gain: Array
    offset: Array
    noise: Array

    __repr__ = reprs.brief


@dataclass(frozen=True, eq=False)
class Stationary:
    """Where a sampler of equal steps stays, and how fast it gets there.

    Attributes
    ----------
    law : GaussianLaw
        Of the sample.
    registers : (dim, registers, registers) float64 array
        Covariance of all registers along each eigenvector.
    contraction : (dim,) float64 array
        Spectral radius of the step along each eigenvector: 1 - max is the spectral gap, and W2 to the stationary law
        falls as its powers.
    """

    law: GaussianLaw
    registers: Array
    contraction: Array

    __repr__ = reprs.brief


@njit(**COMPILED)
def _fill(
    packed: Packed, wrong: Perturbation, n: int, along: Any, means: Any, variances: Any, out: Any
) -> None:
    S, R, C = packed.U.shape[1], packed.U.shape[2], packed.G.shape[2]
    for k in range(len(means)):
        rows = np.empty((S, R + 1 + C))
        affine_step(packed, wrong, n, means[k], variances[k], along[k], rows, out[k])


def step_map(tableau: Tableau, target: GaussianTarget, index: int) -> StepMap:
    """Return one step of a tableau on a Gaussian target, in the target's eigenbasis.

    Raises ValueError if the target is not a Gaussian.
    """
    base, packed = gaussian_law(target), pack(tableau)
    R, C = packed.U.shape[2], packed.G.shape[2]
    out = np.empty((len(base.centre), R, R + 1 + C))
    index %= len(tableau)
    _fill(packed, perturbation(packed, target), index, ones_along(base), base.centre, base.variances, out)
    into, left = packed.counts[index, 2:]
    noise = out[:, :left, R + 1 :]
    return StepMap(out[:, :left, :into], out[:, :left, R], noise @ noise.transpose(0, 2, 1))


def repeated_step(tableau: Tableau) -> int:
    """Return the index of the step that a tableau of equal steps repeats.

    Raises ValueError where none keeps the registers, or the steps of the longest run are not equal.
    """
    first, best = 0, None
    for block in tableau.blocks:
        if block.registers_in == block.registers_out and (best is None or len(block) > len(best[1])):
            best = (first, block)
        first += len(block)
    if best is None:
        raise ValueError(
            f"tableau is {tableau.name!r} on {len(tableau)} steps, none repeated: give more steps"
        )
    place, block = best
    if not _equal(block):
        raise ValueError(
            f"tableau is {tableau.name!r} with steps that differ: give a uniform grid on a process whose "
            "law stays, such as paths.Langevin()"
        )
    return place


def _equal(block: Block) -> bool:
    return all(
        np.ptp(getattr(block, name), axis=0).max(initial=0.0)
        <= _EQUAL * np.abs(getattr(block, name)).max(initial=0.0)
        for name in ("U", "A", "G", "V", "B", "H", "asks", "levels")
    )


def stationary(tableau: Tableau, target: GaussianTarget) -> Stationary:
    """Return the stationary law of a sampler of equal steps on a Gaussian target, and its rate of convergence.

    The fixed point of the step that the tableau repeats: mean m = A m + b and covariance C = A C A^T + Q, a discrete
    Lyapunov equation, along each eigenvector.

    Parameters
    ----------
    tableau : Tableau
        Three equal steps are enough: kinetic methods have a first and a last one of their own.
    target : Gaussian target

    Raises
    ------
    ValueError
        Steps that differ, or a target that is no Gaussian.
    FloatingPointError
        The step does not contract: it is too long, and no law stays.
    """
    step, base = step_map(tableau, target, repeated_step(tableau)), gaussian_law(target)
    contraction = np.abs(np.linalg.eigvals(step.gain)).max(axis=1)
    if not contraction.max() < 1:
        raise FloatingPointError(
            f"a step of {tableau.name} multiplies by {contraction.max():.6g}, so that no law stays: take smaller steps"
        )
    dim, R = step.offset.shape
    mean = np.asarray(
        np.linalg.solve(np.eye(R) - step.gain, step.offset[:, :, None])[:, :, 0], dtype=np.float64
    )
    twice = np.einsum("dij,dkl->dikjl", step.gain, step.gain).reshape(dim, R * R, R * R)
    flat = np.linalg.solve(np.eye(R * R) - twice, step.noise.reshape(dim, R * R, 1))
    registers: Array = flat.reshape(dim, R, R)
    law = GaussianLaw(mean[:, 0].copy(), registers[:, 0, 0].copy(), base.basis)
    return Stationary(law, registers, contraction)
