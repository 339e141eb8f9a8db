"""`range` as the CUDA compiler sees through it. Importing this makes it known there.

Numba advances a range only if it has a next number. The optimiser behind PTX for capabilities below 10 turns that
condition into selections, and then knows neither how often a loop runs nor that its index is not negative: each element
of an array costs some 18 instructions instead of 6. Here a range advances in any case; once it is done nobody looks.
"""

from __future__ import annotations

from typing import Any

from numba.cuda import cgutils, types
from numba.cuda.core.imputils import RefType, Registry, iternext_impl
from numba.cuda.descriptor import cuda_target

_registry = Registry("ranges")


def _define(iterator: Any) -> None:
    @_registry.lower("iternext", iterator)
    @iternext_impl(RefType.BORROWED)
    def following(context: Any, builder: Any, signature: Any, arguments: Any, result: Any) -> None:
        state = cgutils.create_struct_proxy(iterator)(context, builder, arguments[0])
        kind = iterator.yield_type
        value, count = builder.load(state.iter), builder.load(state.count)
        result.set_valid(builder.icmp_signed(">", count, context.get_constant(kind, 0)))
        result.yield_(value)
        # without overflow, as far as anybody looks: so the index is known not to become negative
        flags = ["nsw"] if kind.signed else []
        builder.store(builder.sub(count, context.get_constant(kind, 1), flags=["nsw"]), state.count)
        builder.store(builder.add(value, state.step, flags=flags), state.iter)


for _iterator in (types.range_iter32_type, types.range_iter64_type, types.unsigned_range_iter64_type):
    _define(_iterator)
# what comes last counts: numba's own first
cuda_target.typing_context.refresh()
cuda_target.target_context.refresh()
cuda_target.target_context.install_registry(_registry)
