"""exp, log and sin/cos as each target computes them: the only operations whose code depends on where it runs.

Written plainly they are what an interpreter runs, the CUDA simulator above all. Compiled for the CPU they are the
short polynomials below, without branches or tables, so that loops over lanes become vector instructions; compiled
for a GPU they are the vendor's library (`solvers.cuda.libdevice`). Each comes in float64 and float32, by the
type of its argument. Everything else the samplers compute is plus, times, divide and square root.
"""

from __future__ import annotations

from math import factorial, pi
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from .lanes import convert, fma, larger, reinterpret

_F = np.float32
_LOG2E = 1.4426950408889634
# ln 2 in two parts, the high one with trailing zero bits enough for n * high to be exact
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_LN2_HIGH_32, _LN2_LOW_32 = _F(0.693359375), _F(-2.12194440054690583e-4)
# 1.5 times 2^52, or 2^23: adding it rounds to the nearest integer
_MAGIC, _MAGIC_32 = 6755399441055744.0, _F(12582912.0)
# bits of sqrt(1/2): subtracted, so that the mantissa lands in [sqrt(1/2), sqrt(2)); 1.0's keep exponents positive
_ROOT, _ROOT_32 = np.uint64(0x3FE6A09E667F3BCD), np.uint32(0x3F3504F3)
_FROM_ROOT, _FROM_ROOT_32 = (
    np.uint64(0x3FF0000000000000 - 0x3FE6A09E667F3BCD),
    np.uint32(0x3F800000 - 0x3F3504F3),
)
_MANTISSA, _MANTISSA_32 = np.uint64(52), np.uint32(23)
_MANTISSA_BITS, _MANTISSA_BITS_32 = np.uint64((1 << 52) - 1), np.uint32((1 << 23) - 1)
# bits of 2^52, below whose last one an integer may be put, and what is subtracted then
_AT_MAGIC, _MAGIC_1023 = np.uint64(0x4330000000000000), 2.0**52 + 1023
_LEAST, _LEAST_32, _LOG2E_32 = -708.0, _F(-87.0), _F(_LOG2E)
_LEAST_2, _LEAST_2_32 = -1022.0, _F(-126.0)
_E = tuple(1 / factorial(k) for k in range(14))
_S = tuple((-1.0) ** k * pi ** (2 * k + 1) / factorial(2 * k + 1) for k in range(9))
_C = tuple((-1.0) ** k * pi ** (2 * k) / factorial(2 * k) for k in range(10))
# 2^x on [-1/2, 1/2], interpolated at Chebyshev's points: off by 4e-18, and 3e-9 in float32
_T1, _T2, _T3 = 0.693147180559945309, 0.240226506959101596, 0.055504108664821627
_T4, _T5, _T6 = 0.00961812910758725667, 0.00133335581464064707, 0.000154035304637243542
_T7, _T8, _T9 = 0.0000152527338415567726, 1.32154325359123762e-6, 1.01780570877339411e-7
_T10, _T11 = 7.07419429728852101e-9, 4.45581790833606449e-10
_t1, _t2, _t3 = _F(0.693147206702832596), _F(0.240226509222887581), _F(0.0555032722667030206)
_t4, _t5, _t6 = _F(0.00961805667852463808), _F(0.00134004281776158379), _F(0.000154614446985691291)
_E0, _E1, _E2, _E3, _E4, _E5, _E6, _E7, _E8, _E9, _E10, _E11, _E12, _E13 = _E
_S0, _S1, _S2, _S3, _S4, _S5, _S6, _S7, _S8 = _S
_C0, _C1, _C2, _C3, _C4, _C5, _C6, _C7, _C8, _C9 = _C
_e0, _e1, _e2, _e3, _e4, _e5, _e6, _e7 = (_F(c) for c in _E[:8])
_s0, _s1, _s2, _s3, _s4 = (_F(c) for c in _S[:5])
_c0, _c1, _c2, _c3, _c4, _c5 = (_F(c) for c in _C[:6])
_l1, _l3, _l5, _l7, _l9 = (_F(2 / k) for k in (1, 3, 5, 7, 9))
_ONE_32 = _F(1)


def exp(x: Any) -> Any:
    """e^x for x <= 0. Compiled for the CPU: 1.5 ulp; below -708 (-87 in float32) the value there, 1e-307 (1e-38)."""
    return np.exp(x)


def exp2(x: Any) -> Any:
    """2^x for x <= 0. Compiled for the CPU: 1 ulp; below -1022 (-126 in float32) the value there."""
    return np.exp2(x)


def log(x: Any) -> Any:
    """Natural logarithm of a positive normal number. Compiled for the CPU: 2 ulp on (0, 1]."""
    return np.log(x)


def sincospi(x: Any) -> Any:
    """(sin pi x, cos pi x) for |x| <= 1/4. Compiled for the CPU: off by 1.5e-16, or 9e-8 in float32."""
    angle = x * type(x)(pi)
    return np.sin(angle), np.cos(angle)


def _exp_64(x: Any) -> Any:
    x = larger(x, _LEAST)
    shifted = fma(x, _LOG2E, _MAGIC)
    n = shifted - _MAGIC
    r = fma(n, -_LN2_LOW, fma(n, -_LN2_HIGH, x))
    p = fma(r, _E13, _E12)
    p = fma(p, r, _E11)
    p = fma(p, r, _E10)
    p = fma(p, r, _E9)
    p = fma(p, r, _E8)
    p = fma(p, r, _E7)
    p = fma(p, r, _E6)
    p = fma(p, r, _E5)
    p = fma(p, r, _E4)
    p = fma(p, r, _E3)
    p = fma(p, r, _E2)
    p = fma(p, r, _E1)
    p = fma(p, r, _E0)
    bits = (reinterpret(shifted, np.int64) << np.int64(52)) + reinterpret(p, np.int64)
    return reinterpret(bits, np.float64)


def _exp_32(x: Any) -> Any:
    x = larger(x, _LEAST_32)
    shifted = fma(x, _LOG2E_32, _MAGIC_32)
    n = shifted - _MAGIC_32
    r = fma(n, -_LN2_LOW_32, fma(n, -_LN2_HIGH_32, x))
    p = fma(r, _e7, _e6)
    p = fma(p, r, _e5)
    p = fma(p, r, _e4)
    p = fma(p, r, _e3)
    p = fma(p, r, _e2)
    p = fma(p, r, _e1)
    p = fma(p, r, _e0)
    bits = (reinterpret(shifted, np.int32) << np.int32(23)) + reinterpret(p, np.int32)
    return reinterpret(convert(bits, np.int32), np.float32)


def _exp2_64(x: Any) -> Any:
    x = larger(x, _LEAST_2)
    shifted = x + _MAGIC
    r = x - (shifted - _MAGIC)
    p = fma(r, _T11, _T10)
    p = fma(p, r, _T9)
    p = fma(p, r, _T8)
    p = fma(p, r, _T7)
    p = fma(p, r, _T6)
    p = fma(p, r, _T5)
    p = fma(p, r, _T4)
    p = fma(p, r, _T3)
    p = fma(p, r, _T2)
    p = fma(p, r, _T1)
    p = fma(p, r, 1.0)
    bits = (reinterpret(shifted, np.int64) << np.int64(52)) + reinterpret(p, np.int64)
    return reinterpret(bits, np.float64)


def _exp2_32(x: Any) -> Any:
    x = larger(x, _LEAST_2_32)
    shifted = x + _MAGIC_32
    r = x - (shifted - _MAGIC_32)
    p = fma(r, _t6, _t5)
    p = fma(p, r, _t4)
    p = fma(p, r, _t3)
    p = fma(p, r, _t2)
    p = fma(p, r, _t1)
    p = fma(p, r, _ONE_32)
    bits = (reinterpret(shifted, np.int32) << np.int32(23)) + reinterpret(p, np.int32)
    return reinterpret(convert(bits, np.int32), np.float32)


def _log_64(x: Any) -> Any:
    bits = reinterpret(x, np.uint64) + _FROM_ROOT  # the exponent, plus 1023, rises at sqrt(1/2)
    n = reinterpret((bits >> _MANTISSA) | _AT_MAGIC, np.float64) - _MAGIC_1023
    m = reinterpret((bits & _MANTISSA_BITS) + _ROOT, np.float64)
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    p = fma(z, 1 / 23, 1 / 21)
    p = fma(p, z, 1 / 19)
    p = fma(p, z, 1 / 17)
    p = fma(p, z, 1 / 15)
    p = fma(p, z, 1 / 13)
    p = fma(p, z, 1 / 11)
    p = fma(p, z, 1 / 9)
    p = fma(p, z, 1 / 7)
    p = fma(p, z, 1 / 5)
    p = fma(p, z, 1 / 3)
    return fma(n, _LN2_HIGH, fma(n, _LN2_LOW, fma(2.0 * s * z, p, 2.0 * s)))


def _log_32(x: Any) -> Any:
    bits = convert(reinterpret(x, np.uint32) + _FROM_ROOT_32, np.uint32)  # which a scalar's sum is not
    n = convert(reinterpret(convert(bits >> _MANTISSA_32, np.uint32), np.int32), np.float32) - _F(127)
    m = reinterpret(convert((bits & _MANTISSA_BITS_32) + _ROOT_32, np.uint32), np.float32)
    s = (m - _ONE_32) / (m + _ONE_32)
    z = s * s
    p = fma(z, _l9, _l7)
    p = fma(p, z, _l5)
    p = fma(p, z, _l3)
    return fma(n, _LN2_HIGH_32, fma(n, _LN2_LOW_32, fma(s * z, p, s * _l1)))


def _sincospi_64(x: Any) -> Any:
    z = x * x
    s = fma(z, _S8, _S7)
    s = fma(s, z, _S6)
    s = fma(s, z, _S5)
    s = fma(s, z, _S4)
    s = fma(s, z, _S3)
    s = fma(s, z, _S2)
    s = fma(s, z, _S1)
    s = fma(s, z, _S0) * x
    c = fma(z, _C9, _C8)
    c = fma(c, z, _C7)
    c = fma(c, z, _C6)
    c = fma(c, z, _C5)
    c = fma(c, z, _C4)
    c = fma(c, z, _C3)
    c = fma(c, z, _C2)
    c = fma(c, z, _C1)
    c = fma(c, z, _C0)
    return s, c


def _sincospi_32(x: Any) -> Any:
    z = x * x
    s = fma(z, _s4, _s3)
    s = fma(s, z, _s2)
    s = fma(s, z, _s1)
    s = fma(s, z, _s0) * x
    c = fma(z, _c5, _c4)
    c = fma(c, z, _c3)
    c = fma(c, z, _c2)
    c = fma(c, z, _c1)
    c = fma(c, z, _c0)
    return s, c


# without inline="always": the CUDA compiler would inline what was inlined for the CPU earlier in the process
def _by_kind(x: Any, in_32: Any, in_64: Any) -> Any:
    return in_32 if getattr(x, "kind", x) == types.float32 else in_64


@overload(exp, target="cpu")
def _(x: Any) -> Any:
    return _by_kind(x, _exp_32, _exp_64)


@overload(exp2, target="cpu")
def _(x: Any) -> Any:
    return _by_kind(x, _exp2_32, _exp2_64)


@overload(log, target="cpu")
def _(x: Any) -> Any:
    return _by_kind(x, _log_32, _log_64)


@overload(sincospi, target="cpu")
def _(x: Any) -> Any:
    return _by_kind(x, _sincospi_32, _sincospi_64)
