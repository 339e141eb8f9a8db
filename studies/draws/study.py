"""The study of draws: what float32 draws do to a sampler that makes many of them.

Ancestral sampling in N steps draws, at every step, from rows that keep the state with probability 1 - O(1/N)
and hold many small probabilities. The law of each draw is exact (`draw_law`) and so is that of the chain of
draws: a product of S x S matrices, for one site of a sequence of independent tokens.

Size of the error, for M = 2^bits and a race of keys p_y/e_y (log p_y + g_y is its logarithm):

1. Category y wins if e_y < p_y times the smallest e_j/p_j of the others, an exponential of rate 1 - p_y. So with
   u = 1 - j/M, j = 1, 2, ..., a rare one wins with probability (1/M) sum_j exp(-j d) = (1/M)/(exp(d) - 1),
   d = 1/(M p_y): less than p_y by 1/(2M) however small p_y, until it vanishes below 1/M. A cut of the largest
   key alone, with u continuous up to 1 - 1/M, would cost p_y - p_y exp(-d), twice as much.
2. The grid of category j raises P(key_j <= v) by 1/(2M) on average, and by 1/M where it would be below 1/M: u = 0
   loses to all. This gives p_y s_j / (1 - p_j) / (2M) to each other category y, the chance p_y/(1 - p_j) that y
   wins without j times s_j = 1 + M^(-(1 - p_j)/p_j), which is between 1 (p_j small) and 2 (p_j near 1). For
   conventions that replace u = 0 by x_0, less 2 x_0^((1 - p_j)/p_j).
3. The rest, such as ties between rounded keys and the rounding of p itself, is relative to p_y, and does not add
   up over steps, each of which makes p_y of order 1/N.
4. Where u is rounded to the nearest of the grid, both shifts cancel and 5/(12 M^2 p_y) is left.

Masked sampling with token law w and a step's rows (stay 1 - e, token v e w_v) therefore loses 1/(2M) on each of V
tokens a step while the site is masked, N/2 steps on average, and what is lost is drawn anew later: the error of
token v is N (V w_v - 1)/(4M), and TV grows as N V: rich tokens gain, the entropy falls. Rounded to nearest it is
5 N^2 (w_v sum_u 1/w_u - 1/w_v)/(36 M^2). A row that is certain is no race: where u = 0 is not replaced, all keys
are equal with probability 1/M and category 0 wins, which adds N ([v = 0] - w_v)/(2M).

The inverse CDF counts grid points below cumulative sums: a sum below the spacing of float32 moves up by half a grid
step on average (down where the threshold is 1 - u), which favours the first category and costs the last: N/(4M),
whatever V.

References
----------
Zheng et al. 2024, "Masked diffusion models are secretly time-agnostic masked models and exploit inaccurate
categorical sampling": float32 Gumbel draws lower the effective temperature.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import entr

from analytic import chains

from ..inference import Slope, fit
from ..numbers import measured
from ..output.report import Report
from ..study import Cell, Plain
from . import arithmetic
from .draw_law import DRAWS, draw_law, draw_named, draw_tokens, weights_of

Array = NDArray[np.float64]
TARGET = (0.5, 0.3, 0.15, 0.05)
STEPS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
NOISES: dict[str, chains.Chain] = {
    "absorbing linear": chains.Absorbing(len(TARGET), "linear"),
    "absorbing log-linear": chains.Absorbing(len(TARGET), "log-linear"),
    "uniform linear": chains.Uniform(len(TARGET), "linear"),
}
ROUNDING = 1e-13  # of TV, a step: what the sums behind `draw_law` are off by
# A first look: the rest of the draws and noises take minutes.
SHOWN_DRAWS = ("inverse-cdf", "inverse-cdf-float32", "gumbel-float32", "exponential-race-float32-epsilon")
SHOWN_NOISE = "absorbing linear"
_SMALLEST = {arithmetic.TINY: arithmetic.SMALLEST, arithmetic.EPSILON: arithmetic.ADDED}  # what u = 0 becomes


def ancestral_rows(noise: chains.Chain, target: ArrayLike, steps: int) -> tuple[Array, Array]:
    """Return the law at the start and the exact reverse kernels P(x_s | x_t) of one site, down to t = 0.

    Parameters
    ----------
    noise : Chain
    target : (V,) array_like
        Law of the token.
    steps : int
        Equal steps in t from `noise.start`.

    Returns
    -------
    start : (S,) array
    rows : (steps, S, S) array
        Rows are indexed by x_t; states that never occur stay where they are.
    """
    times = np.linspace(noise.start, 0.0, steps + 1)
    laws = [noise.marginal(t, target) for t in times]
    rows = np.empty((steps, noise.states, noise.states))
    for n, (s, t) in enumerate(zip(times[1:], times[:-1], strict=True)):
        joint = laws[n + 1][:, None] * noise.transition(s, t)
        evidence = joint.sum(axis=0)
        rows[n] = np.where(
            evidence > 0, joint / np.where(evidence > 0, evidence, 1.0), np.eye(noise.states)
        ).T
    return laws[0], rows


def predicted_law(probabilities: ArrayLike, draw: str, bits: int | None = None) -> Array:
    """Return the law of a draw up to errors that are small against 2^-bits, or relative to the probability.

    The derivation is in the head of this module; parameters, shapes and errors are those of `draw_law`.
    """
    kind, bits = draw_named(draw, bits)
    given = np.asarray(probabilities, dtype=np.float64)
    if not kind.single:
        return given
    weights, cell = weights_of(kind, given.reshape(-1, given.shape[-1])), 2.0**-bits
    if kind.rule == arithmetic.INVERSE_CDF:
        return _predicted_counts(weights, kind.end, cell).reshape(given.shape)
    p = np.exp(weights) if kind.rule == arithmetic.GUMBEL else weights
    p = p / p.sum(axis=-1, keepdims=True)
    smallest = _SMALLEST.get(kind.end, 0.0)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        odds = (1 - p) / p
        law = np.where(p > 0, cell / np.expm1(cell / p), 0.0)
        rise = 1 + cell**odds - 2 * smallest**odds
        if kind.end == arithmetic.EPSILON:
            law *= np.exp(-arithmetic.ADDED * odds)
        if kind.end == arithmetic.ROUNDED:
            law += cell / 2 * np.exp(-cell / p)
            rise = (cell / 2) ** odds - (cell / 4) ** odds
        share = np.where(p > 0, rise / (1 - p), 0.0)
        law += cell / 2 * p * (share.sum(axis=-1, keepdims=True) - share)
    certain = p.max(axis=-1) == 1.0
    law[certain] = 0.0
    law[certain, 0] = cell if kind.end == arithmetic.PLAIN else 0.0
    likeliest = p.argmax(axis=-1)[:, None]
    np.put_along_axis(law, likeliest, 0.0, axis=-1)
    np.put_along_axis(law, likeliest, 1.0 - law.sum(axis=-1, keepdims=True), axis=-1)
    return law.reshape(given.shape)


def _predicted_counts(sums: Array, end: int, cell: float) -> Array:
    """Return the law of an inverse CDF whose float32 sums fall anywhere between grid points, (R, S)."""
    coarser = np.maximum(cell - np.spacing(sums.astype(np.float32)).astype(np.float64), 0.0) / 2
    shift = np.where((sums > 0) & (sums < 1), coarser, 0.0)
    reached = np.minimum(sums - shift if end == arithmetic.SCALED else sums + shift, 1.0)
    law = np.diff(reached, prepend=0.0, axis=-1)
    law[:, 0 if end == arithmetic.FIRST else -1] += 1.0 - reached[:, -1]
    return law


@dataclass(frozen=True)
class Drawn:
    """What one draw does to one sampler.

    Attributes
    ----------
    draw, noise : str
    steps : int
    tv : float
        Total variation between the exact law of the sampler and the target.
    predicted : float
        The same from `predicted_law`.
    entropy_change : float
        Of the drawn token against the target, in nats.
    temperature : float
        That of a tempered target of the same entropy; nan if none has it.
    """

    draw: str
    noise: str
    steps: int
    tv: float = field(metadata=measured())
    predicted: float
    entropy_change: float
    temperature: float


@dataclass(frozen=True)
class Draws(Plain[Drawn]):
    """How far draws of limited precision take ancestral sampling from the target, without sampling.

    Attributes
    ----------
    draws : sequence of str
        Names in `DRAWS`; each is applied to every row of every step, certain ones too.
    noises : mapping of names to chains
        Of the target's vocabulary.
    target : sequence of float
        Law of a token.
    steps : sequence of int
    bits : int or None
        Bits of the uniform numbers of draws in float32, by default each draw's own. Fewer bits give the same
        errors at fewer steps and tokens: they depend on N V / 2^bits.
    exact : bool
        Sum every term of the law of each draw; see `draw_law`.

    Raises
    ------
    TypeError, ValueError
        As `draw_law` and the chains do, when cells are listed or measured.
    """

    draws: Sequence[str] = DRAWS
    noises: Mapping[str, chains.Chain] = field(default_factory=lambda: NOISES)
    target: Sequence[float] = TARGET
    steps: Sequence[int] = STEPS
    bits: int | None = None
    exact: bool = False

    name: ClassVar[str] = "draws"
    record: ClassVar[type] = Drawn

    def cells(self) -> Iterable[Cell[Drawn]]:
        """One for each draw: many rows of its chains are the same."""
        known = [(draw, self.bits if draw_named(draw)[0].single else None) for draw in self.draws]
        for draw, bits in known:
            draw_named(draw, bits)  # complains before anything is measured
        for draw, bits in known:
            given = {
                "noises": self.noises,
                "target": self.target,
                "steps": self.steps,
                "exact": self.exact,
                "bits": bits,
            }
            yield Cell({"draw": draw}, partial(self._measured, draw, bits), given)

    def _measured(self, draw: str, bits: int | None) -> list[Drawn]:
        ladders = {
            (label, N): ancestral_rows(noise, self.target, N)
            for label, noise in self.noises.items()
            for N in self.steps
        }
        exactly = _law_of_each(ladders, partial(draw_law, draw=draw, bits=bits, exact=self.exact))
        roughly = _law_of_each(ladders, partial(predicted_law, draw=draw, bits=bits))
        found = []
        for (label, N), law in exactly.items():
            truth = self.noises[label].marginal(0.0, np.asarray(self.target, dtype=np.float64))
            tv, predicted = (float(np.abs(end - truth).sum() / 2) for end in (law, roughly[label, N]))
            entropy = float(entr(law).sum() - entr(truth).sum())
            found.append(Drawn(draw, label, N, tv, predicted, entropy, effective_temperature(law, truth)))
        return found

    def reports(self, found: list[Drawn]) -> Iterable[Report]:
        """Return errors at most steps with their growth."""
        frame = pd.DataFrame([asdict(one) for one in found])
        title = "Error of one token drawn by ancestral sampling in many steps, and its growth with them"
        notes = [
            "growth: exponent of TV in the number of steps. predicted: by the derivation in studies/draws/study.py."
        ]
        yield Report("draws", title, summary(frame), notes, {"draws": frame})


def _law_of_each(
    ladders: Mapping[tuple[str, int], tuple[Array, Array]], drawn: Callable[[Array], Array]
) -> dict[tuple[str, int], Array]:
    """Return the law at the end of each chain whose rows are replaced by `drawn` of them."""
    laws = {}
    for states in {rows.shape[-1] for _, rows in ladders.values()}:
        # all at once, since many rows of different chains are the same
        keys = [key for key, (_, rows) in ladders.items() if rows.shape[-1] == states]
        tables = drawn(np.concatenate([ladders[key][1] for key in keys]))
        ends = np.cumsum([len(ladders[key][1]) for key in keys])
        for key, table in zip(keys, np.split(tables, ends[:-1]), strict=True):
            law = ladders[key][0]
            for kernel in table:
                law = law @ kernel
            laws[key] = law
    return {key: laws[key] for key in ladders}


def growth(steps: Sequence[int], tv: ArrayLike) -> Slope:
    """Measure the exponent of N with which TV grows, as a Slope whose sign is that of the growth."""
    slope = fit(steps, tv, ROUNDING * np.asarray(steps, dtype=np.float64), may_stay=False)
    return Slope(
        -slope.value,
        -slope.high,
        -slope.low,
        slope.window,
        slope.status,
        tuple(-p for p in slope.local),
        slope.floor,
        slope.crossing,
    )


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row per draw and noise: growth exponent, and TV, prediction and entropy at most steps."""
    rows = []
    for (draw, noise), group in frame.groupby(["draw", "noise"], sort=False):
        ladder = group.sort_values("steps")
        last = ladder.iloc[-1]
        rows.append(
            {
                "draw": draw,
                "noise": noise,
                "growth": str(growth(ladder["steps"].tolist(), ladder["tv"].to_numpy())),
                "steps": int(last["steps"]),
                "tv": last["tv"],
                "predicted": last["predicted"],
                "entropy_change": last["entropy_change"],
                "temperature": last["temperature"],
            }
        )
    return pd.DataFrame(rows)


def effective_temperature(law: ArrayLike, target: ArrayLike) -> float:
    """Return the temperature T at which target^(1/T), normalised, has the entropy of the law; nan if none has."""
    p = np.asarray(target, dtype=np.float64)
    logs = np.log(p[p > 0] / p.max())
    wanted = float(entr(np.asarray(law, dtype=np.float64)).sum())

    def excess(log_temperature: float) -> float:
        tempered = np.exp(logs / np.exp(log_temperature))
        return float(entr(tempered / tempered.sum()).sum()) - wanted

    ends = (-np.log(50.0), np.log(50.0))
    if excess(ends[0]) * excess(ends[1]) >= 0:
        return float("nan")
    return float(np.exp(brentq(excess, *ends, xtol=1e-15)))


def sampled_counts(
    noise: chains.Chain,
    target: ArrayLike,
    draw: str,
    steps: int,
    n: int,
    seed: int = 0,
    bits: int | None = None,
) -> NDArray[np.int64]:
    """Run the chain of draws on n samples and count the states at the end, (S,): a check of the exact law.

    Starts are drawn in float64. Raises as `draw_law` and the chains do.
    """
    start, rows = ancestral_rows(noise, target, steps)
    tokens = draw_tokens(start[None], "inverse-cdf", np.zeros(n, dtype=np.int64), seed, step=steps)
    for step, table in enumerate(rows):
        tokens = draw_tokens(table, draw, tokens, seed, step=step, bits=bits)
    return np.bincount(tokens, minlength=noise.states)
