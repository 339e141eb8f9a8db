"""The contract of a sampler as named checks. Each says what it found, and what it means where it fails."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from analytic import GaussianMixture, targets
from solvers.loops import catalogue as loops

from ..inference import fit, judge
from .adapters import RefusedError
from .contract import FAILED, NOT_ASKED, PASSED, Check, Verdict, judged
from .drawn import nothing_breaks
from .probe import GRIDS, Affine, exact, ladder, nodes_of, parts, probe, taken_apart
from .subject import Denoise, Levels, Ran, Subject

Array = NDArray[np.float64]
FEW = 6  # steps of checks that do not ask for an order
MIXTURE, PLANE = targets.load("easy-1d"), targets.load("rotated-2d")
ROUNDING = 1e-9
FLOOR = 1e-12
CHECKS: dict[str, Check] = {}


def _check(name: str, means: str) -> Callable[[Callable[[Subject], Verdict]], Callable[[Subject], Verdict]]:
    def register(ask: Callable[[Subject], Verdict]) -> Callable[[Subject], Verdict]:
        CHECKS[name] = Check(name, means, ask)
        return ask

    return register


def _start(subject: Subject, target: GaussianMixture, nodes: Array, n: int, seed: int = 5) -> Array:
    alpha, sigma = float(subject.path.alpha(nodes[0])), float(subject.path.sigma(nodes[0]))
    return np.asarray(target.noised(alpha, sigma).sample(n, seed=seed))


def _noise(seed: int = 3) -> Callable[[int, tuple[int, ...]], Array]:
    """Normals of each call; those of a sample do not depend on how many there are."""

    def draw(k: int, shape: tuple[int, ...]) -> Array:
        whole = np.random.default_rng([seed, k]).standard_normal((64, *shape[1:]))
        return whole[: shape[0]]

    return draw


def _fresh(seed: int) -> Callable[[int, tuple[int, ...]], Array]:
    """Normals of a seed, of any number of samples."""
    rng = np.random.default_rng(seed)
    return lambda k, shape: rng.standard_normal(shape)


def _some(subject: Subject, n: int = 7) -> tuple[Array, Array, Ran]:
    """Return a grid, a start and a run on a mixture in the plane."""
    nodes = nodes_of(subject.path, "log-snr", FEW)
    x = _start(subject, PLANE, nodes, n)
    return nodes, x, subject.run(exact(subject, PLANE), x.copy(), nodes, _noise())


@_check("result", "samples come back in another shape, or not finite")
def _result(subject: Subject) -> Verdict:
    _, x, ran = _some(subject)
    if not isinstance(ran.x, np.ndarray) or ran.x.shape != x.shape:
        return FAILED, f"{type(ran.x).__name__} of shape {getattr(ran.x, 'shape', None)} for {x.shape}", ""
    bad = int((~np.isfinite(ran.x)).sum())
    return (FAILED if bad else PASSED), f"{bad} of {x.size} numbers are not finite", ""


@_check("inputs", "samples or grid that were given are written to, and the caller's own change with them")
def _inputs(subject: Subject) -> Verdict:
    nodes, x, _ = _some(subject)
    given = x.copy()
    ran = subject.run(exact(subject, PLANE), given, nodes, _noise())
    changed = [*([] if np.array_equal(given, x) else ["x"]), *ran.changed]
    return (FAILED if changed else PASSED), f"changed: {', '.join(changed) or 'nothing'}", ""


@_check(
    "reproducible", "with the same noise another result: something is drawn elsewhere, or kept between calls"
)
def _reproducible(subject: Subject) -> Verdict:
    nodes, x, first = _some(subject)
    again = subject.run(exact(subject, PLANE), x.copy(), nodes, _noise())
    away = float(np.max(np.abs(again.x - first.x)))
    return (PASSED if away == 0 else FAILED), f"differs by {away:.1e}", ""


@_check("batch", "a sample depends on what it is batched with: a mean, a norm or an error over the batch")
def _batch(subject: Subject) -> Verdict:
    nodes, x, whole = _some(subject)
    part = subject.run(exact(subject, PLANE), x[:3].copy(), nodes, _noise())
    away = float(np.max(np.abs(part.x - whole.x[:3])))
    return (PASSED if away < ROUNDING else FAILED), f"differs by {away:.1e}", ""


@_check("rotation", "turned data give other than turned samples: coordinates are treated differently")
def _rotation(subject: Subject) -> Verdict:
    nodes, x, plain = _some(subject)
    c, s = np.cos(0.7), np.sin(0.7)
    turn = np.array([[c, -s], [s, c]])
    model, noise = exact(subject, PLANE), _noise()
    turned = subject.run(
        lambda y, t: model(y @ turn, t) @ turn.T, x @ turn.T, nodes, lambda k, shape: noise(k, shape) @ turn.T
    )
    away = float(np.max(np.abs(turned.x - plain.x @ turn.T)))
    return (PASSED if away < ROUNDING else FAILED), f"differs by {away:.1e}", ""


MOVED = np.array([0.7, -1.3])


@_check(
    "translation",
    "moved data give other than moved samples: weights of samples and model do not add up to a level",
)
def _translation(subject: Subject) -> Verdict:
    if not _exact_when_frozen(subject):
        return (
            NOT_ASKED,
            "it is not exact where the denoiser never changes, and so moves samples otherwise",
            "",
        )
    nodes, x, plain = _some(subject)
    alpha = subject.path.alpha(nodes)
    model, path = exact(subject, PLANE), subject.path
    moved = subject.run(
        lambda y, t: model(y - float(path.alpha(t)) * MOVED, t) + MOVED, x + alpha[0] * MOVED, nodes, _noise()
    )
    away = float(np.max(np.abs(moved.x - plain.x - alpha[-1] * MOVED)))
    return (PASSED if away < ROUNDING else FAILED), f"differs by {away:.1e}", ""


FLOATS = ("float16", "float32", "float64")


@_check("dtype", "samples of one floating type come back in another, or the model is asked in another")
def _dtype(subject: Subject) -> Verdict:
    function: Any = subject.function
    if not hasattr(function, "kept"):
        return NOT_ASKED, "asked of samplers in torch", ""
    nodes = nodes_of(subject.path, "log-snr", FEW)
    grid = Levels(nodes, subject.path.alpha(nodes), subject.path.sigma(nodes))
    for dtype in FLOATS:
        other = sorted({kind for kind in function.kept(dtype, np.ones((3, 2)), grid) if kind != dtype})
        if other:
            return FAILED, f"{', '.join(other)} for {dtype}", ""
    return PASSED, f"kept: {', '.join(FLOATS)}", ""


@_check("evaluations", "the model is asked more or less often than claimed, or at times off the path")
def _evaluations(subject: Subject) -> Verdict:
    nodes = nodes_of(subject.path, "log-snr", 24)
    x = _start(subject, PLANE, nodes, 2)
    ran = subject.run(exact(subject, PLANE), x, nodes, _noise())
    a_step = len(ran.asked) / 24
    off = [t for t, _ in ran.asked if not (0 <= t <= max(1.0, float(nodes[0]), subject.path.start))]
    found = f"{len(ran.asked)} in 24 steps"
    if off:
        return FAILED, f"{found}, {len(off)} of them at times off the path such as {off[0]:.3g}", ""
    if subject.nfe is not None and abs(a_step - subject.nfe) > 2 / 24:
        return FAILED, f"{found}, claimed {subject.nfe:g} a step", ""
    return PASSED, found, ""


@_check("noise", "noise is drawn that the samples do not depend on")
def _noises(subject: Subject) -> Verdict:
    affine = probe(subject, nodes_of(subject.path, "log-snr", FEW))
    if not len(affine.noise):
        return NOT_ASKED, "no noise is drawn", ""
    if not affine.linear:
        return NOT_ASKED, "the sampler is not linear in its noise", ""
    unused = [k for k, size in enumerate(affine.noise) if size == 0]
    found = f"{len(affine.noise)} draws in {FEW} steps, {len(unused)} unused"
    # a last step to its end may drop what it drew
    late = {len(affine.noise) - 1} if len(affine.noise) > 1 else set()
    return (FAILED if set(unused) - late else PASSED), found, ""


def _nearest(subject: Subject, nodes: Array, affine: Affine) -> str:
    """Say at which other node the law is the true one, if it is at any."""
    errors = [affine.error(subject, nodes, node) for node in range(len(nodes))]
    best = int(np.argmin(errors))
    if best != len(nodes) - 1 and errors[best] < errors[-1] / 10:
        return _at_node(best, len(nodes) - 1)
    return ""


def _at_node(node: int, last: int) -> str:
    return f"the samples are at the level of node {node} of {last}: look at where the loop ends"


def _law_order(grid: str, subject: Subject) -> Verdict:
    if subject.order is None:
        return NOT_ASKED, "no order is claimed", ""
    errors, hint = [], ""
    rungs = ladder(subject, more=grid == "karras")  # odd numbers of steps too
    for steps in rungs:
        nodes = nodes_of(subject.path, grid, steps)
        affine = probe(subject, nodes)
        if not affine.linear:
            return NOT_ASKED, "the sampler is not linear in samples, model and noise", ""
        errors.append(affine.error(subject, nodes))
        hint = _nearest(subject, nodes, affine)
    return judged(subject.order, fit(rungs, errors, FLOOR), hint)


for _grid in GRIDS:
    CHECKS[f"order, {_grid}"] = Check(
        f"order, {_grid}",
        {
            "uneven": "the order is lost where steps differ: a ratio of steps is missing, or equal steps are assumed",
        }.get(
            _grid,
            "the law on a Gaussian does not approach the true one as fast as claimed: a coefficient, a level, "
            "or a noise that should have been used again",
        ),
        partial(_law_order, _grid),
    )


@_check(
    "order, mixture",
    "on a mixture the flow is not followed as fast as claimed, though a Gaussian may hide it",
)
def _flow_order(subject: Subject) -> Verdict:
    if subject.order is None:
        return NOT_ASKED, "no order is claimed", ""
    nodes = nodes_of(subject.path, "log-snr", 8)
    x = _start(subject, MIXTURE, nodes, 40)
    if probe(subject, nodes).noise.any():
        return NOT_ASKED, "it draws noise, and its law on a mixture needs many samples", ""
    ends = nodes[[0, -1]]
    truth = loops["dormand-prince"].solve(subject.path, ends, MIXTURE, x, rtol=1e-12, atol=1e-13).x
    errors, rungs = [], ladder(subject)
    for steps in rungs:
        found = subject.run(exact(subject, MIXTURE), x.copy(), nodes_of(subject.path, "log-snr", steps)).x
        errors.append(float(np.sqrt(np.mean((found - truth) ** 2))))
    return judged(subject.order, fit(rungs, errors, 1e-11))


CHANCE = 1e-6  # that a statistical check fails a sound sampler; what fails is asked again on fresh samples
MANY = 5_000


@_check(
    "law, mixture",
    "samples of a mixture after many steps have another law: an error that a Gaussian hides, or noise of another law",
)
def _mixture_law(subject: Subject) -> Verdict:
    nodes = nodes_of(subject.path, "log-snr", ladder(subject)[-1])
    if not len(subject.run(exact(subject, MIXTURE), np.zeros((1, 1)), nodes).drawn):
        return NOT_ASKED, "it draws no noise, and its flow is asked", ""
    alpha, sigma = (float(f(nodes[-1])) for f in (subject.path.alpha, subject.path.sigma))
    end = MIXTURE.noised(alpha, sigma)
    weights, means = end.weights, end.means[:, 0]
    deviations = np.sqrt(end.variances[:, 0])
    bound, away = float(stats.kstwo.isf(CHANCE, MANY)), 0.0
    for seed in (1, 2):
        x = _start(subject, MIXTURE, nodes, MANY, seed)
        found = np.sort(subject.run(exact(subject, MIXTURE), x, nodes, _fresh(seed)).x[:, 0])
        law = stats.norm.cdf((found[:, None] - means) / deviations) @ weights
        places = np.arange(MANY + 1) / MANY
        away = float(np.max(np.maximum(np.abs(law - places[:-1]), np.abs(law - places[1:]))))
        # the law after so many steps may be half a per cent off
        if away < bound + 0.005:
            return PASSED, f"Kolmogorov distance {away:.4f} in {len(nodes) - 1} steps, by {MANY} samples", ""
    return FAILED, f"Kolmogorov distance {away:.4f}, up to {bound:.4f} by chance", ""


POINT = 0.7


def _frozen(x: Array, t: float) -> Array:
    return np.full_like(x, POINT)


def _frozen_errors(subject: Subject, steps: int) -> Array:
    """Return how far the law is from the true one at each node, where all data are one point: D never changes."""
    nodes = nodes_of(subject.path, "log-snr", steps)
    affine = probe(subject, nodes, _frozen)
    alpha, sigma = subject.path.alpha(nodes), subject.path.sigma(nodes)
    mean = affine.offset + affine.scale * alpha[0] * POINT
    return np.asarray(np.hypot(mean - alpha * POINT, affine.deviation(float(sigma[0])) - sigma))


def _exact_when_frozen(subject: Subject) -> bool:
    """Whether the law is exact where all data are one point; of a sampler that takes no grid it is assumed."""
    try:
        return max(float(_frozen_errors(subject, steps)[-1]) for steps in (FEW, 2 * FEW)) < FLOOR
    except RefusedError:
        return True


@_check("frozen model", "where all data are one point, the law is missed: a scale or the last level is wrong")
def _frozen_model(subject: Subject) -> Verdict:
    if not probe(subject, nodes_of(subject.path, "log-snr", FEW), _frozen).linear:
        return NOT_ASKED, "the sampler is not linear in samples, model and noise", ""
    rungs = ladder(subject)
    at_nodes = [_frozen_errors(subject, steps) for steps in rungs]
    errors = [float(found[-1]) for found in at_nodes]
    if max(errors) < ROUNDING:
        return PASSED, "exact", ""
    best = int(np.argmin(at_nodes[-1]))
    if best != rungs[-1] and at_nodes[-1][best] < ROUNDING:
        return FAILED, f"off by {errors[-1]:.1e}", _at_node(best, rungs[-1])
    slope = fit(rungs, errors, FLOOR)
    result, found, _ = judged(subject.order or 1.0, slope)
    return result, f"not exact, {found}", ""


@_check(
    "levels", "the model is asked at another level than its sample has: a time of the wrong end of a step"
)
def _levels(subject: Subject) -> Verdict:
    """Where all data are 0, samples have the deviation sigma(t): that of what the model is asked tells its level."""
    mismatch, where, path, rungs = [], "", subject.path, ladder(subject)
    for steps in rungs:
        nodes = nodes_of(path, "log-snr", steps)
        _, asked = taken_apart(subject, nodes, lambda x, t: np.zeros_like(x))
        begin, gaps = float(path.sigma(nodes[0])), []
        for index, (t, place) in enumerate(asked):
            if place.scale == 1 and place.offset == 0 and not place.noise.any() and t != nodes[0]:
                told = f"evaluation {index + 1} is about the samples as they were given, at t = {t:.4g}"
                return FAILED, told, f"the grid starts at {nodes[0]:.4g}: look at where the loop begins"
            level, has = float(path.sigma(t)), place.deviation(begin)
            if level == 0 or has == 0 or not place.linear:
                return NOT_ASKED, "a sample that the model is asked about has no level", ""
            gaps.append(abs(float(np.log(has / level))))
        worst = int(np.argmax(gaps))
        mismatch.append(gaps[worst])
        where = f"evaluation {worst + 1} of {len(gaps)} is asked at t = {asked[worst][0]:.4g}"
    if max(mismatch) < ROUNDING:
        return PASSED, "samples have the levels that the model is told", ""
    slope = fit(rungs, mismatch, FLOOR)
    # of a sampler that is exact here all samples have the scale of a level, but for stages that come near it
    exact_when_frozen = _exact_when_frozen(subject)
    found = f"levels differ by {mismatch[0]:.1e} to {mismatch[-1]:.1e}, order {slope}"
    near = judge(1.5, slope)
    # a stage of a noisy sampler may do without the noise of its level, as SRA methods' do
    second = subject.order is not None and subject.order >= 2 and not subject.draws[rungs[-1] + 1]
    if (exact_when_frozen and near != "confirmed") or (second and near == "refuted"):
        return FAILED, found, where
    return PASSED, found, ""


@_check(
    "last step to the data",
    "a step that ends at sigma = 0 gives numbers that are not finite, forgets the data, or leaves noise",
)
def _to_data(subject: Subject) -> Verdict:
    path = subject.path
    if hasattr(subject.function, "own"):
        return NOT_ASKED, "its own grid says how it ends", ""
    if float(path.sigma(0.0)) > 0 or not np.isfinite(float(path.alpha(0.0))):
        return NOT_ASKED, "the path does not reach the data", ""
    errors, left = [], 0.0
    rungs = ladder(subject)[1:5:3]
    for steps in rungs:
        nodes = np.append(nodes_of(path, "log-snr", steps), 0.0)
        affine = probe(subject, nodes)
        if not np.isfinite([affine.offset, affine.scale, *affine.noise]).all():
            return FAILED, "not finite", "look at the step to sigma = 0, where the log-SNR is infinite"
        if not affine.linear:
            return NOT_ASKED, "the sampler is not linear in samples, model and noise", ""
        errors.append(affine.error(subject, nodes))
        left = probe(subject, nodes, lambda x, t: np.zeros_like(x)).deviation(float(path.sigma(nodes[0])))
    # the last step goes from sigma/alpha = e^-1.5 to 0 and may be as wrong as that
    found = f"W2 {errors[0]:.1e} in {rungs[0] + 1} steps, {errors[1]:.1e} in {rungs[1] + 1}"
    if errors[1] > 0.1:
        return FAILED, found, ""
    # one that is exact there at no node leaves some in its last step, the longest in log-SNR
    if left > 0.1 and float(_frozen_errors(subject, FEW).min()) < FLOOR:
        return (
            FAILED,
            f"{found}; where all data are 0, noise of deviation {left:.2g} is left",
            "look at the last level",
        )
    return PASSED, found, ""


OWN_STEPS = (5, 10, 25)
SAME = 1e-3  # between two entries of a table of levels a library may interpolate in its own way


@_check(
    "own grid",
    "the grid that a scheduler chooses by itself repeats a level, ends above zero or tells the model other levels",
)
def _own_grid(subject: Subject) -> Verdict:
    function: Any = subject.function
    if not hasattr(function, "own"):
        return NOT_ASKED, "it takes the grid that it is given", ""
    said = []
    for steps in OWN_STEPS:
        path, start = function.own_start(steps)
        zero = _on_own_grid(subject, steps, lambda x, t: np.zeros_like(x))
        gaussian = _on_own_grid(subject, steps, lambda x, t: 0.3 + 0.5 * x)
        end, asked = zero
        sigma = [float(path.sigma(t)) for t, _ in asked]
        has = [place.deviation(sigma[0]) for _, place in asked]
        # a sampler that is not exact there has other levels on a grid without fault too
        told = sigma if _exact_when_frozen(subject) else has
        fault = _first_fault(steps, told, has, end.deviation(sigma[0]), gaussian)
        if fault:
            return FAILED, fault, ""
        said.append(f"{float(path.alpha(start)):.2g}")
    return PASSED, f"alpha where it starts in {', '.join(map(str, OWN_STEPS))} steps: {', '.join(said)}", ""


Walk = tuple[Affine, list[tuple[float, Affine]]]


def _on_own_grid(subject: Subject, steps: int, model: Denoise) -> Walk:
    drawn = len(subject.run_own(model, np.zeros((1, 1)), steps).drawn)
    return parts(lambda x, noise: subject.run_own(model, x, steps, noise), drawn)


def _first_fault(steps: int, sigma: list[float], has: list[float], left: float, walk: Walk) -> str:
    """Return what is wrong with a grid, or nothing: by levels where all data are 0, and samples where they are not."""
    end, asked = walk
    # up to a scale: samples may be those over alpha
    places = [_direction(place) for place in (*(place for _, place in asked), end)]
    for i, (one, other) in enumerate(pairwise(places)):
        same_level = i + 1 == len(asked) or abs(asked[i + 1][0] / asked[i][0] - 1) < SAME
        if same_level and np.max(np.abs(one - other)) < FLOOR:
            return f"in {steps} steps, evaluation {i + 1} of {len(asked)} moves nothing: a level is repeated"
    for i, (told, level) in enumerate(zip(sigma, has, strict=True)):
        if abs(level / told - 1) > SAME:
            return (
                f"in {steps} steps, evaluation {i + 1} of {len(asked)} is told the level sigma = {told:.6g}, "
                f"and its sample has {level:.6g}"
            )
    if left > SAME:
        return (
            f"in {steps} steps, where all data are 0, noise of deviation {left:.2g} is left: it ends above zero"
            + (", or adds more noise than it takes away" if len(end.noise) else "")
        )
    return ""


def _direction(place: Affine) -> Array:
    whole = np.array([place.offset, place.scale, *place.noise])
    return np.asarray(whole / np.linalg.norm(whole))


_check(
    "drawn problems",
    "on a target, a grid and noise that were drawn, samples are not finite, or depend on one another or on axes",
)(nothing_breaks)
