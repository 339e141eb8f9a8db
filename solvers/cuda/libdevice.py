"""The primitives on a GPU: NVIDIA's libdevice. Importing this makes them known to the CUDA compiler."""

from __future__ import annotations

from typing import Any

from numba import types
from numba.cuda import libdevice
from numba.extending import overload

from ..numerics import philox, primitives


def _exp_64(x: Any) -> Any:
    return libdevice.exp(x)


def _exp_32(x: Any) -> Any:
    return libdevice.expf(x)


def _log_64(x: Any) -> Any:
    return libdevice.log(x)


def _log_32(x: Any) -> Any:
    return libdevice.logf(x)


def _sincospi_64(x: Any) -> Any:
    return libdevice.sincospi(x)


def _sincospi_32(x: Any) -> Any:
    return libdevice.sincospif(x)


@overload(primitives.exp, target="cuda")
def _(x: Any) -> Any:
    return _exp_32 if x == types.float32 else _exp_64


@overload(primitives.log, target="cuda")
def _(x: Any) -> Any:
    return _log_32 if x == types.float32 else _log_64


@overload(primitives.sincospi, target="cuda")
def _(x: Any) -> Any:
    return _sincospi_32 if x == types.float32 else _sincospi_64


@overload(philox.fill_pair, target="cuda")
def _(seed: Any, first: Any, step: Any, channel: Any, pair: Any, words: Any, out: Any) -> Any:
    return philox.fill_pair
