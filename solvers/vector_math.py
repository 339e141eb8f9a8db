"""exp, log and sin/cos of a turn as short polynomials, so that loops over lanes become vector instructions.

Valid on the ranges the executors use; no branches, no tables. Accuracy, checked in the tests: exp 1.5 ulp on
[-708, 0], log 2 ulp on (0, 1], sine and cosine of 2 pi u 1.5e-16 absolute on [0, 1).
"""

from __future__ import annotations

from math import factorial, pi

import numpy as np
from numba import njit

from .jit import COMPILED

_LOG2E = 1.4426950408889634
# ln 2 in two parts, the high one with 21 trailing zero bits so that n * high is exact
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_MAGIC = 6755399441055744.0  # 1.5 * 2^52: adding it rounds to the nearest integer
_E = tuple(1 / factorial(k) for k in range(14))
_S = tuple((-1.0) ** k * (2 * pi) ** (2 * k + 1) / factorial(2 * k + 1) for k in range(9))
_C = tuple((-1.0) ** k * (2 * pi) ** (2 * k) / factorial(2 * k) for k in range(10))
_E0, _E1, _E2, _E3, _E4, _E5, _E6, _E7, _E8, _E9, _E10, _E11, _E12, _E13 = _E
_S0, _S1, _S2, _S3, _S4, _S5, _S6, _S7, _S8 = _S
_C0, _C1, _C2, _C3, _C4, _C5, _C6, _C7, _C8, _C9 = _C


@njit(inline="always", **COMPILED)
def exp(x: float) -> float:
    """e^x for x <= 0; below -708 it is 0 to within 1e-307."""
    x = max(x, -708.0)
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


@njit(inline="always", **COMPILED)
def log(x: float) -> float:
    """Natural logarithm of a positive normal number."""
    bits = np.float64(x).view(np.int64)
    # subtract the bits of sqrt(1/2), so that the mantissa lands in [sqrt(1/2), sqrt(2))
    shifted = bits - np.int64(0x3FE6A09E667F3BCD)
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


@njit(inline="always", **COMPILED)
def turn(u: float) -> tuple[float, float]:
    """(cos 2 pi u, sin 2 pi u) for u in [0, 1)."""
    shifted = u * 4.0 + _MAGIC
    quarter = np.float64(shifted).view(np.int64)
    r = u - (shifted - _MAGIC) * 0.25
    z = r * r
    s = _S8
    s = s * z + _S7
    s = s * z + _S6
    s = s * z + _S5
    s = s * z + _S4
    s = s * z + _S3
    s = s * z + _S2
    s = s * z + _S1
    s = (s * z + _S0) * r
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
    odd = (quarter & np.int64(1)) == 1
    cosine, sine = (s, c) if odd else (c, s)
    if ((quarter + np.int64(1)) & np.int64(2)) == 2:
        cosine = -cosine
    if (quarter & np.int64(2)) == 2:
        sine = -sine
    return cosine, sine
