"""The kernel of continuous samplers: a thread carries one sample through a whole tableau, all state its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numba
import numpy as np
from numba import cuda, njit

from ...cuda.device import MOST, Device, simulated
from ...cuda.sizes import GIVEN, SAME, of_size
from ...numerics.jit import COMPILED
from .mixture_block import Components
from .packed import Packed
from .trajectory import Plan, advance, begin

MOST_UNROLLED = 8  # dimensions up to which a sample's arrays may become registers


class Shape(NamedTuple):
    """Sizes known when a kernel is compiled, so that addresses become constants; `kind` is the float type's name.

    `shared` and `rotated` say how the mixture's variances lie, `cancels` that its normalisers are the same everywhere.
    """

    registers: int
    stages: int
    channels: int
    components: int
    dim: int
    kind: str
    shared: bool
    rotated: bool
    cancels: bool


def shape_of(plan: Plan) -> Shape:
    """Return the sizes that a plan needs a kernel for."""
    _, S, R = plan.packed.U.shape
    K, dim = plan.target.means.shape
    return Shape(
        R,
        S,
        plan.packed.G.shape[2],
        K,
        dim,
        plan.packed.U.dtype.name,
        len(plan.target.variances) < K,
        len(plan.target.rotations) > 0,
        len(plan.normaliser) == 1,
    )


def with_a_channel(plan: Plan) -> Plan:
    """Return the plan with at least one channel, unused where a method has none: no array may be empty."""
    packed = plan.packed
    if packed.G.shape[2]:
        return plan
    N, S, R = packed.U.shape
    kind = packed.U.dtype
    return plan._replace(packed=packed._replace(G=np.zeros((N, S, 1), kind), H=np.zeros((N, R, 1), kind)))


def build(shape: Shape) -> Callable[[Any], None]:
    """Return the kernel, uncompiled, of plans of one shape: it takes (plan, x) and runs the rows of x in place."""
    R, S, C, K, dim = shape[:5]
    sized = _sizer(shape)
    kind = getattr(np if simulated() else numba, shape.kind)
    whole = np.uint64 if simulated() else numba.uint64
    words_shape, line, scratch = (2, 1), (dim, 1), (K + 2 + dim, 1)
    registers, stages, channels = (R, dim, 1), (S, dim, 1), (C, dim, 1)

    def trajectories(arguments: Any) -> None:
        plan, x = sized(arguments[0]), arguments[1]
        row = cuda.grid(1)
        if row >= x.shape[0]:
            return
        Z, new = cuda.local.array(registers, kind), cuda.local.array(registers, kind)
        F, xi = cuda.local.array(stages, kind), cuda.local.array(channels, kind)
        U, work = cuda.local.array(line, kind), cuda.local.array(scratch, kind)
        words = cuda.local.array(words_shape, whole)
        _carry(plan, x, row, Z, new, F, xi, U, work, words)

    # one size that is not known to the compiler: it unrolls no loop over it and keeps arrays in memory
    wide_registers, wide_stages, wide_channels = (of_size(n, GIVEN, 1) for n in (R, S, C))
    wide_line = of_size(GIVEN, 1)

    def wide_trajectories(arguments: Any) -> None:
        plan, x = sized(arguments[0]), arguments[1]
        row, d = cuda.grid(1), x.shape[1]
        if row >= x.shape[0]:
            return
        Z = wide_registers(cuda.local.array(registers, kind), d)
        new = wide_registers(cuda.local.array(registers, kind), d)
        F = wide_stages(cuda.local.array(stages, kind), d)
        xi = wide_channels(cuda.local.array(channels, kind), d)
        U = wide_line(cuda.local.array(line, kind), d)
        work = wide_line(cuda.local.array(scratch, kind), K + 2 + d)
        words = cuda.local.array(words_shape, whole)
        _carry(plan, x, row, Z, new, F, xi, U, work, words)

    return wide_trajectories if dim > MOST_UNROLLED else trajectories


def _sizer(shape: Shape) -> Callable[[Plan], Plan]:
    """Return a device function that tells the compiler the sizes of a plan's tables."""
    R, S, C, K, dim = shape[:5]
    stage_registers, stage_stages, stage_channels = (of_size(SAME, S, n) for n in (R, S, C))
    registers, register_stages, register_channels = (of_size(SAME, R, n) for n in (R, S, C))
    levels, asks, counts = of_size(SAME, S, 2), of_size(SAME, S, 2), of_size(SAME, 4)
    components, means, variances = of_size(K), of_size(K, dim), of_size(1 if shape.shared else K, dim)
    rotations = of_size(K, dim, dim) if shape.rotated else of_size(0, 0, 0)
    normalisers = of_size(1, 1, K) if shape.cancels else of_size(SAME, S, K)

    def sized(plan: Plan) -> Plan:
        packed, target = plan.packed, plan.target
        return Plan(
            Packed(
                stage_registers(packed.U, 0),
                stage_stages(packed.A, 0),
                stage_channels(packed.G, 0),
                registers(packed.V, 0),
                register_stages(packed.B, 0),
                register_channels(packed.H, 0),
                levels(packed.levels, 0),
                asks(packed.asks, 0),
                counts(packed.counts, 0),
                packed.first_channel,
            ),
            plan.wrong,
            Components(
                components(target.log_weights, 0),
                components(target.thresholds, 0),
                means(target.means, 0),
                variances(target.variances, 0),
                rotations(target.rotations, 0),
            ),
            normalisers(plan.normaliser, 0),
            plan.start,
            plan.noise,
            plan.seed,
            plan.first,
            plan.given,
            plan.errs,
        )

    return sized if simulated() else cuda.jit(device=True)(sized)


@njit(inline="always", **COMPILED)
def _carry(
    plan: Plan, x: Any, row: Any, Z: Any, new: Any, F: Any, xi: Any, U: Any, work: Any, words: Any
) -> None:
    """Carry one row of x (n, dim) through all steps; the others are a sample's own arrays, see `advance`."""
    R, dim = Z.shape[:2]
    begin(plan, x, row, Z, words, U)
    for i in range(plan.packed.U.shape[0]):
        advance(plan, i, row, Z, new, F, xi, U, work, words)
        for r in range(R):
            for d in range(dim):
                Z[r, d, 0] = new[r, d, 0]
    for d in range(dim):
        x[row, d] = Z[0, d, 0]


@lru_cache(maxsize=256)
def kernel(shape: Shape) -> Any:
    """Return the compiled kernel of plans of one shape."""
    from ...cuda import extensions  # noqa: F401  # makes them known to the compiler

    return cuda.jit(build(shape))


def run(plan: Plan, x: Any, device: Device) -> None:
    """Run all rows of x (n, dim), an array of the device, in place; they start there where `plan.given`.

    Raises MemoryError if the plan's tables do not fit.
    """
    plan = with_a_channel(plan)
    device.check_room(_size(plan), "take fewer steps, or a target with fewer components")
    there, compiled = device.put(plan), kernel(shape_of(plan))
    n = x.shape[0]
    for first in range(0, n, MOST):
        part = there._replace(first=plan.first + first)
        if plan.noise.shape[0]:
            part = part._replace(noise=device.put(np.ascontiguousarray(plan.noise[:, first : first + MOST])))
        rows = x[first : first + MOST]
        device.launch(compiled, len(rows), (part, device.seen(rows)))


def _size(value: Any) -> int:
    """Bytes of all arrays in nested tuples."""
    if isinstance(value, tuple):
        return sum(_size(part) for part in value)
    return int(value.nbytes) if isinstance(value, np.ndarray) else 0
