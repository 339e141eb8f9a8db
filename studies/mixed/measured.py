"""Errors of samplers of mixed targets and of tokens in space, each on a ladder, with the order that they show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special
from scipy.stats import qmc

from analytic import Embedded, GaussianMixture, chains, distances, paths, sequences
from solvers import Observed, catalogue, density, grids, law, loops, sample
from solvers.mixed import OnLine, interleaved_law, interleaved_stationary, split_law, split_on_line
from solvers.mixed.on_line import densities, places

from ..inference import Slope, fit
from ..numbers import AXIS, OUTCOME, measured

Floats = NDArray[np.float64]
NONE = float("nan")
INF = float("inf")
COPIES = (2, 4, 8, 16, 32, 64)  # inverse strengths
STEPS = (8, 16, 32, 64, 128, 256)
ROUNDS = (4, 8, 16, 32)  # of the interleaved sampler, whose kernels are matrices
MORE_ROUNDS = (8, 16, 32, 64)  # of several tokens, whose orders show later
BUDGETS = (4, 8, 16, 32)
SHARE = 16  # of the samples that flows on the simplex take, spread evenly
REWARD = 0.7  # nats, of the last token
SEEN, DEVIATION = 0.3, 0.5  # what is observed of the number
COUPLING, FLIP = 0.5, 0.1
TOKENS = (2, 3)  # values of two tokens that hang together, with two numbers
SEVERAL = GaussianMixture(
    [0.10, 0.25, 0.05, 0.20, 0.08, 0.32],
    [[-1.2, 0.3], [-0.4, -0.8], [0.2, 1.0], [0.5, -0.5], [1.1, 0.6], [1.6, -0.2]],
    [
        [[0.30, 0.10], [0.10, 0.25]],
        [[0.20, -0.08], [-0.08, 0.40]],
        [[0.25, 0.00], [0.00, 0.15]],
        [[0.35, 0.15], [0.15, 0.30]],
        [[0.15, 0.05], [0.05, 0.50]],
        [[0.40, -0.10], [-0.10, 0.20]],
    ],
)
BACK, BEGIN = paths.VE(0.1, 20.0), 0.7  # of interleaved sampling, and where it is noised back to
SPACE = paths.VE(0.05, 20.0)
CHAIN = "smooth"
ONE = (0.3, 0.7)  # law of the one token
ROUNDING, BETWEEN = 1e-11, 1e-9  # of sums, and of what is read between places
FLOWS: dict[str, Any] = {
    "geodesics, noise uniform on the sphere": paths.FisherRao(),
    "geodesics, noise uniform on the simplex": paths.FisherRao("simplex"),
    "Dirichlet path": paths.Dirichlet(),
    "straight lines": paths.Straight(),
}
ON_NOISE = {"masked": chains.Absorbing, "uniform noise": chains.Uniform}
# orders in total variation: what the methods claim, or what a standard argument gives
IN_SPACE = {"ddim": 1, "ddpm": 1, "dpm-solver++-2m": 2, "sde-dpm-solver++-2m": 2}
EULER = {name: NONE if name == "Dirichlet path" else 1 for name in FLOWS}
PRIOR = {"exact": INF, "ddpm": 1, "sde-dpm-solver++-2m": 2, "heun": NONE, "dpm-solver++-2m": NONE}
TURNS: dict[tuple[str, str], float] = {
    ("interleaved", "exact"): INF,
    ("interleaved", "ddpm"): 1,
    ("together", "exact"): 1,
    ("together", "ddpm"): 1,
}
OF_SEVERAL = TURNS | {("tokens apart", numbers): 1.0 for numbers in ("exact", "ddpm")}


@dataclass(frozen=True)
class Ladder:
    """Total variation from the exact law on a ladder.

    Attributes
    ----------
    study, sampler : str
    against : str
        What the ladder is of.
    sizes : tuple of int
    errors : tuple of float
    uncertainty : float
        Of each error: rounding, or what samples do not tell.
    claim : float
        Order; infinite for exactness, nan for none.
    slope : Slope
    """

    study: str
    sampler: str
    against: str
    sizes: tuple[int, ...]
    errors: tuple[float, ...] = field(metadata=measured("uncertainty", along="sizes"))
    uncertainty: float
    claim: float = field(metadata=OUTCOME)
    slope: Slope


def ladder(
    study: str,
    sampler: str,
    against: str,
    sizes: Sequence[int],
    error: Callable[[int], float],
    blur: float,
    claim: float,
) -> list[Ladder]:
    """Measure a ladder."""
    errors = tuple(float(error(size)) for size in sizes)
    slope = fit(sizes, errors, blur, cautious=blur > BETWEEN)
    return [Ladder(study, sampler, against, tuple(sizes), errors, blur, claim, slope)]


def observed(mixture: GaussianMixture) -> tuple[Observed, Floats]:
    """Return a mixture on the line with an observation of the number, and a reward of the token."""
    reward = np.zeros(mixture.components)
    reward[-1] = REWARD
    return Observed(mixture, [[1.0]], [SEEN], DEVIATION), reward


def copies(mixture: GaussianMixture, knob: str) -> list[Ladder]:
    """Bias of split Gibbs sampling with exact conditionals against what its copies are coupled by."""
    model, reward = observed(mixture)
    goal = split_law(model, reward=reward)
    # as wide as the prior, as fine as the posterior
    x = places(mixture, float(np.sqrt(goal.variances.min())) / 4)

    def error(size: int) -> float:
        found = _coupled(model, knob, 1 / size, reward)
        return OnLine(x, densities(found, x)).total_variation(goal)

    what = {"coupling": "1/rho", "flip": "1/flip"}[knob]
    return ladder(
        "copies",
        f"copy of the {'numbers' if knob == 'coupling' else 'token'}",
        what,
        COPIES,
        error,
        ROUNDING,
        {"coupling": 2, "flip": 1}[knob],
    )


def _coupled(
    model: Observed, knob: str, strength: float, reward: Floats, tokens: Sequence[int] | None = None
) -> GaussianMixture:
    """Law that split Gibbs sampling keeps with one of its couplings, the other being none."""
    coupling, flip = (strength, 0.0) if knob == "coupling" else (0.0, strength)
    return split_law(model, coupling, flip, reward, tokens)


def several_copies(knob: str) -> list[Ladder]:
    """As `copies`, of two tokens and two numbers, by Hellinger's distance, which is closed where TV is not."""
    model = Observed(SEVERAL, [[1.0, 0.5]], [SEEN], DEVIATION)
    reward = np.array([0.0, 0.0, 0.3, 0.0, -0.4, REWARD])
    goal = split_law(model, reward=reward, tokens=TOKENS)

    def error(size: int) -> float:
        return hellinger(goal, _coupled(model, knob, 1 / size, reward, TOKENS))

    what, copy, claim = {"coupling": ("1/rho", "numbers", 2), "flip": ("1/flip", "tokens", 1)}[knob]
    return ladder("several, split", f"copies of the {copy}", what, COPIES, error, ROUNDING, claim)


def hellinger(a: GaussianMixture, b: GaussianMixture) -> float:
    """Hellinger's distance of the joint laws of component and place, by enumeration and in closed form."""
    total = 0.0
    for k in range(a.components):
        one, other = a.condition(k), b.condition(k)
        C, D, gap = one.covariance(), other.covariance(), one.mean() - other.mean()
        S = (C + D) / 2
        volumes = np.sqrt(np.linalg.det(C) * np.linalg.det(D)) / np.linalg.det(S)
        total += np.sqrt(a.weights[k] * b.weights[k] * volumes) * np.exp(-gap @ np.linalg.solve(S, gap) / 8)
    return float(np.sqrt(max(1 - total, 0.0)))


def several_turns(order: str, numbers: str) -> list[Ladder]:
    """As `turns` where it stays, of two tokens and the first of the numbers."""
    line = GaussianMixture(SEVERAL.weights, SEVERAL.means[:, :1], _variances(SEVERAL)[:, :1])

    def error(steps: int) -> float:
        grid = grids.log_snr(BACK, steps, start=BEGIN)
        return interleaved_stationary(line, BACK, grid, order, numbers, TOKENS)[1]

    name = f"{order}, numbers {'exact' if numbers == 'exact' else 'by ' + numbers}"
    claim = OF_SEVERAL[order, numbers]
    return ladder("several, interleaved", name, "steps", MORE_ROUNDS, error, ROUNDING, claim)


def _variances(mixture: GaussianMixture) -> Floats:
    """Variances of coordinates given the component, (K, dim)."""
    return np.array([mixture.condition(k).covariance().diagonal() for k in range(mixture.components)])


def prior_steps(mixture: GaussianMixture, method: str) -> list[Ladder]:
    """Bias of split Gibbs sampling whose numbers are drawn by a method, against its steps."""
    model, reward = observed(mixture)
    goal = split_law(model, COUPLING, FLIP, reward)

    def error(steps: int) -> float:
        grid = COUPLING * np.linspace(1, 0, steps + 1) ** 2
        return split_on_line(model, paths.EDM(), grid, method, FLIP, reward).total_variation(goal)

    # without noise densities are read between places
    return ladder(
        "split", method, "steps", STEPS, error, ROUNDING if method == "exact" else BETWEEN, PRIOR[method]
    )


def turns(mixture: GaussianMixture, order: str, numbers: str, stays: bool) -> list[Ladder]:
    """Error of interleaved Gibbs diffusion against its steps: from the exact start, or where it stays."""

    def error(steps: int) -> float:
        if stays:
            grid = grids.log_snr(BACK, steps, start=BEGIN)
            return interleaved_stationary(mixture, BACK, grid, order, numbers)[1]
        return interleaved_law(mixture, BACK, grids.log_snr(BACK, steps), order, numbers)[1]

    name = f"{order}, numbers {'exact' if numbers == 'exact' else 'by ' + numbers}"
    return ladder(
        "stationary" if stays else "interleaved",
        name,
        "steps",
        ROUNDS,
        error,
        ROUNDING,
        TURNS[order, numbers],
    )


def one_token(sampler: str) -> list[Ladder]:
    """Error of the law of one binary token, exact: by density for embeddings, by where the token changes for flows."""
    if sampler in FLOWS:
        return ladder(
            "one token", sampler, "NFE", STEPS, partial(_flow_of_one, FLOWS[sampler]), BETWEEN, EULER[sampler]
        )
    atoms = Embedded(sequences.Product([ONE]), [[-1.0], [1.0]]).mixture()

    def error(steps: int) -> float:
        tableau = catalogue[sampler].tableau(SPACE, grids.log_snr(SPACE, steps))
        return abs(float(density(tableau, atoms).cdf(0.0)) - ONE[0])

    return ladder("one token", f"embedded, {sampler}", "NFE", STEPS, error, BETWEEN, IN_SPACE[sampler])


def _flow_of_one(path: Any, steps: int) -> float:
    """Noise is ordered by its first share; the token it ends at changes once, at a quantile found by halving."""
    a, one = 0.5 if path == paths.FisherRao() else 1.0, sequences.Product([ONE])
    low, high = 0.0, 1.0
    while high - low > 1e-10:
        share = special.betaincinv(a, a, np.linspace(low, high, 102)[1:-1])
        x = np.stack([share, 1 - share], axis=1)[:, None, :]
        x = np.sqrt(x) if isinstance(path, paths.FisherRao) else x
        found = loops.catalogue["simplex-euler"].solve(path, grids.uniform(path, steps), one, x).x
        first = path.round(found)[:, 0] == 0
        at, width = int(np.argmax(first)) if first.any() else len(first), (high - low) / 101
        low, high = low + at * width, low + (at + 1) * width
    return abs(1 - (low + high) / 2 - ONE[0])


def sequence(sampler: str, samples: int, seed: int) -> list[Ladder]:
    """Error of the joint law of a short chain of tokens at equal evaluations."""
    data = sequences.load(CHAIN)
    pmf, one = data.pmf(), partial(ladder, "sequence", against="NFE", sizes=BUDGETS)
    if sampler in ON_NOISE:
        noise = ON_NOISE[sampler](data.vocabulary)

        def exact(steps: int) -> float:
            kernel = catalogue["tweedie-tau-leaping"].kernel(
                noise, grids.uniform(noise, steps), finalise="posterior"
            )
            return distances.table_tv(law(kernel, data)[(slice(0, data.vocabulary),) * data.length], pmf)

        return one(sampler=f"tokens, {sampler}: ancestral", error=exact, blur=ROUNDING, claim=1)
    if sampler in FLOWS:
        path, count = FLOWS[sampler], 2 ** int(np.log2(samples / SHARE))
        uniforms = _sobol(data, count, seed)

        def flow(steps: int) -> float:
            found = loops.catalogue["simplex-euler"].solve(
                path, grids.uniform(path, steps), data, path.placed(uniforms)
            )
            return distances.table_tv(counted(path.round(found.x), pmf.shape), pmf)

        return one(sampler=sampler, error=flow, blur=blur_of(pmf, count), claim=NONE)
    embedded = Embedded(data)
    mixture = embedded.mixture()  # the same law, which compiled code knows

    def by_embedding(steps: int) -> float:
        tableau = catalogue[sampler].tableau(SPACE, grids.log_snr(SPACE, steps))
        x = sample(tableau, mixture, samples, seed)
        return distances.table_tv(counted(embedded.round(x), pmf.shape), pmf)

    return one(
        sampler=f"embedded, {sampler}",
        error=by_embedding,
        blur=blur_of(pmf, samples),
        claim=NONE,
    )


def _sobol(data: sequences.SequenceLaw, count: int, seed: int) -> Floats:
    points = qmc.Sobol(data.length * data.vocabulary, seed=seed).random(count)
    return np.asarray(points.reshape(count, data.length, data.vocabulary))


def counted(tokens: NDArray[np.int64], shape: tuple[int, ...]) -> Floats:
    """Shares of all sequences among tokens (n, L)."""
    flat = np.ravel_multi_index(tuple(tokens.T), shape)
    return np.asarray(np.bincount(flat, minlength=int(np.prod(shape))).reshape(shape) / len(tokens))


def blur_of(pmf: Floats, samples: int) -> float:
    """Mean total variation of so many independent draws from a law."""
    return float(np.sqrt(2 * pmf * (1 - pmf) / (np.pi * samples)).sum() / 2)


@dataclass(frozen=True)
class Rounded:
    """Total variation of tokens read off places that have the exact law at a level.

    Attributes
    ----------
    level : float
        sigma at which places are rounded; alpha is 1.
    nearest, posterior : float
    """

    level: float = field(metadata=AXIS)
    nearest: float = field(metadata=measured())
    posterior: float = field(metadata=measured())


def rounded(level: float) -> list[Rounded]:
    """Read tokens of the chain, embedded at -1, 0 and 1, off places with the exact law: in closed form.

    Given the tokens, sites are rounded to the nearest vector independently, each confused with what normal tails say; a
    draw from the posterior has the law of the tokens itself.
    """
    data, vectors = sequences.load(CHAIN), np.array([-1.0, 0.0, 1.0])
    cuts = np.concatenate([[-np.inf], (vectors[1:] + vectors[:-1]) / 2, [np.inf]])
    confused = np.diff(special.ndtr((cuts - vectors[:, None]) / level), axis=1)
    pmf = data.pmf()
    read = np.einsum("abc,ax,by,cz->xyz", pmf, confused, confused, confused)
    return [Rounded(level, distances.table_tv(read, pmf), 0.0)]
