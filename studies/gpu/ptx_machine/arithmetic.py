"""Numbers as PTX computes with them, where Python has no such operation: float32, fused products, wrapped integers."""

from __future__ import annotations

import ctypes
import ctypes.util
import math
import struct
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

_libm = ctypes.CDLL(ctypes.util.find_library("m"))
fma64 = _libm.fma
fma64.restype, fma64.argtypes = ctypes.c_double, [ctypes.c_double] * 3
fma32 = _libm.fmaf
fma32.restype, fma32.argtypes = ctypes.c_float, [ctypes.c_float] * 3

MASKS = {16: 0xFFFF, 32: 0xFFFFFFFF, 64: 0xFFFFFFFFFFFFFFFF}
FORMATS = {
    "f32": "f", "f64": "d", "u8": "B", "s8": "b", "u16": "H", "s16": "h", "u32": "I", "s32": "i", "u64": "Q",
    "s64": "q", "b8": "B", "b16": "H", "b32": "I", "b64": "Q",
}  # fmt: skip


def to_float32(x: float) -> float:
    """Round to the nearest float32."""
    return ctypes.c_float(x).value


def divide(a: float, b: float) -> float:
    """A / b by IEEE 754."""
    if b:
        return a / b
    return math.nan if not a or math.isnan(a) else math.copysign(math.inf, a) * math.copysign(1.0, b)


def root(x: float) -> float:
    """Square root by IEEE 754."""
    return math.sqrt(x) if x >= 0 else (x if math.isnan(x) else math.nan)


def fma32_down(a: float, b: float, c: float) -> float:
    """A * b + c in float32, rounded towards minus infinity."""
    near = fma32(a, b, c)
    if not math.isfinite(near) or Fraction(near) <= Fraction(a) * Fraction(b) + Fraction(c):
        return near
    return float(np.nextafter(np.float32(near), np.float32(-np.inf)))


def reciprocal_approximately(x: float) -> float:
    """rcp.approx.ftz.f64: what it gives has its lower 32 bits zero; denormal numbers count as zero."""
    x = math.copysign(0.0, x) if abs(x) < 2.0**-1022 else x
    bits = struct.unpack("<Q", struct.pack("<d", divide(1.0, x)))[0] & 0xFFFFFFFF00000000
    return float(struct.unpack("<d", struct.pack("<Q", bits))[0])


def exp2_approximately(x: float) -> float:
    """ex2.approx.ftz.f32, here to the bit; results below the normal numbers are zero."""
    value = to_float32(2.0**x) if x < 128 else math.inf
    return 0.0 if value < 2.0**-126 else value


def to_integer(x: float, bits: int, signed: bool) -> int:
    """An integer-valued float as an integer, clamped to its range; NaN is zero, or the least of 64 bits."""
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    if math.isnan(x):
        return 1 << 63 if bits == 64 else 0
    if math.isinf(x):
        return (low if x < 0 else high) & MASKS[bits]
    return min(max(int(x), low), high) & MASKS[bits]


def _signed(bits: int) -> Callable[[int], int]:
    half, whole = 1 << bits - 1, 1 << bits
    return lambda x: x - whole if x >= half else x


def _rounder(mode: str) -> Callable[[float], float]:
    rounding: Any = {"rmi": math.floor, "rpi": math.ceil, "rzi": math.trunc, "rni": round}[mode]

    def rounded(x: float) -> float:
        return math.copysign(float(rounding(x)), x) if math.isfinite(x) else x

    return rounded


def _quotient(a: int, b: int) -> int:
    """Signed quotient rounded towards zero."""
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def _bits(kind: str, other: str) -> Callable[[Any], Any]:
    return lambda x: struct.unpack("<" + FORMATS[other], struct.pack("<" + FORMATS[kind], x))[0]


HELPERS: dict[str, Any] = {
    "abs": abs, "min": min, "max": max, "math": math, "copysign": math.copysign, "np": np, "fma64": fma64,
    "fma32": fma32, "fma32_down": fma32_down, "r32": to_float32, "divide": divide, "root": root,
    "rcp_approx": reciprocal_approximately, "ex2": exp2_approximately, "to_integer": to_integer, "quotient": _quotient,
    "s16": _signed(16), "s32": _signed(32), "s64": _signed(64), "to_f32": _bits("u32", "f32"),
    "from_f32": _bits("f32", "u32"), "to_f64": _bits("u64", "f64"), "from_f64": _bits("f64", "u64"),
    **{mode: _rounder(mode) for mode in ("rmi", "rpi", "rzi", "rni")},
}  # fmt: skip
