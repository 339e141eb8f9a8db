"""Butcher tables of Runge-Kutta methods, and the clocks they may run in."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction as Q

CLOCKS = ("sigma", "log-snr", "time")


@dataclass(frozen=True)
class Butcher:
    """Coefficients of an explicit Runge-Kutta method: stage rows a, weights b; nodes are the row sums."""

    a: tuple[tuple[Q | int, ...], ...]
    b: tuple[Q | int, ...]

    @property
    def c(self) -> tuple[Q | int, ...]:
        """Stage times as fractions of the step."""
        return tuple(sum(row, Q(0)) for row in self.a)


EULER = Butcher(((),), (1,))


HEUN = Butcher(((), (1,)), (Q(1, 2), Q(1, 2)))


MIDPOINT = Butcher(((), (Q(1, 2),)), (0, 1))


RALSTON = Butcher(((), (Q(2, 3),)), (Q(1, 4), Q(3, 4)))


HEUN_3 = Butcher(((), (Q(1, 3),), (0, Q(2, 3))), (Q(1, 4), 0, Q(3, 4)))


KUTTA_3 = Butcher(((), (Q(1, 2),), (-1, 2)), (Q(1, 6), Q(2, 3), Q(1, 6)))


SSPRK_3 = Butcher(((), (1,), (Q(1, 4), Q(1, 4))), (Q(1, 6), Q(1, 6), Q(2, 3)))


RK4 = Butcher(((), (Q(1, 2),), (0, Q(1, 2)), (0, 0, 1)), (Q(1, 6), Q(1, 3), Q(1, 3), Q(1, 6)))


RK4_3_8 = Butcher(((), (Q(1, 3),), (Q(-1, 3), 1), (1, -1, 1)), (Q(1, 8), Q(3, 8), Q(3, 8), Q(1, 8)))
