"""Many components that share their variances: logits and averages as products of matrices, on lanes of samples.

The square in a logit, summed over r_d^2 (x_d - alpha m_kd)^2, is expanded: what is quadratic in x is the same for all
components and left out, what is quadratic in means is a component's constant, and between them is a product of samples
with means. So is the average of means. Means do not change with the level, hence are laid out once, in panels of
`WIDE`: so many sums at a time, of two vectors of samples, stay in registers, and what they are made of is read once for
all of them. Means are taken from their average, which keeps the terms that cancel small.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from ...numerics.jit import INLINED, INNER
from ...numerics.lanes import BYTES, at, beyond, fma, itemsize_of, larger, load, spread, start_of, store
from ...numerics.primitives import exp2
from .mixture_block import Components
from .mixture_lanes import largest_of

WIDE = 3  # sums at a time of two vectors, two registers each: that leaves a few for what they are made of
LEAST = 8  # components and dimensions from which this is worth its while
_LOG2E = 1.4426950408889634


class Panels(NamedTuple):
    """Means of components (K, dim) less their average, laid out for products, and what a level makes of them.

    centre (dim,): the average. by_component (P, dim, WIDE): means of WIDE components at a dimension side by side.
    by_dimension (Q, K, WIDE): of a component at WIDE dimensions. Of a level: offsets (P WIDE,) of logits, scales (dim,)
    of samples, shares and gains (dim,): an answer is share times the average of means plus gain times the sample.
    inputs (dim, 2 lanes) is scratch, nothing (WIDE,) zeros.
    """

    centre: Any
    by_component: Any
    by_dimension: Any
    offsets: Any
    scales: Any
    shares: Any
    gains: Any
    inputs: Any
    nothing: Any


def panels_of(target: Components) -> Panels | None:
    """Lay the means of components out, or None where they do not share their variances or are few."""
    K, dim = target.means.shape
    kind = target.means.dtype
    if target.rotations.shape[0] > 0 or target.variances.shape[0] == K or K < LEAST or dim < LEAST:
        return None
    P, Q = (K + WIDE - 1) // WIDE, (dim + WIDE - 1) // WIDE
    panels = Panels(
        np.sum(target.means / kind.type(K), axis=0, dtype=kind),
        np.zeros((P, dim, WIDE), kind),
        np.zeros((Q, K, WIDE), kind),
        np.empty(P * WIDE, kind),
        np.empty(dim, kind),
        np.empty(dim, kind),
        np.empty(dim, kind),
        np.empty((dim, 2 * BYTES // target.means.itemsize), kind),
        np.zeros(WIDE, kind),
    )
    means, (k, d) = target.means - panels.centre, np.indices((K, dim))
    panels.by_component[k // WIDE, d, k % WIDE] = means
    panels.by_dimension[d // WIDE, k, d % WIDE] = means
    return panels


@njit(**INNER)
def prepare_products(
    target: Components, normaliser: Any, asked: Any, alpha: Any, sigma: Any, panels: Panels
) -> None:
    """Fill what depends on the level for asked[0] times the denoiser plus asked[1] times the score, sigma > 0."""
    K, dim = target.means.shape
    kind = target.means.dtype.type
    of_data, of_score = asked[0], asked[1]
    a2, s2 = alpha * alpha, sigma * sigma
    largest = largest_of(normaliser)
    for k in range(len(panels.offsets)):
        panels.offsets[k] = (normaliser[k] - largest) * kind(_LOG2E) if k < K else kind(-np.inf)
    for d in range(dim):
        precision = kind(1.0) / (a2 * target.variances[0, d] + s2)
        panels.scales[d] = kind(_LOG2E) * alpha * precision
        panels.shares[d] = (of_data * s2 + of_score * alpha) * precision
        panels.gains[d] = (of_data * alpha * target.variances[0, d] - of_score) * precision
    half = kind(0.5) * alpha
    for p in range(panels.by_component.shape[0]):
        for d in range(dim):
            factor = half * panels.scales[d]
            for j in range(WIDE):
                mean = panels.by_component[p, d, j]
                panels.offsets[p * WIDE + j] -= factor * mean * mean


@njit(**INNER)
def for_a_chunk(panels: Panels) -> Panels:
    """Return the same means with room of its own for a level."""
    return Panels(
        panels.centre,
        panels.by_component,
        panels.by_dimension,
        np.empty_like(panels.offsets),
        np.empty_like(panels.scales),
        np.empty_like(panels.shares),
        np.empty_like(panels.gains),
        np.empty_like(panels.inputs),
        panels.nothing,
    )


@njit(**INLINED)
def _products(rows: Any, panel: Any, count: int, start: Any) -> Any:
    """Sums over `count` of a row, two vectors, times a number of the panel each, on top of numbers at `start`."""
    width = BYTES // itemsize_of(rows)
    a = b = spread(at(start, 0))
    c = d = spread(at(start, 1))
    e = f = spread(at(start, 2))
    for i in range(count):
        one, two, place = load(rows, 2 * i * width), load(rows, (2 * i + 1) * width), 3 * i
        factor = spread(at(panel, place))
        a, b = fma(one, factor, a), fma(two, factor, b)
        factor = spread(at(panel, place + 1))
        c, d = fma(one, factor, c), fma(two, factor, d)
        factor = spread(at(panel, place + 2))
        e, f = fma(one, factor, e), fma(two, factor, f)
    return a, b, c, d, e, f


@njit(**INNER)
def evaluate_products(panels: Panels, alpha: Any, x: Any, out: Any, logits: Any) -> None:
    """Fill out (dim, m) at the samples x (dim, m), m a whole number of lanes; logits (P WIDE, 2 lanes) is scratch."""
    dim, m = x.shape
    width = logits.shape[1] // 2
    P, (Q, K, _) = panels.by_component.shape[0], panels.by_dimension.shape
    weights, inputs = start_of(logits), start_of(panels.inputs)
    of_components, of_dimensions = start_of(panels.by_component), start_of(panels.by_dimension)
    offsets, scales, centre = start_of(panels.offsets), start_of(panels.scales), start_of(panels.centre)
    shares, gains = start_of(panels.shares), start_of(panels.gains)
    nothing, one = start_of(panels.nothing), x.dtype.type(1.0)
    for first in range(0, m, 2 * width):
        second = first + width if first + width < m else first  # the last vector may be alone
        x_one, x_two = beyond(start_of(x), first), beyond(start_of(x), second)
        for d in range(dim):
            shift, scale = alpha * at(centre, d), at(scales, d)
            store(inputs, 2 * d * width, (load(x_one, d * m) - shift) * scale)
            store(inputs, (2 * d + 1) * width, (load(x_two, d * m) - shift) * scale)
        most = also = spread(at(offsets, 0)) - spread(x.dtype.type(np.inf))
        for p in range(P):
            row = p * WIDE
            a, b, c, d_, e, f = _products(inputs, beyond(of_components, row * dim), dim, beyond(offsets, row))
            place = 2 * row * width
            store(weights, place, a)
            store(weights, place + width, b)
            store(weights, place + 2 * width, c)
            store(weights, place + 3 * width, d_)
            store(weights, place + 4 * width, e)
            store(weights, place + 5 * width, f)
            most, also = larger(larger(a, c), larger(e, most)), larger(larger(b, d_), larger(f, also))
        zero = x.dtype.type(0.0)
        total, other = zero * load(inputs, 0), zero * load(inputs, width)  # not a number where these are not
        for k in range(K):
            weight, beside = (
                exp2(load(weights, 2 * k * width) - most),
                exp2(load(weights, (2 * k + 1) * width) - also),
            )
            store(weights, 2 * k * width, weight)
            store(weights, (2 * k + 1) * width, beside)
            total, other = total + weight, other + beside
        total, other = one / total, one / other
        at_one, at_two = beyond(start_of(out), first), beyond(start_of(out), second)
        for q in range(Q):
            a, b, c, d_, e, f = _products(weights, beyond(of_dimensions, q * K * WIDE), K, nothing)
            for j, (value, beside) in enumerate(((a, b), (c, d_), (e, f))):
                d = q * WIDE + j
                if d < dim:
                    share, gain, middle = at(shares, d), at(gains, d), spread(at(centre, d))
                    store(at_one, d * m, fma(load(x_one, d * m), gain, fma(value, total, middle) * share))
                    store(at_two, d * m, fma(load(x_two, d * m), gain, fma(beside, other, middle) * share))
