"""Splittings in phase space: parts that move x alone (A) or v alone (B), and on the SDE one that both forget in (O).

With F and G of the path and S = diag(1, M), both reverse processes have for x and v, i and j,

    dz_i = (-F_ij z_j + c N_i (score_i + z_i/S_i)) dtau,    N = diag(G G^T),    tau the sampler's time;

c = 1/2 is the probability flow. c = 1 and the Ornstein-Uhlenbeck process dz_i = -N_i/(2 S_i) z_i dtau + sqrt(N_i) dW of
each together are the reverse SDE. Letters of a method's word are its parts as a step takes them, a letter that stands
twice over half the step each time. Time moves with x: B sees the time that A has come to. O is exact, and on CLD A too;
the others are steps of Euler's method or of the midpoint rule.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ...catalogue import Claim, catalogue
from ...continuous.tableau import Tableau
from ...continuous.trace import Combination, Level, Run
from ...protocols import Path
from .phase_space import FROM_DATA, State, Steps, begun, finished

WORDS = {"flow": ("ABA", "BAB", "BA"), "noisy": ("OBABO", "OABAO", "BAOAB", "OBA", "BAO", "OBAB")}
SUBSTEPS = ("euler", "midpoint")
LIE = "a composition of first order: Hairer, Lubich and Wanner 2006, section II.5"
STRANG = "Strang's splitting, every part of second order: Strang 1968"
EULER = "a symmetric splitting with Euler's method, of first order, in its parts"


def _claims(sense: Literal["ode", "weak"], words: tuple[str, ...]) -> list[Claim]:
    symmetric = tuple(word for word in words if word == word[::-1])
    others = tuple(word for word in words if word not in symmetric)
    by_euler, by_midpoint = ({"word": symmetric, "substeps": (rule,)} for rule in SUBSTEPS)
    return [
        Claim(2, sense, STRANG, "deduced", FROM_DATA | by_midpoint),
        Claim(1, sense, EULER, "deduced", FROM_DATA | by_euler),
        Claim(1, sense, LIE, "deduced", FROM_DATA | {"word": others}),
    ]


class Parts:
    """The parts of one run of steps, and how far each has come."""

    def __init__(self, run: Run, word: str, midpoint: bool) -> None:
        self.run, self.steps, self.midpoint = run, Steps(run), midpoint
        self.share = 1.0 if "O" in word else 0.5
        self.weight = {letter: 1 / word.count(letter) for letter in word}
        self.gone = dict.fromkeys(word, 0.0)
        self.z = self.steps.z

    def take(self, letter: str) -> None:
        """Take the next part."""
        start = self.gone[letter]
        self.gone[letter] = stop = start + self.weight[letter]
        if letter == "O":
            self.forget(start, stop)
        elif letter == "A":
            self.move(0, start, stop)
        elif self.gone["A"] < 1 or not np.any(self.run.next.t == 0):
            self.move(1, self.gone["A"], self.gone["A"])
        # else at t = 0, where there is no score: no x comes to feel that v

    def move(self, i: int, start: float, stop: float) -> None:
        """Move x (i = 0, part A) or v (i = 1, part B) between two times, fractions of the step."""
        h, z = self.steps.h * self.weight["AB"[i]], self.z
        slope = self._slope(i, z, start)
        if self.midpoint and self.steps.path.diffusion[i]:
            slope = self._slope(i, self._moved(i, z, h / 2 * slope), (start + stop) / 2)
        self.z = self._moved(i, z, h * slope)

    def _slope(self, i: int, z: State, fraction: float) -> Combination:
        path = self.steps.path
        slope = -path.drift[i, 1 - i] * z[1 - i]
        if not path.diffusion[i]:
            return slope
        return slope + self.steps.pushed(z, self._level(fraction), np.full_like(self.steps.h, self.share))[i]

    @staticmethod
    def _moved(i: int, z: State, by: Combination) -> State:
        return (z[0] + by, z[1]) if i == 0 else (z[0], z[1] + by)

    def _level(self, fraction: float) -> Level:
        return self.run.between(fraction, "time")

    def forget(self, start: float, stop: float) -> None:
        """Part O: z_i <- kept z_i + sqrt(S_i (1 - kept^2)) xi."""
        path, h = self.steps.path, self.steps.h * (stop - start)
        lost = [N / (2 * S) * h for N, S in zip(path.diffusion, path.stationary, strict=True)]
        fresh = [np.sqrt(-S * np.expm1(-2 * rate)) for S, rate in zip(path.stationary, lost, strict=True)]
        during = self._level(start), self._level(stop)
        x, v = (np.exp(-rate) * part for rate, part in zip(lost, self.z, strict=True))
        v = v + fresh[1] * self.run.noise("time", *during)
        self.z = (x + fresh[0] * self.run.noise(None, *during) if path.diffusion[0] else x), v


def _split(
    name: str, words: tuple[str, ...], path: Path, grid: ArrayLike, begin: str, word: str, substeps: str
) -> Tableau:
    for option, value, known in (("word", word, words), ("substeps", substeps, SUBSTEPS)):
        if value not in known:
            raise ValueError(f"{option} is {value!r}: use one of {', '.join(known)}")
    trace = begun(name, path, grid, begin)
    for run, _ in trace.runs():
        parts = Parts(run, word, substeps == "midpoint")
        for letter in word:
            parts.take(letter)
        run.close(*parts.z)
    return finished(trace, begin, word=word, substeps=substeps)


@catalogue.method(
    "phase-space-verlet",
    claims=_claims("ode", WORDS["flow"]),
    source="Verlet 1967 and the symplectic Euler method, on the probability flow of Dockhorn, Vahdat and Kreis 2022",
    process="phase-space",
)
def phase_space_verlet(
    path: Path, grid: ArrayLike, begin: str = "data", word: str = "ABA", substeps: str = "midpoint"
) -> Tableau:
    """Verlet's splitting of the probability flow in phase space: x, v, x, or v, x, v, or the symplectic Euler v, x.

    Order 1, and 2 with ABA or BAB and the midpoint rule: unlike a force, what moves v depends on v. On CLD ABA and BA
    cost one evaluation a step and BAB two, twice that by the midpoint rule; on PSLD every A is an evaluation as well.

    Parameters
    ----------
    path : paths.CLD or paths.PSLD
    grid : (nodes,) float64 array
    begin : str
        "data" or "noise": what the sample is at first.
    word : str
        "ABA" (position Verlet), "BAB" (velocity Verlet) or "BA" (symplectic Euler).
    substeps : str
        "euler" or "midpoint", by which a part with a score is moved.

    Returns
    -------
    Tableau
        2 registers, no noise; a first step that draws where it begins.

    References
    ----------
    Hairer, Lubich and Wanner 2006, sections I.1 and II.5. Pandey, Rudolph and Mandt 2024 name naive splittings so; at
    which times theirs take scores was not established.
    """
    return _split("phase-space-verlet", WORDS["flow"], path, grid, begin, word, substeps)


@catalogue.method(
    "phase-space-splitting",
    claims=_claims("weak", WORDS["noisy"]),
    source="Leimkuhler and Matthews 2013, the parts O, A and B of Langevin dynamics; here of the reverse SDE",
    aliases=("phase-space-obabo",),
    process="phase-space",
)
def phase_space_splitting(
    path: Path, grid: ArrayLike, begin: str = "data", word: str = "OBABO", substeps: str = "midpoint"
) -> Tableau:
    """The reverse SDE in phase space, split: OBABO, OABAO, BAOAB, OBA, BAO or OBAB.

    Weak order 2 where the word is a palindrome and parts with a score are moved by the midpoint rule, else 1. On CLD
    one evaluation a B, two by the midpoint rule; on PSLD every A is an evaluation as well.

    Parameters
    ----------
    path : paths.CLD or paths.PSLD
    grid : (nodes,) float64 array
    begin : str
        "data" or "noise": what the sample is at first.
    word : str
        The parts in turn.
    substeps : str
        "euler" or "midpoint", by which a part with a score is moved.

    Returns
    -------
    Tableau
        2 registers, 1 channel an O, 2 on PSLD; a first step that draws where it begins.

    References
    ----------
    Leimkuhler and Matthews 2013 for the letters. Pandey, Rudolph and Mandt 2024 name naive OBA, BAO and OBAB so; at
    which times theirs take scores was not established.
    """
    return _split("phase-space-splitting", WORDS["noisy"], path, grid, begin, word, substeps)
