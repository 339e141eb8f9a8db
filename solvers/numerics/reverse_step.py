"""The forward process run back between two levels with both ends known: q(x_s | x_t, x_0), a Gaussian."""

from __future__ import annotations

from math import sqrt

Level = tuple[float, float]


def reverse_step(at: Level, to: Level) -> tuple[float, float, float]:
    """Return the weights of x_t and of x_0 in the mean of x_s, and its deviation, for levels (alpha, sigma).

    Of what is left of the noise the share (b_s/b)^2 (a/a_s)^2 is kept. `to` may be at sigma = 0, `at` at alpha = 0.

    References
    ----------
    Ho, Jain and Abbeel 2020, eq. 6 and 7.
    """
    (a, b), (a_s, b_s) = at, to
    kept = (a / a_s * b_s / b) ** 2
    of_x = kept * a_s / a if a > 0 else 0.0
    return of_x, a_s - of_x * a, b_s * sqrt(1 - kept)
