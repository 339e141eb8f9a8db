"""Guidance: moves towards one label of data that carry labels, more strongly than the label itself demands."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from analytic import chains, sequences

from ...numerics.jit import in_parallel
from ..flow import Array, Flow, shown
from ..model.cavities import Model
from ..model.every_state import Tables
from ..model.messages_by_label import labelled_cavities, log_ratios, stacked, told
from .guided_site import CLASSIFIER, GUIDES, draw_sites, fill_guided, fill_rows
from .move import Independent, Stream, Thread, Tokens, defined
from .site import EXITS, impossible, pick, uniforms
from .sites import Sites

Owner = TypeVar("Owner", Tables, Model)
_parts: weakref.WeakKeyDictionary[Any, dict[int, Any]] = weakref.WeakKeyDictionary()


def labelled(data: sequences.SequenceLaw) -> sequences.Labelled:
    """Return the data; TypeError if they have no labels."""
    if not isinstance(data, sequences.Labelled):
        raise TypeError(
            f"data is {data!r}: guided methods go to a label, so give sequences.Labelled(laws, weights)"
        )
    return data


def _under(owner: Owner, label: int) -> Owner:
    """Tables or model of the law under one label, made once for each owner."""
    known = _parts.setdefault(owner, {})
    if label not in known:
        known[label] = type(owner)(owner.process, labelled(owner.data).condition(label))
    return known[label]


def likelihood_of_every_state(process: chains.SiteProcess, t: float) -> Array:
    """What states tell of the token, by [y, v]; ValueError where a state never occurs, which no answer exists for."""
    likelihood: Array = shown(process, t).T
    unseen = np.flatnonzero(~likelihood.any(axis=1))
    if len(unseen):
        raise ValueError(
            f"grid has the time {t!r}, where {process!r} never shows the state {unseen[0]} that the classifier is "
            "asked about: start at a smaller t, or use guide = 'posterior'"
        )
    return likelihood


@dataclass(frozen=True)
class Guided(Independent):
    """All sites move at once, independently given the tokens, guided towards a label.

    Attributes
    ----------
    flow : Flow
    exit : str
        How flows become probabilities, a key of `site.EXITS`; with "probability" and "argmax" flows are
        probabilities, which "flow" and "classifier" normalise over all states with the present one.
    guide : str
        A key of `guided_site.GUIDES`. The classifier is the exact one, asked at the time of the flow about all
        L (S - 1) neighbours and the tokens themselves.
    label : int
    gamma : float
        Strength: 0 leaves the label out, 1 is the law under the label (for "classifier": of the rates, and of
        probabilities under a mask), above 1 more than that.
    h : float
        Time the rates act for; of no meaning where flows are probabilities.
    """

    flow: Flow
    exit: str
    guide: str
    label: int
    gamma: float
    h: float = 1.0

    @property
    def needs(self) -> tuple[bool, bool]:
        """Whether the model is asked with and without the label: one answer is enough at both ends."""
        if self.guide == "classifier":
            return False, True
        return self.gamma != 0.0, self.gamma != 1.0

    def evaluations(self, length: int) -> float:
        """Evaluations of the model, 1 or 2; those of the classifier are not among them."""
        return float(sum(self.needs))

    def aim(self, data: sequences.SequenceLaw) -> sequences.SequenceLaw:
        """Return the law tilted towards the label, p(x) p(label | x)^gamma normalised."""
        return labelled(data).tilted(self.label, self.gamma)

    def settling(self, plain: Sites) -> Guided:
        return replace(self, flow=plain.flow, exit=plain.exit)

    def fill(self, tables: Tables) -> Array:
        t = self.flow.t
        part, (with_label, without) = _under(tables, self.label), self.needs
        free = tables.cavities(t) if without else part.cavities(t)
        given = part.cavities(t) if with_label else free
        log_ratio = np.zeros((tables.size, tables.length, 0))
        if self.guide == "classifier":
            here = self._log_label(labelled(tables.data), tables.tokens)
            stride = tables.states ** np.arange(tables.length - 1, -1, -1)
            moved = np.arange(tables.states) - tables.tokens[:, :, None]
            neighbours = np.arange(tables.size)[:, None, None] + moved * stride[:, None]
            with np.errstate(invalid="ignore"):
                log_ratio = here[neighbours] - here[:, None, None]
        rows = np.empty((tables.size, tables.length, tables.states))
        in_parallel(fill_rows, tables.size, *self.how, tables.tokens, given, free, log_ratio, rows)
        return rows

    def usable(self, weights: Array, tables: Tables) -> Array:
        # States that the label forbids have no guided law: only gamma = 0 never asks for it.
        asked = _under(tables, self.label) if self.gamma else tables
        return defined(self.rows(tables), weights, asked, self.flow.t)

    def draw(self, tokens: Tokens, model: Model, stream: Stream) -> None:
        t = self.flow.t
        part, (with_label, without) = _under(model, self.label), self.needs
        free = (model if without else part).cavities(t, tokens)
        given = part.cavities(t, tokens) if with_label else free
        states = model.process.states
        log_ratio = np.zeros((*tokens.shape, 0))
        if self.guide == "classifier":
            log_ratio = np.empty((*tokens.shape, states))
            data = labelled(model.data)
            here = self._log_label(data, tokens)
            with np.errstate(invalid="ignore"):
                for i in range(tokens.shape[1]):
                    for y in range(states):
                        neighbour = tokens.copy()
                        neighbour[:, i] = y
                        log_ratio[:, i, y] = self._log_label(data, neighbour) - here
        asked = (tokens, given, free, log_ratio, states)
        bad = sum(in_parallel(draw_sites, len(tokens), *self.how, *asked, *stream))
        if bad:
            raise self.no_law(bad)

    def no_law(self, sites: int) -> FloatingPointError:
        return FloatingPointError(
            f"{sites} sites had a negative or undefined probability at t = {self.flow.t:g}: take more steps, or start "
            f"where label {self.label} is possible"
        )

    def thread(self, model: Model) -> Thread | None:
        data = labelled(model.data)
        data.condition(self.label)  # refuses a label that is none
        parts, (L, V, _) = stacked(data), model.sizes
        if parts is None:
            return None
        if self.guide == "classifier":
            likelihood_of_every_state(
                self.flow.process, self.flow.t
            )  # refuses a time at which some state has none
        with np.errstate(divide="ignore"):
            how = (*self.how, self.label, np.log(data.weights), *self.needs)
        # both cavities in one array: of two, a thread would keep the strides of either
        scratch = {"own": (float, L, V), "cavities": (float, 2, L, V), "logs": (float, 3, L)}
        return Thread(_carry, how, parts, (model.likelihood(self.flow.t),), scratch)

    @property
    def how(self) -> tuple[Any, int, float, int, float]:
        """Coefficients, guide, gamma, exit and h as compiled code takes them."""
        return self.flow.coefficients, GUIDES[self.guide], self.gamma, EXITS[self.exit], self.h

    def _log_label(self, data: sequences.Labelled, tokens: NDArray[Any]) -> Array:
        """Log of p_t(label | tokens), (n,); not a number for impossible tokens."""
        joint = data.log_joint(likelihood_of_every_state(self.flow.process, self.flow.t)[tokens])
        with np.errstate(invalid="ignore"):
            return joint[:, self.label] - np.logaddexp.reduce(joint, axis=1)


def _carry(plan: Any, model: Any, lines: Any, rows: Any, units: Any, r: int) -> None:
    k, guide, gamma, exit_kind, h, label, log_weights, with_label, without = plan.told
    states, seen = plan.states[:, r], plan.seen[0]
    given, free = plan.scratch.cavities[0, :, :, r], plan.scratch.cavities[1, :, :, r]
    own, logs = plan.scratch.own[:, :, r], plan.scratch.logs[:, :, r]
    alone, classifies = not without, guide == CLASSIFIER
    if not labelled_cavities(
        model, log_weights, label, alone, seen, states, given, free, own, logs, lines[0], lines[1]
    ):
        plan.failed[r, 0] = 1
        return
    if alone:
        free = given
    elif not (with_label or classifies):
        given = free
    row, spare, ratios = rows[0], rows[1], rows[2]
    for i in range(states.shape[0]):
        if not (
            told(seen, states[i], free[i]) > 0.0 and (not with_label or told(seen, states[i], given[i]) > 0.0)
        ):
            plan.failed[r, 0] = 1
            return
    u = (0.0, 0.0)
    for i in range(states.shape[0]):
        if i % 2 == 0:
            u = uniforms(plan.seed, plan.first + r, plan.step, 0, i // 2)
        x = states[i]
        if classifies:
            log_ratios(seen, x, given[i], free[i], ratios)
        fill_guided(k, guide, gamma, exit_kind, h, x, given[i], free[i], ratios, spare, row)
        plan.failed[r, 1] += impossible(row)
        states[i] = pick(row, x, u[i % 2])
