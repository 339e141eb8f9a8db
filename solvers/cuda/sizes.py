"""Sizes of arrays told to the compiler: an index into an array of known sizes becomes a constant offset."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .device import simulated

SAME, GIVEN = "same", "given"
Size = int | str


def of_size(*sizes: Size) -> Callable[..., Any]:
    """Return a device function f(array, n) that gives a C-contiguous array with other sizes.

    Nothing is copied. Sizes are not checked; that the array is contiguous is, when it is compiled.

    Parameters
    ----------
    sizes : int, SAME or GIVEN, one an axis, of the last axes
        A number the compiler is to know, SAME for the size that the array has, GIVEN for n, which is not known to the
        compiler even if the array's size is. Axes before those keep their sizes.
    """
    if simulated():
        return _itself
    from numba import types
    from numba.core import cgutils
    from numba.cuda.extending import intrinsic

    def known(typing: Any, array: Any, n: Any) -> Any:
        if array.layout != "C":
            raise TypeError(f"array is {array}: give a C-contiguous one")

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            kind = signature.return_type
            found = context.make_array(kind)(context, builder, arguments[0])
            shape, strides = cgutils.unpack_tuple(builder, found.shape), []
            for axis, size in enumerate(sizes, start=len(shape) - len(sizes)):
                if size == GIVEN:
                    shape[axis] = arguments[1]
                elif size != SAME:
                    shape[axis] = context.get_constant(types.intp, size)
            step = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(kind.dtype)))
            for size in reversed(shape):
                strides.append(step)
                step = builder.mul(step, size)
            found.shape = cgutils.pack_array(builder, shape)
            found.strides = cgutils.pack_array(builder, strides[::-1])
            return found._getvalue()

        return array(array, types.intp), generate

    return intrinsic(known)


def _itself(array: Any, n: Any) -> Any:
    return array
