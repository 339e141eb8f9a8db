"""Laws that split Gibbs sampling comes to: in closed form, or on the line where its prior step has an error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from analytic import GaussianMixture, reprs

from .. import grids
from ..catalogue import catalogue as methods
from ..continuous.executors.law import GaussianLaw, law
from ..continuous.observed import Observed
from ..protocols import Path
from .on_line import OnLine, densities, gaussian, places
from .steps import EXACT, Shape, flips, mixture_of, shape_of

Floats = NDArray[np.float64]
SETTLED, MOST = 1e-13, 20_000
OFF_NODES = 8  # times more places where a density is read between them, by a cubic spline


@dataclass(frozen=True, eq=False)
class Likelihood:
    """What weighs the copies: exp(reward) of the token, and a linear observation y of the numbers, if any.

    Attributes
    ----------
    mixture : GaussianMixture
        The prior of both, its component the token.
    reward : (K,) float64 array
        In nats.
    shape : tuple of int
        Numbers of values of each token.
    A : (m, dim) float64 array
    y : (m,) float64 array
        m = 0 where nothing is observed.
    deviation : float
    """

    mixture: GaussianMixture
    reward: Floats
    shape: Shape
    A: Floats
    y: Floats
    deviation: float

    __repr__ = reprs.brief

    @classmethod
    def of(cls, model: object, reward: ArrayLike | None, tokens: Sequence[int] | None = None) -> Likelihood:
        """Read a model, a mixture or `Observed` of one, and a reward, none if None.

        Raises TypeError for another model, ValueError for a reward that is not K finite numbers, or other tokens.
        """
        mixture = mixture_of(model.model if isinstance(model, Observed) else model)
        weight = np.zeros(mixture.components) if reward is None else np.asarray(reward, dtype=np.float64)
        if weight.shape != (mixture.components,) or not np.isfinite(weight).all():
            raise ValueError(
                f"reward is {reward!r}: give {mixture.components} finite numbers, one for each token"
            )
        shape = shape_of(mixture, tokens)
        if isinstance(model, Observed):
            return cls(mixture, weight, shape, model.A, model.y, model.deviation)
        return cls(mixture, weight, shape, np.zeros((0, mixture.dim)), np.zeros(0), 1.0)

    def token_copy(self, flip: float) -> Floats:
        """P(copy | token), (K, K): proportional to q(copy | token) exp(reward of the copy)."""
        law = flips(1 - flip, self.shape) * np.exp(self.reward - self.reward.max())
        return np.asarray(law / law.sum(axis=1, keepdims=True))

    def number_copy(self, coupling: float) -> tuple[Floats, Floats, Floats]:
        """Gain, offset and covariance of the copy of the numbers given the numbers: a Gaussian."""
        precision = np.eye(self.mixture.dim) / coupling**2 + self.A.T @ self.A / self.deviation**2
        covariance: Floats = np.linalg.inv(precision).astype(np.float64)
        return covariance / coupling**2, covariance @ (self.A.T @ self.y) / self.deviation**2, covariance


def check(coupling: float, flip: float) -> None:
    """Raise ValueError for strengths that couple nothing."""
    if not (np.isfinite(coupling) and coupling >= 0):
        raise ValueError(f"coupling is {coupling}: give a deviation of at least 0")
    if not 0 <= flip <= 1:
        raise ValueError(f"flip is {flip}: give a probability, 0 and 1 included")


def split_law(
    model: object,
    coupling: float = 0.0,
    flip: float = 0.0,
    reward: ArrayLike | None = None,
    tokens: Sequence[int] | None = None,
) -> GaussianMixture:
    """Law of (tokens, numbers) that split Gibbs sampling with exact conditionals keeps; its component is the token.

    Copies z of the token and x of the numbers carry the likelihood. They are coupled by q(z | k), which draws a token
    afresh from all alike with probability `flip`, and by N(x; u, coupling^2). Summed over z and integrated over x it is
    p(k, u) sum_z q(z | k) exp(r_z) N(y; A u, deviation^2 + coupling^2 A A^T), the posterior itself where both are 0.

    Parameters
    ----------
    model : GaussianMixture, or Observed of one
    coupling : float
        Deviation rho of the numbers' copy.
    flip : float
    reward : (K,) array_like, optional
        In nats; 0 for all where None.
    tokens : sequence of int, optional
        Numbers of values of several tokens, of which the component is all, the last running fastest; one if None.

    Raises
    ------
    TypeError, ValueError
        A model that is none of these, or strengths that cannot be.
    """
    check(coupling, flip)
    like = Likelihood.of(model, reward, tokens)
    mixture = like.mixture
    tilt = flips(1 - flip, like.shape) @ np.exp(like.reward - like.reward.max())
    weights = mixture.weights * tilt / (mixture.weights @ tilt)
    prior = _weighted(mixture, weights / weights.sum())
    if not len(like.y):
        return prior
    # along the axes of A A^T the noise of the copy and of the observation are independent
    U, S, V = np.linalg.svd(like.A, full_matrices=False)
    rows, y = S[:, None] * V, U.T @ like.y
    return prior.given(rows, y, np.sqrt(like.deviation**2 + coupling**2 * S**2))


def _weighted(mixture: GaussianMixture, weights: Floats) -> GaussianMixture:
    if mixture.rotations is None:
        return GaussianMixture(weights, mixture.means, mixture.variances)
    turned = (mixture.rotations * mixture.variances[:, None, :]) @ mixture.rotations.transpose(0, 2, 1)
    return GaussianMixture(weights, mixture.means, turned)


def prior_step(
    mixture: GaussianMixture, path: Path, grid: ArrayLike, method: str
) -> tuple[Floats, Floats, Floats]:
    """Gain, offset and deviation of x_0 given x at the grid's start, for each component on the line, (K,) each.

    Of a method's steps down the grid on the component alone, an affine map with noise, or of the exact posterior.
    """
    if mixture.dim != 1:
        raise ValueError(f"model is {mixture!r}: a law by quadrature needs dim = 1")
    times = grids.check(path, grid)
    alpha, sigma = float(path.alpha(times[0])), float(path.sigma(times[0]))
    if method == EXACT:
        v, m = mixture.variances[:, 0], mixture.means[:, 0]
        gain = alpha * v / (alpha**2 * v + sigma**2)
        return gain, m - gain * alpha * m, np.sqrt(v * sigma**2 / (alpha**2 * v + sigma**2))
    tableau, rows = methods[method].tableau(path, times), []
    for k in range(mixture.components):
        part = mixture.condition(k)
        at = [law(tableau, part, GaussianLaw(np.array([x]), np.zeros(1), None)) for x in (0.0, 1.0)]
        offset, end = (float(one.mean[0]) for one in at)
        rows.append((end - offset, offset, float(np.sqrt(at[0].variances[0]))))
    gains, offsets, deviations = np.array(rows).T / tableau.end[0]
    return gains, offsets, deviations


def split_on_line(
    model: object,
    path: Path,
    grid: ArrayLike,
    method: str = "ddpm",
    flip: float = 0.1,
    reward: ArrayLike | None = None,
    tokens: Sequence[int] | None = None,
) -> OnLine:
    """Law of (token, x_0) that `loops.catalogue["split-gibbs"]` comes to on the line, its prior step by a method.

    The token is enumerated; the method's steps on each component are an affine map with noise, by `law`; what is left,
    the token given a place, is by quadrature over places. `split_law` is what it comes to where steps are many.

    Parameters
    ----------
    model : one-dimensional GaussianMixture, or Observed of one
    path : Path
    grid : (nodes,) array
        From the level of the coupling, sigma/alpha at its start, to the data.
    method : str
        Of the catalogue, or "exact".
    flip : float
    reward : (K,) array_like, optional
    tokens : sequence of int, optional
        As `split_law` takes it.

    Raises
    ------
    TypeError, ValueError
        A model that is not on the line, strengths that cannot be.
    FloatingPointError
        20,000 sweeps have not settled the law: the coupling is too strong.
    """
    like, times = Likelihood.of(model, reward, tokens), grids.check(path, grid)
    mixture = like.mixture
    alpha, sigma = float(path.alpha(times[0])), float(path.sigma(times[0]))
    if not alpha > 0:
        raise ValueError(f"grid starts at {times[0]:g}, where alpha = 0: start where the copy knows its data")
    coupling = sigma / alpha
    check(coupling, flip)
    gains, offsets, deviations = prior_step(mixture, path, times, method)
    gain, offset, covariance = (float(part.ravel()[0]) for part in like.number_copy(coupling))
    copies = like.token_copy(flip)
    step = np.sqrt(gain**2 * deviations**2 + covariance)
    seen = mixture.noised(1.0, coupling)
    width = min(step.min(), *deviations[deviations > 0], np.sqrt(seen.variances.min()))
    x = places(seen, width if deviations.all() else width / OFF_NODES)
    dx = float(x[1] - x[0])
    # P(token | copy z, x), (z, token, place), and the next x given the token and x
    given = flips(1 - flip, like.shape).T[:, :, None] * densities(seen, x)
    given /= given.sum(axis=1, keepdims=True)
    moves = [
        gaussian(x[:, None], gain * (alpha * a * x + b) + offset, s) * dx
        for a, b, s in zip(gains, offsets, step, strict=True)
    ]
    drawn = densities(seen, x)  # of (token, x), the token just drawn
    for _ in range(MOST):
        ahead = copies.T @ np.stack([move @ row for move, row in zip(moves, drawn, strict=True)])
        before, drawn = drawn, np.einsum("zn,zkn->kn", ahead, given)
        drawn /= drawn.sum() * dx
        if float(np.abs(drawn - before).sum()) * dx < SETTLED:
            break
    else:
        raise FloatingPointError(
            f"{MOST} sweeps have not settled the law: take a weaker coupling than {coupling:g}"
        )
    rows = []
    for a, b, s, row in zip(alpha * gains, offsets, deviations, drawn, strict=True):
        if s > 0:
            rows.append(gaussian(x[:, None], a * x + b, s) @ row * dx)
        else:  # the flow's map: a change of variables
            moved = scipy.interpolate.CubicSpline(x, row)((x - b) / a, extrapolate=False) / abs(a)
            rows.append(np.nan_to_num(moved))
    return OnLine(x, np.stack(rows))
