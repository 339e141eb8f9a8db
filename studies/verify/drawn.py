"""Problems drawn by Hypothesis: what every sampler has to keep on any target, grid and noise, and what breaks it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, find, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample
from numpy.typing import NDArray

from analytic import GaussianMixture, sequences
from solvers import grids

from .adapters import RefusedError
from .contract import FAILED, PASSED, Verdict
from .probe import ends, exact
from .subject import Ran, Subject
from .token_subject import TokenSubject, marginal, states_of

Array = NDArray[np.float64]
EXAMPLES = 30
SAMPLES = 5
ROUNDING = 1e-8


@dataclass(frozen=True)
class Problem:
    """A mixture, a grid and a seed: means (components, dim), shares of the log-SNR that steps take."""

    weights: tuple[int, ...]
    means: tuple[tuple[float, ...], ...]
    variance: float
    shares: tuple[int, ...]
    seed: int

    def fault(self, subject: Subject) -> str:
        """Return what a sampler breaks here, or nothing."""
        target = GaussianMixture(
            np.array(self.weights) / sum(self.weights),
            np.array(self.means),
            np.full((len(self.means), len(self.means[0])), self.variance),
        )
        nodes = self._nodes(subject)
        alpha, sigma = (float(f(nodes[0])) for f in (subject.path.alpha, subject.path.sigma))
        x = np.asarray(target.noised(alpha, sigma).sample(SAMPLES, seed=self.seed))
        model = exact(subject, target)

        def run(rows: Any, turn: Array | None = None) -> Ran:
            def noise(k: int, shape: tuple[int, ...]) -> Array:
                z = np.random.default_rng([self.seed, k]).standard_normal(x.shape)[rows]
                return z if turn is None else z @ turn.T

            if turn is None:
                return subject.run(model, x[rows].copy(), nodes, noise)
            return subject.run(lambda y, t: model(y @ turn, t) @ turn.T, x[rows] @ turn.T, nodes, noise)

        try:
            whole = np.asarray(run(slice(None)).x)
        except RefusedError:
            return ""
        except Exception as problem:  # whatever it raises is what was found
            return f"raises {type(problem).__name__}: {problem}"
        if whole.shape != x.shape or not np.isfinite(whole).all():
            return "gives samples of another shape, or not finite"
        size = ROUNDING * max(1.0, float(np.abs(whole).max()))
        backwards = np.asarray(run(slice(None, None, -1)).x)
        if np.max(np.abs(backwards[::-1] - whole)) > size:
            return "depends on the order of samples"
        if np.max(np.abs(np.asarray(run(slice(0, 2)).x) - whole[:2])) > size:
            return "depends on how many samples there are"
        angle = 0.5 + self.seed
        turn = np.eye(x.shape[1])
        if len(turn) > 1:
            c, s = np.cos(angle), np.sin(angle)
            turn[:2, :2] = [[c, -s], [s, c]]
        if np.max(np.abs(np.asarray(run(slice(None), -turn).x) + whole @ turn.T)) > size:
            return "turned or mirrored data give other than turned samples"
        return ""

    def _nodes(self, subject: Subject) -> Array:
        start, stop = ends(subject.path)
        low, high = (float(subject.path.log_snr(t)) for t in (start, stop))
        shares = np.cumsum((0, *self.shares)) / sum(self.shares)
        times = np.asarray(subject.path.time_of_log_snr(low + (high - low) * shares))
        times[0], times[-1] = start, stop
        return np.asarray(grids.check(subject.path, times))


@dataclass(frozen=True)
class TokenProblem:
    """A law of sequences, given as whole numbers in proportion, and the times of a step."""

    counts: tuple[int, ...]
    vocabulary: int
    times: tuple[float, float]
    seed: int

    def fault(self, subject: TokenSubject) -> str:
        """Return what a step breaks here, or nothing."""
        length = round(np.log(len(self.counts)) / np.log(self.vocabulary))
        shape = (self.vocabulary,) * length
        data = sequences.Enumerated((np.array(self.counts) / sum(self.counts)).reshape(shape))
        t, s = (self.times[0],) * 2 if subject.corrector else self.times
        process = subject.process(self.vocabulary)
        size = int(process.states)
        x = states_of(size, length)[marginal(data, process, t).ravel() > 0]

        def run(rows: Any) -> Any:
            calls = [0]

            def uniform(shape: tuple[int, ...]) -> Array:
                calls[0] += 1
                return np.random.default_rng([self.seed, calls[0]]).random((len(x), *shape[1:]))[rows]

            return np.asarray(subject.step(data, x[rows].copy(), t, s, uniform).given)

        try:
            whole = run(slice(None))
        except Exception as problem:  # whatever it raises is what was found
            return f"raises {type(problem).__name__}: {problem}"
        if whole.dtype.kind in "iu":
            if whole.shape != x.shape or whole.min() < 0 or whole.max() >= size:
                return "gives tokens that are none"
        elif whole.shape != (*x.shape, size) or np.max(np.abs(whole.sum(axis=-1) - 1)) > ROUNDING:
            return "gives probabilities that do not sum to one"
        elif whole.min() < -ROUNDING:
            return "gives a negative probability"
        if np.max(np.abs(run(slice(None, None, -1))[::-1] - whole)) > ROUNDING:
            return "depends on the order of sequences"
        if np.max(np.abs(run(slice(0, 2)) - whole[:2])) > ROUNDING:
            return "depends on how many sequences there are"
        return ""


tenths = st.integers(-20, 20).map(lambda k: k / 10)


@st.composite
def problems(draw: Any) -> Problem:
    """Draw a problem; simple ones are small whole numbers."""
    dim = draw(st.integers(1, 3))
    count = draw(st.integers(1, 3))
    means = draw(st.lists(st.tuples(*[tenths] * dim), min_size=count, max_size=count))
    weights = draw(st.lists(st.integers(1, 9), min_size=count, max_size=count))
    shares = draw(st.lists(st.integers(1, 5), min_size=4, max_size=8))
    variance = draw(st.sampled_from([0.5, 0.1, 1.0, 0.02]))
    return Problem(tuple(weights), tuple(means), variance, tuple(shares), draw(st.integers(0, 9)))


@st.composite
def token_problems(draw: Any) -> TokenProblem:
    """Draw a law over up to three sites and a step."""
    vocabulary, length = draw(st.integers(2, 3)), draw(st.integers(1, 3))
    count = vocabulary**length
    counts = draw(st.lists(st.integers(1, 9), min_size=count, max_size=count))
    t = draw(st.integers(20, 90)) / 100
    # a small step: rates that stand still for it leave probabilities where they belong
    s = t * (1 - draw(st.integers(1, 10)) / 100)
    return TokenProblem(tuple(counts), vocabulary, (t, s), draw(st.integers(0, 9)))


def counterexample(subject: Subject | TokenSubject, seed: int = 0) -> tuple[Any, str] | None:
    """Return the simplest problem that Hypothesis finds a sampler to break something on, and what, or None."""
    drawn: Any = token_problems() if isinstance(subject, TokenSubject) else problems()
    # whole grids in whole groups of steps, for samplers that have such
    group = 1 if isinstance(subject, TokenSubject) else int(getattr(subject.function, "group", 1))
    usable = drawn if group == 1 else drawn.filter(lambda problem: len(problem.shares) % group == 0)
    try:
        simplest = find(
            usable,
            lambda problem: bool(problem.fault(subject)),
            random=random.Random(seed),
            settings=settings(
                max_examples=EXAMPLES,
                database=None,
                deadline=None,
                phases=(Phase.generate, Phase.shrink),
                suppress_health_check=list(HealthCheck),
            ),
        )
    except NoSuchExample:
        return None
    return simplest, str(simplest.fault(subject))


def pasted(subject: Subject | TokenSubject, problem: Any) -> str:
    """Return code that shows a counterexample again, to be pasted; `sampler` stands for one that is no file's."""
    made = f"sampler = subject_of({subject.where!r}, order={subject.order})"
    return (
        f"from studies.verify.drawn import {type(problem).__name__}; from studies.verify.named import subject_of; "
        f"{made}; print({problem!r}.fault(sampler))"
    )


def nothing_breaks(subject: Subject | TokenSubject) -> Verdict:
    """Ask what a check asks: is there no problem that breaks anything?"""
    found = counterexample(subject)
    if found is None:
        return PASSED, f"nothing in {EXAMPLES} problems", ""
    problem, fault = found
    return FAILED, fault, f"show it again by: {pasted(subject, problem)}"
