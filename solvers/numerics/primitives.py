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

_F = np.float32
_LOG2E = 1.4426950408889634
# ln 2 in two parts, the high one with trailing zero bits enough for n * high to be exact
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_LN2_HIGH_32, _LN2_LOW_32 = _F(0.693359375), _F(-2.12194440054690583e-4)
# 1.5 times 2^52, or 2^23: adding it rounds to the nearest integer
_MAGIC, _MAGIC_32 = 6755399441055744.0, _F(12582912.0)
# bits of sqrt(1/2): subtracted, so that the mantissa lands in [sqrt(1/2), sqrt(2))
_ROOT, _ROOT_32 = np.int64(0x3FE6A09E667F3BCD), np.int32(0x3F3504F3)
_LEAST, _LEAST_32, _LOG2E_32 = -708.0, _F(-87.0), _F(_LOG2E)
_E = tuple(1 / factorial(k) for k in range(14))
_S = tuple((-1.0) ** k * pi ** (2 * k + 1) / factorial(2 * k + 1) for k in range(9))
_C = tuple((-1.0) ** k * pi ** (2 * k) / factorial(2 * k) for k in range(10))
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


def log(x: Any) -> Any:
    """Natural logarithm of a positive normal number. Compiled for the CPU: 2 ulp on (0, 1]."""
    return np.log(x)


def sincospi(x: Any) -> Any:
    """(sin pi x, cos pi x) for |x| <= 1/4. Compiled for the CPU: off by 1.5e-16, or 9e-8 in float32."""
    angle = x * type(x)(pi)
    return np.sin(angle), np.cos(angle)


def _exp_64(x: Any) -> Any:
    x = max(x, _LEAST)
    shifted = x * _LOG2E + _MAGIC
    n = shifted - _MAGIC
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    p = _E13
    p = p * r + _E12
    p = p * r + _E11
    p = p * r + _E10
    p = p * r + _E9
    p = p * r + _E8
    p = p * r + _E7
    p = p * r + _E6
    p = p * r + _E5
    p = p * r + _E4
    p = p * r + _E3
    p = p * r + _E2
    p = p * r + _E1
    p = p * r + _E0
    bits = (np.float64(shifted).view(np.int64) << np.int64(52)) + np.float64(p).view(np.int64)
    return np.int64(bits).view(np.float64)


def _exp_32(x: Any) -> Any:
    x = max(x, _LEAST_32)
    shifted = x * _LOG2E_32 + _MAGIC_32
    n = shifted - _MAGIC_32
    r = (x - n * _LN2_HIGH_32) - n * _LN2_LOW_32
    p = _e7
    p = p * r + _e6
    p = p * r + _e5
    p = p * r + _e4
    p = p * r + _e3
    p = p * r + _e2
    p = p * r + _e1
    p = p * r + _e0
    bits = (np.float32(shifted).view(np.int32) << np.int32(23)) + np.float32(p).view(np.int32)
    return np.int32(bits).view(np.float32)


def _log_64(x: Any) -> Any:
    bits = np.float64(x).view(np.int64)
    shifted = bits - _ROOT
    n = np.float64(shifted >> np.int64(52))
    m = np.int64(bits - (shifted & np.int64(-4503599627370496))).view(np.float64)
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    p = 1 / 23
    p = p * z + 1 / 21
    p = p * z + 1 / 19
    p = p * z + 1 / 17
    p = p * z + 1 / 15
    p = p * z + 1 / 13
    p = p * z + 1 / 11
    p = p * z + 1 / 9
    p = p * z + 1 / 7
    p = p * z + 1 / 5
    p = p * z + 1 / 3
    return n * _LN2_HIGH + (n * _LN2_LOW + (2.0 * s + 2.0 * s * z * p))


def _log_32(x: Any) -> Any:
    bits = np.float32(x).view(np.int32)
    shifted = np.int32(bits - _ROOT_32)
    n = np.float32(shifted >> np.int32(23))
    m = np.int32(bits - (shifted & np.int32(-8388608))).view(np.float32)
    s = (m - _ONE_32) / (m + _ONE_32)
    z = s * s
    p = _l9
    p = p * z + _l7
    p = p * z + _l5
    p = p * z + _l3
    return n * _LN2_HIGH_32 + (n * _LN2_LOW_32 + (s * _l1 + s * z * p))


def _sincospi_64(x: Any) -> Any:
    z = x * x
    s = _S8
    s = s * z + _S7
    s = s * z + _S6
    s = s * z + _S5
    s = s * z + _S4
    s = s * z + _S3
    s = s * z + _S2
    s = s * z + _S1
    s = (s * z + _S0) * x
    c = _C9
    c = c * z + _C8
    c = c * z + _C7
    c = c * z + _C6
    c = c * z + _C5
    c = c * z + _C4
    c = c * z + _C3
    c = c * z + _C2
    c = c * z + _C1
    c = c * z + _C0
    return s, c


def _sincospi_32(x: Any) -> Any:
    z = x * x
    s = _s4
    s = s * z + _s3
    s = s * z + _s2
    s = s * z + _s1
    s = (s * z + _s0) * x
    c = _c5
    c = c * z + _c4
    c = c * z + _c3
    c = c * z + _c2
    c = c * z + _c1
    c = c * z + _c0
    return s, c


# without inline="always": the CUDA compiler would inline what was inlined for the CPU earlier in the process
@overload(exp, target="cpu")
def _(x: Any) -> Any:
    return _exp_32 if x == types.float32 else _exp_64


@overload(log, target="cpu")
def _(x: Any) -> Any:
    return _log_32 if x == types.float32 else _log_64


@overload(sincospi, target="cpu")
def _(x: Any) -> Any:
    return _sincospi_32 if x == types.float32 else _sincospi_64
