"""Two-step methods with noise: the joint density of the sample and of the one before it.

The next map uses, beside the sample x, a number k(w) that an earlier sample w left in register 1. So at each node of
x the law keeps the whole measure over k: masses at the nodes of w that can lead there. With noise of deviation s

    f'(y, x) = int f(x, w) N(y; Phi(x, k(w)), s^2) dw,

evaluated afresh at nodes y of its own: a sum over all pairs (x, w) near enough to y.
"""

from __future__ import annotations

from math import pi, sqrt
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ....numerics.jit import COMPILED
from ....numerics.primitives import exp
from .convolve import cover
from .links import Link
from .panels import NODES, WEIGHTS, Panels, nodes, resolve, tails, unresolved
from .sampler_on_target import Pieces, SamplerOnTarget

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
_DEEPEST = 40
# The density is followed down to about this probability of a panel.
_LEAST = 1e-18
# Entries below this share of their node's largest are dropped.
_SHARE = 1e-14
# Below this share of the largest density, cut Gaussians may show: panels there are taken as they are.
_FAINT = 1e-12


class Joint(NamedTuple):
    """A law of (x, k): panels of x, and at each of their nodes masses at values of k.

    left, right (P,); bounds (16 P + 1,) cuts the flat arrays into nodes; memory, density: values of k and the
    density of x times their probability given x. Every node's part has a multiple of 16 entries.
    """

    left: Array
    right: Array
    bounds: Indices
    memory: Array
    density: Array


class Source(NamedTuple):
    """Where a link's noise starts from: node i has places and masses bounds[i]..bounds[i+1], and register 1 after it.

    low (P,) is the least place of each panel, increasing over panels; low_node, high_node (16 P,) enclose a node's
    places; width is the longest panel.
    """

    bounds: Indices
    places: Array
    masses: Array
    kept: Array
    low: Array
    low_node: Array
    high_node: Array
    width: float


def convolve_jointly(
    sampler: SamplerOnTarget, link: Link, following: Link, law: Panels | Joint
) -> Panels | Joint:
    """Law of (sample, register 1) after a link's map and its noise; of the sample alone if it remembers nothing."""
    precision, deviation = sampler.precision, link.deviation
    source = _of_joint(sampler, link, law) if isinstance(law, Joint) else _of_panels(sampler, link, law)
    left, right = _first_panels(sampler, source, deviation, following)

    def evaluate(y: Array) -> tuple[Indices, Indices, Array]:
        return _masses(y.ravel(), source, deviation, precision.reach)

    if not link.remembers:

        def density(y: Array) -> tuple[Array, float]:
            bounds, _, masses = evaluate(y)
            return np.add.reduceat(np.append(masses, 0.0), bounds[:-1]).reshape(y.shape), 0.0

        return resolve(density, left, right, precision.tolerance)

    done: list[Joint] = []
    top = 0.0
    for _ in range(_DEEPEST):
        places = nodes(left, right)
        bounds, first, masses = evaluate(places)
        owner = np.repeat(first - bounds[:-1], np.diff(bounds)) + np.arange(bounds[-1])
        memory = source.kept[owner]
        total = np.add.reduceat(np.append(masses, 0.0), bounds[:-1])
        values = total.reshape(places.shape)
        top = max(top, float(values.max(initial=0.0)))
        # the next integral runs over x at a fixed k: how the map bends is asked at each panel's mean k
        moment = np.add.reduceat(np.append(masses * memory, 0.0), bounds[:-1]).reshape(places.shape)
        mean = moment.sum(axis=1, keepdims=True) / np.maximum(values.sum(axis=1, keepdims=True), 1e-300)
        image, slope, _, _ = sampler.image(following, places, np.broadcast_to(mean, places.shape))
        seen = values.max(axis=1) > _FAINT * top
        bad = seen & unresolved(values, precision.tolerance, top)
        bad |= seen & (
            np.abs(slope).max(axis=1) * (right - left) > 1.3 * precision.piece * following.deviation
        )
        bad |= seen & (tails(image) > 1e-7 * following.deviation + 1e-14 * np.abs(image).max())
        part = Joint(left, right, bounds, memory, masses)
        done.append(_chosen(part, ~bad))
        if not bad.any():
            return _stacked(done)
        middle = (left + right) / 2
        left, right = (
            np.stack([left[bad], middle[bad]], axis=1).ravel(),
            np.stack([middle[bad], right[bad]], axis=1).ravel(),
        )
    raise FloatingPointError(
        f"{sampler.name}: the joint density near {left[0]:.6g} is rough on every scale, take more steps"
    )


def _of_panels(sampler: SamplerOnTarget, link: Link, law: Panels) -> Source:
    """The source that a law of x alone is: one place a node."""
    pieces: Pieces = sampler.pieces(
        link, law, lambda _, slope: (np.abs(slope) / link.deviation, link.deviation)
    )
    count = pieces.images.size
    places, masses = np.zeros((count, NODES)), np.zeros((count, NODES))
    places[:] = pieces.images.ravel()[:, None]
    masses[:, 0] = pieces.masses.ravel()
    bounds = NODES * np.arange(count + 1)
    node = pieces.images.ravel()
    return Source(
        bounds, places.ravel(), masses.ravel(), pieces.kept.ravel(), pieces.low, node, node, pieces.width
    )


def _of_joint(sampler: SamplerOnTarget, link: Link, law: Joint) -> Source:
    """The source that a law of (x, k) is: every pair pushed through the map."""
    x = nodes(law.left, law.right).ravel()
    count = np.diff(law.bounds)
    weight = (((law.right - law.left) / 2)[:, None] * WEIGHTS).ravel()
    places, _, kept, _ = sampler.image(link, np.repeat(x, count), law.memory)
    masses = law.density * np.repeat(weight, count)
    starts = law.bounds[:-1]
    live = masses > 0
    low = np.minimum.reduceat(np.where(live, places, np.inf), starts)
    high = np.maximum.reduceat(np.where(live, places, -np.inf), starts)
    panel_low = low.reshape(-1, NODES).min(axis=1)
    panel_high = high.reshape(-1, NODES).max(axis=1)
    order = np.argsort(panel_low, kind="stable")
    order = order[np.isfinite(panel_low[order])]
    if np.array_equal(order, np.arange(len(panel_low))):
        bounds, chosen_places, chosen_masses = law.bounds, places, masses
        first = starts
    else:
        node = (order[:, None] * NODES + np.arange(NODES)).ravel()
        first = starts[node]
        bounds = np.append(0, np.cumsum(count[node]))
        pick = np.repeat(first - bounds[:-1], count[node]) + np.arange(bounds[-1])
        chosen_places, chosen_masses = places[pick], masses[pick]
        low, high = low[node], high[node]
    width = float((panel_high[order] - panel_low[order]).max())
    return Source(bounds, chosen_places, chosen_masses, kept[first], panel_low[order], low, high, width)


def _first_panels(
    sampler: SamplerOnTarget, source: Source, deviation: float, following: Link
) -> tuple[Array, Array]:
    """Panels to start from: where there is mass, as long as the next noise allows where its map does not stretch."""
    mass = np.add.reduceat(np.append(source.masses, 0.0), source.bounds[:-1])
    weight = np.maximum(mass.reshape(-1, NODES).sum(axis=1) / _LEAST, 1.0)
    spread = deviation * (np.sqrt(2 * np.log(weight)) + 0.5)
    high = source.high_node.reshape(-1, NODES).max(axis=1)
    alive = mass.reshape(-1, NODES).sum(axis=1) > 1e-21
    left, right = cover((source.low - spread)[alive], (high + spread)[alive], np.empty(0), deviation)
    longest = sampler.precision.piece * (following.deviation or deviation)
    parts = np.ceil((right - left) / longest).astype(np.int64)
    cuts = [np.linspace(a, b, n + 1) for a, b, n in zip(left, right, parts, strict=True)]
    return np.concatenate([c[:-1] for c in cuts]), np.concatenate([c[1:] for c in cuts])


def _chosen(law: Joint, which: NDArray[np.bool_]) -> Joint:
    """Keep some of the panels, and at each of their nodes the stretch of entries that carries its mass."""
    starts, count = law.bounds[:-1], np.diff(law.bounds)
    place = np.arange(law.bounds[-1]) - np.repeat(starts, count)
    live = law.density > _SHARE * np.repeat(np.maximum.reduceat(law.density, starts), count)
    first = np.minimum.reduceat(np.where(live, place, place.max()), starts)
    last = np.maximum.reduceat(np.where(live, place, 0), starts)
    kept = NODES * (-(-np.maximum(last - first + 1, 1) // NODES))
    first = np.minimum(first, count - kept)
    node = np.flatnonzero(np.repeat(which, NODES))
    bounds = np.append(0, np.cumsum(kept[node]))
    pick = np.repeat((starts + first)[node] - bounds[:-1], kept[node]) + np.arange(bounds[-1])
    return Joint(law.left[which], law.right[which], bounds, law.memory[pick], law.density[pick])


def _stacked(parts: list[Joint]) -> Joint:
    """Put panels together, left to right."""
    if len(parts) == 1:
        return parts[0]
    offsets = np.cumsum([0, *(part.bounds[-1] for part in parts)])
    whole = Joint(
        np.concatenate([part.left for part in parts]),
        np.concatenate([part.right for part in parts]),
        np.concatenate([[0], *(part.bounds[1:] + o for part, o in zip(parts, offsets[:-1], strict=True))]),
        np.concatenate([part.memory for part in parts]),
        np.concatenate([part.density for part in parts]),
    )
    order = np.argsort(whole.left, kind="stable")
    node = (order[:, None] * NODES + np.arange(NODES)).ravel()
    count = np.diff(whole.bounds)[node]
    bounds = np.append(0, np.cumsum(count))
    pick = np.repeat(whole.bounds[:-1][node] - bounds[:-1], count) + np.arange(bounds[-1])
    return Joint(whole.left[order], whole.right[order], bounds, whole.memory[pick], whole.density[pick])


def _masses(y: Array, source: Source, deviation: float, reach: float) -> tuple[Indices, Indices, Array]:
    """Density of (y, node) for every y (M,) and the source nodes that can reach it.

    Returns bounds (M + 1,), the first node of each y (M,), and the flat masses.
    """
    first = np.searchsorted(source.low, y - reach * deviation - source.width)
    last = np.searchsorted(source.low, y + reach * deviation)
    # an empty reach keeps one panel, of mass zero, so that every y has a part
    first = np.minimum(first, len(source.low) - 1)
    last = np.maximum(last, first + 1)
    bounds = np.append(0, np.cumsum(NODES * (last - first)))
    out = np.zeros(bounds[-1])
    _pair_sums(y, NODES * first, bounds, *source[:3], *source[5:7], deviation, reach, out)
    return bounds, NODES * first, out


@njit(**COMPILED)
def _pair_sums(
    y: Any,
    first: Any,
    out_bounds: Any,
    bounds: Any,
    places: Any,
    masses: Any,
    low: Any,
    high: Any,
    deviation: float,
    reach: float,
    out: Any,
) -> None:
    scale, far = 1 / deviation, reach * deviation
    norm = scale / sqrt(2 * pi)
    parts = np.empty(16)
    for j in range(len(y)):
        for entry in range(out_bounds[j], out_bounds[j + 1]):
            node = first[j] + entry - out_bounds[j]
            if y[j] < low[node] - far or y[j] > high[node] + far:
                continue
            parts[:] = 0.0
            for start in range(bounds[node], bounds[node + 1], 16):
                for l in range(16):
                    u = (y[j] - places[start + l]) * scale
                    parts[l] += masses[start + l] * exp(-0.5 * u * u)
            out[entry] = parts.sum() * norm
