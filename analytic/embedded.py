"""Token sequences as numbers: a vector for each token, and the exact posterior of tokens under Gaussian noise."""

from __future__ import annotations

from typing import Any, Literal, get_args

import array_api_compat
import numpy as np
from numpy.typing import ArrayLike, NDArray

from .mixtures.gaussian_mixture import GaussianMixture
from .mixtures.parameters import Floats, frozen, real_array, real_number
from .names import unknown
from .sequences.law import SequenceLaw

Rounding = Literal["nearest", "likeliest", "posterior"]
LEAST = -300.0  # nats below the likeliest token of a site, to which likelihoods are cut: 1e-130
MOST_COMPONENTS = 100_000


class Embedded:
    """Law of x_0 = (e(k_1), ..., e(k_L)) + noise for a sequence k: each token is a vector, with a deviation of its own.

    Sites are independent given the tokens, so that the noised x says of each site's token what a Gaussian likelihood
    says, and the sequence law's own posterior does the rest: forward and backward, O(L V^2) for a Markov chain, where a
    mixture would need V^L components. `run` takes it as the model of any method on noise; the token that a place in
    space stands for is found by `round`. With a deviation the tokens and numbers are a mixed target.

    Parameters
    ----------
    law : SequenceLaw
        Of the tokens, from `analytic.sequences`.
    embeddings : (V, m) array_like, or "one-hot"
        A vector for each token of the vocabulary; no two alike unless tokens are to be confused.
    deviation : float or (V,) array_like
        Of the numbers about their token's vector; 0 for embeddings alone.

    Attributes
    ----------
    law : SequenceLaw
    embeddings : (V, m) float64 array
    deviations : (V,) float64 array
        Both read-only.

    Raises
    ------
    TypeError, ValueError
        Another law, embeddings that are not V finite vectors, or negative deviations.

    References
    ----------
    Li et al. 2022 (Diffusion-LM): embedding and rounding, both learned there.
    """

    def __init__(
        self, law: SequenceLaw, embeddings: ArrayLike = "one-hot", deviation: ArrayLike = 0.0
    ) -> None:
        if not isinstance(law, SequenceLaw):
            raise TypeError(f"law is {law!r}; give a law of analytic.sequences, such as MarkovSequence(...)")
        V = law.vocabulary
        if isinstance(embeddings, str):
            if embeddings != "one-hot":
                raise ValueError(f"embeddings is {embeddings!r}; give (V, m) numbers, or 'one-hot'")
            embeddings = np.eye(V)
        vectors, spread = real_array(embeddings, "embeddings"), real_array(deviation, "deviation")
        if vectors.ndim != 2 or vectors.shape[0] != V or vectors.shape[1] == 0:
            raise ValueError(f"embeddings has shape {vectors.shape}; give ({V}, m), a vector for each token")
        if spread.shape not in ((), (V,)) or (spread < 0).any():
            raise ValueError(f"deviation is {deviation!r}; give a number of at least 0, or {V} of them")
        self.law = law
        self.embeddings = frozen(vectors.copy())
        self.deviations = frozen(np.broadcast_to(spread, (V,)).copy())

    def __repr__(self) -> str:
        return f"Embedded({self.law!r}, width={self.width})"

    @property
    def width(self) -> int:
        """Numbers of a site, m."""
        return int(self.embeddings.shape[1])

    @property
    def dim(self) -> int:
        """Numbers in all, L m: those of the first site come first."""
        return self.law.length * self.width

    def place(self, tokens: ArrayLike) -> Floats:
        """Return the vectors of tokens (n, L), without noise, as (n, L m)."""
        found = np.asarray(tokens)
        return np.asarray(self.embeddings[found].reshape(len(found), self.dim))

    def sample(self, n: int, seed: int = 0) -> Floats:
        """Draw n samples x_0, (n, L m), whose tokens are `law.sample(n, seed)`."""
        tokens = self.law.sample(n, seed)
        noise = np.random.default_rng([seed, n]).standard_normal((n, self.law.length, self.width))
        return self.place(tokens) + (noise * self.deviations[tokens][:, :, None]).reshape(n, self.dim)

    def noised(self, alpha: float, sigma: float) -> Embedded:
        """Law of alpha x_0 + sigma eps: the same tokens with other vectors and deviations."""
        alpha, sigma = _level(alpha, sigma)
        return Embedded(self.law, alpha * self.embeddings, np.hypot(alpha * self.deviations, sigma))

    def mixture(self) -> GaussianMixture:
        """Return the same law as a Gaussian mixture, a component for each possible sequence in the order of `pmf`.

        Raises ValueError if there are more than 100,000 sequences.
        """
        if self.law.vocabulary**self.law.length > MOST_COMPONENTS:
            raise ValueError(
                f"law is {self.law!r}, of more than {MOST_COMPONENTS} sequences; give a shorter one to enumerate"
            )
        pmf = self.law.pmf()
        tokens = np.argwhere(pmf > 0)
        weights, variances = pmf[pmf > 0], np.repeat(self.deviations[tokens] ** 2, self.width, axis=1)
        return GaussianMixture(weights / weights.sum(), self.place(tokens), variances)

    def likelihood(self, x: ArrayLike, alpha: float, sigma: float) -> Floats:
        """Likelihood of each site's token, (n, L, V), largest 1: what `law.posterior` and its kin take.

        Raises
        ------
        TypeError, ValueError
            If x is not (n, L m), a level that cannot be, or no noise at all on an atom (sigma = 0 = deviation).
        """
        sites, (alpha, sigma) = self._sites(x), _level(alpha, sigma)
        deviations = np.hypot(alpha * self.deviations, sigma)
        if not deviations.all():
            raise ValueError(f"sigma is {sigma}, and tokens have no deviation; give sigma > 0, or use round")
        gaps = _squares(sites, alpha * self.embeddings)
        logs = -gaps / (2 * deviations**2) - self.width * np.log(deviations)
        logs -= logs.max(axis=2, keepdims=True)
        return np.asarray(np.exp(np.maximum(logs, LEAST)))

    def tokens_given(self, x: ArrayLike, alpha: float, sigma: float) -> Floats:
        """P(token of site i = v | x), (n, L, V)."""
        return self.law.posterior(self.likelihood(x, alpha, sigma))

    def denoise(self, x: Any, alpha: float, sigma: float) -> Any:
        """Posterior mean E[x_0 | x_t = x], (n, L m), in the array library of x, computed on the CPU in float64.

        At sigma = 0 this is x / alpha.

        Raises
        ------
        TypeError, ValueError
            As `likelihood`.
        """
        alpha, sigma = _level(alpha, sigma)
        places = np.asarray(x, dtype=np.float64)
        if sigma == 0:
            found = self._sites(places).reshape(places.shape) / alpha
        else:
            tokens = self.tokens_given(places, alpha, sigma)
            # of each token: e + gain (x - alpha e)
            gains = alpha * self.deviations**2 / ((alpha * self.deviations) ** 2 + sigma**2)
            fixed = (1 - alpha * gains)[:, None] * self.embeddings
            mean = tokens @ fixed + (tokens @ gains)[:, :, None] * self._sites(places)
            found = mean.reshape(places.shape)
        if isinstance(x, np.ndarray) or not array_api_compat.is_array_api_obj(x):
            return found
        xp = array_api_compat.array_namespace(x)
        return xp.asarray(found, dtype=x.dtype, device=array_api_compat.device(x))

    def round(
        self, x: ArrayLike, alpha: float = 1.0, sigma: float = 0.0, how: Rounding = "nearest", seed: int = 0
    ) -> NDArray[np.int64]:
        """Tokens (n, L) that places stand for.

        Parameters
        ----------
        x : (n, L m) array_like
        alpha, sigma : float
            The level that x is at.
        how : str
            "nearest": the vector nearest to x / alpha at each site, which knows nothing of other sites. "likeliest":
            the largest entry of each site's posterior. "posterior": whole sequences drawn from their law given x.
        seed : int
            Of "posterior".

        Raises
        ------
        TypeError, ValueError
            As `likelihood`; a way that is not known.
        """
        if how not in get_args(Rounding):
            raise unknown("how", how, get_args(Rounding))
        if how == "nearest":
            alpha, _ = _level(alpha, sigma)
            return np.asarray(_squares(self._sites(x), alpha * self.embeddings).argmin(axis=2))
        if how == "likeliest":
            return np.asarray(self.tokens_given(x, alpha, sigma).argmax(axis=2))
        return self.law.posterior_sample(self.likelihood(x, alpha, sigma), seed)

    def _sites(self, x: ArrayLike) -> Floats:
        places = np.asarray(x, dtype=np.float64)
        if places.ndim != 2 or places.shape[1] != self.dim:
            raise ValueError(f"x has shape {places.shape}; give (n, {self.dim})")
        return places.reshape(len(places), self.law.length, self.width)


def _squares(sites: Floats, vectors: Floats) -> Floats:
    """Squared distances of (n, L, m) places from (V, m) vectors, (n, L, V)."""
    return np.asarray(((sites[:, :, None, :] - vectors) ** 2).sum(axis=3))


def _level(alpha: float, sigma: float) -> tuple[float, float]:
    alpha, sigma = real_number(alpha, "alpha"), real_number(sigma, "sigma")
    if alpha == 0.0 and sigma == 0.0:
        raise ValueError("alpha and sigma are both 0; give a level with signal or noise")
    return alpha, sigma
