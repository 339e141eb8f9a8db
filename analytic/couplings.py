"""Joint laws of the ends of an interpolant: mixtures in 2 dim (or more laws' worth of) dimensions, x_0 first.

Any `GaussianMixture` in so many dimensions is one; these are those with a name.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .mixtures import products
from .mixtures.gaussian_mixture import GaussianMixture
from .mixtures.parameters import Floats, real_number

Indices = NDArray[np.integer]
_NO_MASS = 1e-15  # of a plan, which a vertex of its polytope has in no pair but by rounding


def independent(*laws: GaussianMixture) -> GaussianMixture:
    """Laws that know nothing of one another: a component for each choice of a component of each.

    Parameters
    ----------
    *laws : GaussianMixture
        Two or more of one dimension, the data first.

    Raises
    ------
    ValueError
        Fewer laws, or other dimensions.
    """
    dim = _one_dim(laws)
    sizes = [law.components for law in laws]
    chosen = np.stack(np.meshgrid(*map(np.arange, sizes), indexing="ij")).reshape(len(laws), -1)
    weights = np.prod([law.weights[k] for law, k in zip(laws, chosen, strict=True)], axis=0)
    means = np.concatenate([law.means[k] for law, k in zip(laws, chosen, strict=True)], axis=1)
    covariances = np.zeros((len(weights), len(laws), dim, len(laws), dim))
    for place, (law, k) in enumerate(zip(laws, chosen, strict=True)):
        covariances[:, place, :, place] = law.matrices[k]
    return _joint(weights, means, covariances)


def optimal(data: GaussianMixture, base: GaussianMixture) -> GaussianMixture:
    """Coupling of least E |x_0 - x_1|^2 that is a mixture: of two Gaussians, optimal transport.

    Components are paired by the optimal plan for their squared distances W2^2, and within a pair by optimal transport.

    Raises
    ------
    ValueError
        Laws of other dimensions.

    References
    ----------
    Dowson and Landau 1982 for Gaussians; Delon and Desolneux 2020 (MW2), proposition 4, and Chen, Georgiou and
    Tannenbaum 2019 for mixtures.
    """
    from ot.lp import emd  # which is slow to import

    _one_dim((data, base))
    pairs = [(i, j) for i in range(data.components) for j in range(base.components)]
    crossed = np.array([_crossed(data.matrices[i], base.matrices[j]) for i, j in pairs])
    cost = np.array(
        [
            np.sum((data.means[i] - base.means[j]) ** 2)
            + np.trace(data.matrices[i] + base.matrices[j] - 2 * cross)
            for (i, j), cross in zip(pairs, crossed, strict=True)
        ]
    ).reshape(data.components, base.components)
    plan = np.asarray(emd(data.weights, base.weights / base.weights.sum() * data.weights.sum(), cost)).ravel()
    kept = np.flatnonzero(plan > _NO_MASS)
    first, second = np.array(pairs)[kept].T
    return _paired(data, base, plan[kept] / plan[kept].sum(), first, second, crossed[kept])


def schroedinger(data: GaussianMixture, base: GaussianMixture, noise: float) -> GaussianMixture:
    """Ends of the Schroedinger bridge of two Gaussians: of all processes between them the nearest to noise W.

    Nearest in relative entropy of the laws of ways on [0, 1]. With `paths.Interpolant("linear", noise)`, whose z makes
    Brownian bridges, the marginals are the bridge's at every time, and the SDE with w = noise^2 has its law of ways. At
    noise 0 it is the optimal coupling.

    Parameters
    ----------
    data, base : GaussianMixture
        Of one component each.
    noise : float
        0 or more: deviation of the Brownian motion at time 1.

    Raises
    ------
    TypeError, ValueError
        Mixtures, whose bridge has no closed form; laws of other dimensions; a noise that is none.

    References
    ----------
    Janati et al. 2020, theorem 1, and Mallasto, Gerolin and Minh 2021 for the ends; Bunne et al. 2023, theorem 3, for
    the bridge: C = (A^1/2 (4 A^1/2 B A^1/2 + noise^4)^1/2 A^-1/2 - noise^2)/2, here without inverses.
    """
    for name, law in (("data", data), ("base", base)):
        if not law.is_gaussian:
            raise ValueError(
                f"{name} is {law!r}; the Schroedinger bridge has a closed form between single Gaussians: give one, or "
                "another coupling"
            )
    _one_dim((data, base))
    cross = _crossed(data.matrices[0], base.matrices[0], real_number(noise, "noise"))
    only = np.zeros(1, dtype=np.int64)
    return _paired(data, base, np.ones(1), only, only, cross[None])


def dependent(data: GaussianMixture, A: ArrayLike, deviation: ArrayLike = 0.0) -> GaussianMixture:
    """Base made from the data, x_1 = A x_0 + deviation eps: what is blurred, masked or noised, and what it was.

    Parameters
    ----------
    data : GaussianMixture
    A : (dim, dim) array_like
    deviation : float or (dim,) array_like

    Raises
    ------
    TypeError, ValueError
        A of another shape, a negative deviation.

    References
    ----------
    Albergo et al. 2024 (Stochastic interpolants with data-dependent couplings).
    """
    seen = products.Observation.of(A, deviation, data.dim)
    if len(seen.A) != data.dim:
        raise ValueError(
            f"A has shape {seen.A.shape}; give ({data.dim}, {data.dim}): x_1 has the dimension of x_0"
        )
    both = np.concatenate([np.eye(data.dim), seen.A])
    return data.observed(both, np.concatenate([np.zeros(data.dim), seen.deviation]))


def _one_dim(laws: tuple[GaussianMixture, ...]) -> int:
    if len(laws) < 2:
        raise ValueError(f"laws has {len(laws)} laws; give two or more")
    for law in laws[1:]:
        if law.dim != laws[0].dim:
            raise ValueError(f"laws has {laws[0]!r} and {law!r}; give laws of one dimension")
    return laws[0].dim


def _root(matrix: Floats) -> Floats:
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)


def _crossed(A: Floats, B: Floats, noise: float = 0.0) -> Floats:
    """Cov(x_0, x_1) of the entropic optimal coupling of N(., A) and N(., B) with the cost |x_0 - x_1|^2/(2 noise^2).

    With B^1/2 A^1/2 = U s V^T it is A^1/2 V f(s) U^T B^1/2, f(s) = 2 s/(noise^2 + sqrt(4 s^2 + noise^4)).
    """
    root_A, root_B = _root(A), _root(B)
    U, s, Vt = np.linalg.svd(root_B @ root_A)
    f = 2 * s / (noise**2 + np.sqrt(4 * s**2 + noise**4)) if noise else np.ones_like(s)
    return np.asarray(root_A @ (Vt.T * f) @ U.T @ root_B)


def _paired(
    data: GaussianMixture,
    base: GaussianMixture,
    weights: Floats,
    first: Indices,
    second: Indices,
    crossed: Floats,
) -> GaussianMixture:
    covariances = np.zeros((len(weights), 2, data.dim, 2, data.dim))
    covariances[:, 0, :, 0], covariances[:, 1, :, 1] = data.matrices[first], base.matrices[second]
    covariances[:, 0, :, 1], covariances[:, 1, :, 0] = crossed, crossed.transpose(0, 2, 1)
    return _joint(weights, np.concatenate([data.means[first], base.means[second]], axis=1), covariances)


def _joint(weights: Floats, means: Floats, covariances: Floats) -> GaussianMixture:
    size = means.shape[1]
    matrices = products.symmetric(covariances.reshape(-1, size, size))
    return GaussianMixture(weights / weights.sum(), means, matrices)
