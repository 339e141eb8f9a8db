"""Functions of points given in any library's arrays: checked, computed in float64, answered as they came."""

from __future__ import annotations

from collections.abc import Callable

import array_api_compat
import numpy as np

from .weights import Array, Namespace


def read(x: Array, dim: int) -> tuple[Namespace, Array]:
    """Return points (n, dim) with their namespace; ValueError for another shape, TypeError for no real numbers."""
    if not array_api_compat.is_array_api_obj(x):
        x = np.asarray(x)
    xp = array_api_compat.array_namespace(x)
    if x.ndim != 2 or x.shape[1] != dim:
        remedy = "; write x[:, None]" if x.ndim == 1 and dim == 1 else ""
        raise ValueError(f"x has shape {tuple(x.shape)}; give (n, {dim}){remedy}")
    if not xp.isdtype(x.dtype, ("integral", "real floating")):
        raise TypeError(f"x has dtype {x.dtype}; give real numbers")
    return xp, x


def mapped(x: Array, dim: int, function: Callable[[Namespace, Array], Array]) -> Array:
    """Apply a function of float64 rows, answering in the dtype of x (float64 for integers); errors of `read`."""
    xp, x = read(x, dim)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        result = function(xp, xp.astype(x, xp.float64))
        return xp.astype(result, x.dtype if xp.isdtype(x.dtype, "real floating") else xp.float64)
