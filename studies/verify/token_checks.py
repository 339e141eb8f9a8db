"""The contract of a sampler of tokens as named checks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from analytic import sequences

from ..inference import fit
from .contract import FAILED, NOT_ASKED, PASSED, Check, Verdict, judged
from .drawn import nothing_breaks
from .token_subject import Stepped, TokenSubject, Uniform, marginal, states_of

Array = NDArray[np.float64]
STEPS = (4, 8, 16, 32, 64, 128)
START, STOP = 0.9, 0.1  # times between which orders are measured
ONE = sequences.Enumerated([0.5, 0.3, 0.2])
TWO = sequences.Enumerated([[0.24, 0.03, 0.10], [0.03, 0.25, 0.02], [0.12, 0.07, 0.14]])
# the last token is never at the first site
FORBIDS = sequences.Enumerated([[0.3, 0.1, 0.1], [0.1, 0.2, 0.2], [0.0, 0.0, 0.0]])
ROUNDING = 1e-9
FLOOR = 1e-13
SAMPLES = 200_000
FALSE_ALARM = 1e-6  # chance that one statistical test fails a sound sampler; what fails is asked again afresh

TOKEN_CHECKS: dict[str, Check] = {}
Ask = Callable[[TokenSubject], Verdict]


def _check(name: str, means: str) -> Callable[[Ask], Ask]:
    def register(ask: Ask) -> Ask:
        TOKEN_CHECKS[name] = Check(name, means, ask)
        return ask

    return register


def _steps_only(ask: Ask) -> Ask:
    def asked(subject: TokenSubject) -> Verdict:
        if not subject.steps_at_once:
            return NOT_ASKED, "a method of the catalogue is asked by its law", ""
        return ask(subject)

    return asked


def _uniforms(seed: int = 3) -> Uniform:
    """Uniform numbers of each call; those of a row do not depend on how many rows there are."""
    calls = [0]

    def draw(shape: tuple[int, ...]) -> Array:
        calls[0] += 1
        return np.random.default_rng([seed, calls[0]]).random((128, *shape[1:]))[: shape[0]]

    return draw


def _possible(subject: TokenSubject, t: float) -> Any:
    """Return all sequences that there are at t, (n, 2)."""
    states = states_of(subject.states(3), 2)
    return states[marginal(TWO, subject.process(3), t).ravel() > 0]


def _stepped(subject: TokenSubject, s: float = 0.4, rows: Any = None) -> tuple[Any, Stepped]:
    """Return all sequences that there are at t = 0.5, and what a step from there gives."""
    t = s if subject.corrector else 0.5
    x = _possible(subject, t) if rows is None else rows
    return x, subject.step(TWO, x.copy(), t, s, _uniforms())


def _drawn(given: Any) -> bool:
    return np.asarray(given).dtype.kind in "iu"


@_check("result", "tokens come back in another shape, or are none that there are")
@_steps_only
def _result(subject: TokenSubject) -> Verdict:
    x, stepped = _stepped(subject)
    given, states = np.asarray(stepped.given), subject.states(3)
    if _drawn(given):
        good = given.shape == x.shape and given.min() >= 0 and given.max() < states
        return (PASSED if good else FAILED), f"tokens of shape {given.shape} for {x.shape}", ""
    good = given.shape == (*x.shape, states)
    return (PASSED if good else FAILED), f"probabilities of shape {given.shape} for {(*x.shape, states)}", ""


@_check("inputs", "tokens that were given are written to, and the caller's own change with them")
@_steps_only
def _inputs(subject: TokenSubject) -> Verdict:
    t = 0.4 if subject.corrector else 0.5
    x = _possible(subject, t)
    given = x.copy()
    subject.step(TWO, given, t, 0.4, _uniforms())
    same = np.array_equal(given, x)
    return (PASSED if same else FAILED), f"changed: {'nothing' if same else 'x'}", ""


@_check(
    "reproducible",
    "with the same numbers another result: something is drawn elsewhere, or kept between calls",
)
@_steps_only
def _reproducible(subject: TokenSubject) -> Verdict:
    (_, one), (_, other) = _stepped(subject), _stepped(subject)
    same = np.array_equal(np.asarray(one.given), np.asarray(other.given))
    return (PASSED if same else FAILED), "the same" if same else "differs", ""


@_check("batch", "a sequence's step depends on what it is batched with")
@_steps_only
def _batch(subject: TokenSubject) -> Verdict:
    x, whole = _stepped(subject)
    _, part = _stepped(subject, rows=x[:4])
    away = float(np.max(np.abs(np.asarray(part.given) - np.asarray(whole.given)[:4])))
    return (PASSED if away < ROUNDING else FAILED), f"differs by {away:.1e}", ""


@_check(
    "evaluations", "the posterior is asked more or less often than claimed, or at a time outside the step"
)
@_steps_only
def _evaluations(subject: TokenSubject) -> Verdict:
    _, stepped = _stepped(subject)
    found = f"{len(stepped.asked)} a step"
    off = [t for t in stepped.asked if not 0.4 - 1e-12 <= t <= 0.5 + 1e-12]
    if off:
        return FAILED, f"{found}, from t = 0.5 to 0.4 at {off[0]:.4g}", ""
    if subject.nfe is not None and len(stepped.asked) != subject.nfe:
        return FAILED, f"{found}, claimed {subject.nfe:g}", ""
    return PASSED, found, ""


@_check("probabilities", "probabilities of a site are negative, or do not sum to one")
@_steps_only
def _probabilities(subject: TokenSubject) -> Verdict:
    worst, least = 0.0, 0.0
    for s in (0.4, 0.1, 0.49):
        _, stepped = _stepped(subject, s)
        given = np.asarray(stepped.given)
        if _drawn(given):
            return NOT_ASKED, "tokens come back", ""
        worst = max(worst, float(np.max(np.abs(given.sum(axis=-1) - 1))))
        least = min(least, float(given.min()))
    good = worst < ROUNDING and least >= -ROUNDING
    return (PASSED if good else FAILED), f"sums are off by {worst:.1e}, the least is {least:.1e}", ""


def _start(subject: TokenSubject) -> float:
    return min(1.0, float(subject.process(3).start))


@_check("support", "masks are left at the end, or tokens come where the data have none")
def _support(subject: TokenSubject) -> Verdict:
    if subject.corrector or subject.noise != "masked":
        return NOT_ASKED, "asked of masked noise, to its end", ""
    masks, forbidden = [], 0.0
    for steps in (8, 64):
        grid = np.linspace(0.95, 0.0, steps + 1)
        found = subject.law(FORBIDS, grid)
        if found is None:
            found = subject.samples(FORBIDS, grid, 20_000, 1)
        masks.append(abs(float(1 - found[:3, :3].sum())))
        forbidden = max(forbidden, float(found[2].sum()))
    said = f"{masks[0]:.1e} and {masks[1]:.1e} masked in 8 and 64 steps, {forbidden:.1e} where the data have none"
    # leaping leaves some, the fewer the more steps
    good = masks[1] < max(ROUNDING, masks[0] / 3) and forbidden < ROUNDING
    return (PASSED if good else FAILED), said, ""


def _law_errors(subject: TokenSubject, data: sequences.SequenceLaw) -> list[float] | None:
    truth = marginal(data, subject.process(data.vocabulary), STOP)
    errors = []
    for steps in STEPS:
        found = subject.law(data, np.linspace(START, STOP, steps + 1))
        if found is None:
            return None
        errors.append(float(np.abs(found - truth).sum() / 2))
    return errors


def _order(data: sequences.SequenceLaw, subject: TokenSubject) -> Verdict:
    if subject.order is None or subject.corrector:
        return NOT_ASKED, "no order is claimed", ""
    errors = _law_errors(subject, data)
    if errors is None:
        return _by_samples(subject, data)
    if max(errors) < FLOOR * 100:
        return PASSED, "exact", ""
    if subject.order == np.inf or (subject.exact and data is ONE):
        return FAILED, f"TV {errors[0]:.1e} to {errors[-1]:.1e}, claimed exact", ""
    result, found, _ = judged(subject.order, fit(STEPS, errors, FLOOR))
    return result, f"{found}, TV {errors[0]:.1e} to {errors[-1]:.1e}", ""


def _chance(cells: int) -> float:
    """Return what chi-square of so many cells exceeds by chance at FALSE_ALARM."""
    return float(stats.chi2.isf(FALSE_ALARM, cells - 1))


def _twice(measure: Callable[[int], float], bound: float) -> tuple[bool, float]:
    """Return whether a statistic is beyond its bound, on one seed and then on a fresh one, and the last value."""
    found = measure(1)
    if found > bound:
        found = measure(2)
    return found > bound, found


def _chi_square(shares: Array, truth: Array) -> float:
    """Return chi-square of SAMPLES samples against a law, infinite where they are and it is not."""
    present = truth > 0
    if shares[~present].any():
        return float("inf")
    return float(SAMPLES * np.sum((shares - truth)[present] ** 2 / truth[present]))


def _by_samples(subject: TokenSubject, data: sequences.SequenceLaw) -> Verdict:
    """Hold 32 steps against 4: an error that falls as claimed leaves little to see, and what is left is no chance."""
    order = 2.0 if subject.order in (None, np.inf) else float(subject.order or 1.0)
    truth = marginal(data, subject.process(data.vocabulary), STOP)
    cells = int((truth > 0).sum())

    def measure(steps: int, seed: int) -> float:
        shares = subject.samples(data, np.linspace(START, STOP, steps + 1), SAMPLES, seed)
        return _chi_square(shares, truth)

    few = measure(4, 5)
    # a slope may be a third below its limit at so few steps
    allowed = max(few - cells, 0.0) / 8 ** (2 * order * 2 / 3) + _chance(cells)
    bad, many = _twice(partial(measure, 32), allowed)
    found = f"by {SAMPLES} samples, chi-square of {cells - 1} {few:.0f} in 4 steps, {many:.0f} in 32"
    return (FAILED if bad else PASSED), found, ""


for _data, _name, _means in (
    (ONE, "order, one site", "the law of a single token is missed: a rate, a posterior or a time is wrong"),
    (TWO, "order, two sites", "the law of two tokens does not approach the true one as fast as claimed"),
):
    TOKEN_CHECKS[_name] = Check(_name, _means, partial(_order, _data))


@_check(
    "limit",
    "the law goes to another than the true one, though near it: a rate, a posterior or a time is slightly wrong",
)
def _limit(subject: TokenSubject) -> Verdict:
    """Ask where the laws of 64 and of 128 steps go by the order that is claimed: nearer to the truth than either."""
    if subject.order is None or subject.order == np.inf or subject.corrector:
        return NOT_ASKED, "no order is claimed", ""
    said = []
    for data in (ONE, TWO):
        truth = marginal(data, subject.process(data.vocabulary), STOP)
        coarse, fine = (subject.law(data, np.linspace(START, STOP, steps + 1)) for steps in (64, 128))
        if coarse is None or fine is None:
            return NOT_ASKED, "tokens come back, and their law needs samples", ""
        goes_to = fine + (fine - coarse) / (2**subject.order - 1)
        error, left = (float(np.abs(law - truth).sum() / 2) for law in (fine, goes_to))
        said.append(f"TV {left:.1e} where it goes to, {error:.1e} in 128 steps")
        if left > max(error / 5, ROUNDING):
            return FAILED, f"{data.length} sites: {said[-1]}", ""
    return PASSED, "; ".join(said), ""


@_check("sites", "sites exchanged in the data are not exchanged in the law: sites are treated differently")
def _sites(subject: TokenSubject) -> Verdict:
    if subject.corrector:
        return NOT_ASKED, "asked of samplers", ""
    grid = np.linspace(START, STOP, 7)
    exchanged = sequences.Enumerated(TWO.pmf().T)
    plain, turned = subject.law(TWO, grid), subject.law(exchanged, grid)
    if plain is None or turned is None:

        def measure(seed: int) -> float:
            one = subject.samples(TWO, grid, SAMPLES, seed)
            other = subject.samples(exchanged, grid, SAMPLES, seed + 10).T
            seen = one + other > 0
            return float(SAMPLES * np.sum((one - other)[seen] ** 2 / (one + other)[seen]))

        bad, chi = _twice(measure, _chance(plain_cells := subject.states(3) ** 2))
        return (FAILED if bad else PASSED), f"chi-square of {plain_cells - 1} {chi:.0f}", ""
    away = float(np.abs(plain - turned.T).max())
    return (PASSED if away < ROUNDING else FAILED), f"differs by {away:.1e}", ""


@_check("jumps", "more sites change in a step than claimed")
@_steps_only
def _jumps(subject: TokenSubject) -> Verdict:
    if subject.jumps is None:
        return NOT_ASKED, "no number of jumps is claimed", ""
    x, stepped = _stepped(subject, 0.1)
    given = np.asarray(stepped.given)
    if _drawn(given):
        most = max(
            int(
                (np.asarray(subject.step(TWO, x.copy(), 0.5, 0.1, _uniforms(seed)).given) != x)
                .sum(axis=1)
                .max()
            )
            for seed in range(50)
        )
    else:
        stay = np.take_along_axis(given, x[:, :, None], axis=2)[:, :, 0]
        most = int((stay < 1 - ROUNDING).sum(axis=1).max())
    return (PASSED if most <= subject.jumps else FAILED), f"up to {most}, claimed {subject.jumps}", ""


@_check("invariance", "a corrector's step does not leave the marginal as it is")
@_steps_only
def _invariance(subject: TokenSubject) -> Verdict:
    if not subject.corrector:
        return NOT_ASKED, "it is no corrector", ""
    away = 0.0
    for t in (0.2, 0.5, 0.8):
        truth = marginal(TWO, subject.process(3), t)
        found = subject.law(TWO, np.array([t, t]))
        if found is None:
            bad, chi = _twice(partial(_settled, subject, t, truth), _chance(int((truth > 0).sum())))
            if bad:
                return FAILED, f"at t = {t:g} chi-square of {int((truth > 0).sum()) - 1} {chi:.0f}", ""
            continue
        away = max(away, float(np.abs(found - truth).sum() / 2))
    return (PASSED if away < ROUNDING else FAILED), f"TV {away:.1e}", ""


def _settled(subject: TokenSubject, t: float, truth: Array, seed: int) -> float:
    return _chi_square(subject.samples(TWO, np.array([t, t]), SAMPLES, seed), truth)


RARE, TOKENS = 1e-6, 64
ROWS, BATCHES = 20_000, 5


@_check(
    "rare tokens",
    "a token of probability 1e-8 comes too seldom or too often: Gumbel numbers or cumulated probabilities in float32, "
    "whose uniforms end at 1 - 2^-24",
)
@_steps_only
def _rare_tokens(subject: TokenSubject) -> Verdict:
    """Take a step that reveals with probability 1e-6, to one of 64 tokens; tails are drawn often, and weighed."""
    if subject.noise != "masked" or subject.corrector:
        return NOT_ASKED, "asked of masked noise", ""
    data = sequences.Enumerated(np.full(TOKENS, 1 / TOKENS))
    t = 0.5
    s = t * (1 - RARE)
    x = np.full((ROWS, 1), TOKENS)
    expected, hits, weighed = RARE, [], []
    for batch in range(BATCHES):
        weight, uniform = _tails(batch)
        stepped = subject.step(data, x.copy(), t, s, uniform)
        given = np.asarray(stepped.given)
        if not _drawn(given):
            away = abs(float(1 - given[0, 0, TOKENS]) / expected - 1)
            return (PASSED if away < 1e-3 else FAILED), f"probability off by a part {away:.1e}", ""
        if not stepped.uniforms:
            return NOT_ASKED, "it draws with numbers that are not seen", ""
        hits.append(given[:, 0] != TOKENS)
        weighed.append(weight())
    share = np.concatenate(hits) * np.concatenate(weighed) / expected
    mean, error = float(share.mean()), float(share.std() / np.sqrt(len(share)))
    found = f"{mean:.2f} +- {error:.2f} of the probability"
    return (PASSED if abs(mean - 1) < 0.05 + 5 * error else FAILED), found, ""


DEPTH = 13.0  # decades of the tails


def _tails(batch: int) -> tuple[Callable[[], Array], Uniform]:
    """Return uniforms of which one in a row is from a tail, and afterwards the weights that make up for it, (rows,)."""
    rng = np.random.default_rng([11, batch])
    weights: list[Array] = []

    def uniform(shape: tuple[int, ...]) -> Array:
        u = rng.random(shape)
        flat = u.reshape(shape[0], -1)
        rows, m = np.arange(shape[0]), flat.shape[1]
        tail = 10 ** (-DEPTH * rng.random(shape[0]))
        high = rng.random(shape[0]) < 0.5
        tailed = rng.random(shape[0]) < 0.9
        where = rng.integers(m, size=shape[0])
        flat[rows[tailed], where[tailed]] = np.where(high, 1 - tail, tail)[tailed]
        # density of that draw beside the uniform one
        one = (_density(flat) + _density(1 - flat)) / 2
        weights.append(1 / (0.1 + 0.9 * one.mean(axis=1)))
        return flat.reshape(shape)

    return lambda: np.asarray(np.prod(weights, axis=0)), uniform


def _density(u: Array) -> Array:
    """Density of 10^(-DEPTH U)."""
    with np.errstate(divide="ignore"):
        return np.where(u >= 10**-DEPTH, 1 / (np.log(10) * DEPTH * np.maximum(u, 10**-DEPTH)), 0.0)


_check(
    "drawn problems",
    "on a target, a grid and noise that were drawn, probabilities are none, or sequences depend on one another",
)(_steps_only(nothing_breaks))
