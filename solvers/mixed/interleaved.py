"""Law of interleaved Gibbs diffusion on the line: the density of (tokens, x) through every step, by quadrature."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analytic import GaussianMixture

from .. import grids
from ..numerics.reverse_step import Level, reverse_step
from ..protocols import Path
from .on_line import OnLine, densities, gaussian, half_of_absolute, places
from .steps import (
    EXACT,
    INTERLEAVED,
    TOGETHER,
    Shape,
    components,
    flips,
    given_token,
    kept,
    mixture_of,
    shape_of,
    token_step,
)

Floats = NDArray[np.float64]
Step = tuple[Floats, list[Floats]]
SETTLED, MOST = 1e-13, 5000


def noised(mixture: GaussianMixture, level: Level, shape: Shape) -> GaussianMixture:
    """Return the joint law of token and numbers at a level, as a mixture whose component is the noised token.

    A pair of components, before and after, is one: K^2 in all, the noised token being the number modulo K.
    """
    there, K = mixture.noised(*level), mixture.components
    weights = (mixture.weights[:, None] * flips(kept(level), shape)).ravel()
    of = np.repeat(np.arange(K), K)
    return GaussianMixture(weights / weights.sum(), there.means[of], there.variances[of])


def table(mixture: GaussianMixture, level: Level, x: Floats, shape: Shape) -> Floats:
    """Density of (noised token, x) at a level, (K, n)."""
    K = mixture.components
    return np.asarray(densities(noised(mixture, level, shape), x).reshape(K, K, -1).sum(axis=0))


class Chain:
    """Steps of the sampler on the line, from a grid's first level to its last; see `interleaved_law`."""

    def __init__(
        self,
        mixture: GaussianMixture,
        path: Path,
        grid: ArrayLike,
        order: str,
        numbers: str,
        tokens: Sequence[int] | None,
    ) -> None:
        self.mixture = mixture_of(mixture)
        self.shape = shape_of(mixture, tokens)
        self.order, self.numbers = order, numbers
        times = grids.check(path, grid)
        self.levels: list[Level] = [(float(path.alpha(t)), float(path.sigma(t))) for t in times]
        if self.levels[-1][1] == 0 or self.levels[0][0] == 0:
            raise ValueError(
                f"grid runs from {times[0]:g} to {times[-1]:g}: densities need alpha > 0 and sigma > 0 at both"
            )
        width = np.sqrt(self.mixture.variances.min())
        self.nodes: list[Floats] = []
        narrowest = [reverse_step(*pair)[2] for pair in pairwise(self.levels)]
        for n, (alpha, sigma) in enumerate(self.levels):
            own = [*narrowest[max(n - 1, 0) : n + 1], float(np.hypot(alpha * width, sigma))]
            self.nodes.append(places(self.mixture.noised(alpha, sigma), min(own)))

    def steps(self) -> Iterator[Step]:
        """Law of the next token for each place and token, and densities of the next x for each token it hangs on."""
        for n in range(len(self.levels) - 1):
            yield self._step(n)

    def _step(self, n: int) -> Step:
        at, to, x = self.levels[n], self.levels[n + 1], self.nodes[n]
        weights = components(self.mixture, x[:, None], at)
        of_x, of_mean, deviation = reverse_step(at, to)
        posterior = self.mixture.posterior(x[:, None], *at)
        means, there = posterior.means[:, :, 0], self.nodes[n + 1][:, None]
        # the token that x hangs on: the one just drawn, or the one that the step began with
        of = given_token(weights, at if self.order == TOGETHER else to, self.shape)
        kernels = []
        for c in range(weights.shape[1]):
            if self.numbers == EXACT:
                spread = np.sqrt(of_mean**2 * posterior.variances[:, 0] + deviation**2)
                parts = (
                    of[:, c, k] * gaussian(there, of_x * x + of_mean * means[:, k], spread[k])
                    for k in range(weights.shape[1])
                )
                kernels.append(np.sum(list(parts), axis=0))
            else:
                mean = of_x * x + of_mean * (of[:, c] * means).sum(axis=1)
                kernels.append(gaussian(there, mean, deviation))
        return token_step(weights, at, to, self.shape, self.order), kernels

    def walk(self, law: Floats, steps: Iterable[Step]) -> Floats:
        """Take a density at the first level through all steps."""
        for x, (tokens, kernels) in zip(self.nodes, steps, strict=False):
            drawn = np.einsum("kn,nkj->kjn", law, tokens)  # token before, token after
            if self.order != TOGETHER:
                ahead = [move @ own for move, own in zip(kernels, drawn.sum(axis=0), strict=True)]
                law = np.stack(ahead) * (x[1] - x[0])
            else:  # sums over the token before, on which both hang
                ahead = [own @ move.T for move, own in zip(kernels, drawn, strict=True)]
                law = np.sum(ahead, axis=0) * (x[1] - x[0])
        return law

    def back(self, law: Floats) -> Floats:
        """Noise a density at the last level to the first."""
        (a, b), (a_s, b_s) = self.levels[0], self.levels[-1]
        scale = a / a_s
        x, there = self.nodes[-1], self.nodes[0][:, None]
        spread = float(np.sqrt(b**2 - (scale * b_s) ** 2))
        move = gaussian(there, scale * x, spread) * float(x[1] - x[0])
        mixed = flips(kept(self.levels[0]) / kept(self.levels[-1]), self.shape).T @ law
        return np.asarray(mixed @ move.T)

    def error(self, law: Floats) -> float:
        """Total variation from the joint law at the last level."""
        exact = table(self.mixture, self.levels[-1], self.nodes[-1], self.shape)
        return half_of_absolute(self.nodes[-1], law - exact)


def interleaved_law(
    mixture: GaussianMixture,
    path: Path,
    grid: ArrayLike,
    order: str = INTERLEAVED,
    numbers: str = "ddpm",
    tokens: Sequence[int] | None = None,
) -> tuple[OnLine, float]:
    """Law of `loops.catalogue["interleaved-gibbs"]` from the joint law at the grid's start, and its error.

    Parameters
    ----------
    mixture : one-dimensional GaussianMixture
        Its component is the token.
    path : Path
    grid : (nodes,) array
        alpha > 0 and sigma > 0 at its ends.
    order, numbers, tokens
        As the loop's.

    Returns
    -------
    law : OnLine
        At the grid's end.
    error : float
        Total variation from the joint law at that level.

    Raises
    ------
    TypeError, ValueError
        No mixture on the line, or a grid that ends at the data.
    """
    chain = Chain(mixture, path, grid, order, numbers, tokens)
    found = chain.walk(table(mixture, chain.levels[0], chain.nodes[0], chain.shape), chain.steps())
    return OnLine(chain.nodes[-1], found), chain.error(found)


def interleaved_stationary(
    mixture: GaussianMixture,
    path: Path,
    grid: ArrayLike,
    order: str = INTERLEAVED,
    numbers: str = "ddpm",
    tokens: Sequence[int] | None = None,
) -> tuple[OnLine, float]:
    """Law that noising back to the grid's start and sampling again comes to, and its error, as `interleaved_law`.

    Raises FloatingPointError if 5000 rounds do not settle it.
    """
    chain = Chain(mixture, path, grid, order, numbers, tokens)
    steps, dx = list(chain.steps()), float(chain.nodes[-1][1] - chain.nodes[-1][0])
    law = chain.walk(table(mixture, chain.levels[0], chain.nodes[0], chain.shape), steps)
    for _ in range(MOST):
        before, law = law, chain.walk(chain.back(law), steps)
        law /= law.sum() * dx
        moved = float(np.abs(law - before).sum()) * dx
        if moved < SETTLED:
            return OnLine(chain.nodes[-1], law), chain.error(law)
    raise FloatingPointError(f"{MOST} rounds have not settled the law: start from a coarser level")
