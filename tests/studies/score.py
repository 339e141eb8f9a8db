"""The score of the checks against all mutants: python -m tests.studies.score [METHOD ...], some ten minutes for all."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from studies.verify import CHECKS, TOKEN_CHECKS, Subject, TokenSubject
from studies.verify.contract import FAILED
from studies.verify.forms import of_tableau
from studies.verify.named import subject_of

from . import token_mutants
from .mutants import PATH, mutants

METHODS = (
    "euler",
    "ddpm",
    "heun",
    "midpoint",
    "rk4",
    "heun-3",
    "dpm-solver-2",
    "dpm-solver++-2s",
    "dpm-solver++-3s",
    "dpmpp-sde",
    "dpmpp-2s-ancestral",
    "er-sde-1",
    "euler-maruyama",
    "stochastic-heun",
    "seeds-2",
)
# the cheap ones first, as one that fails is enough
ASKED = (
    "noise",
    "frozen model",
    "levels",
    "order, log-snr",
    "order, uneven",
    "order, mixture",
    "order, karras",
    "last step to the data",
)
OF_TOKENS = ("limit", "order, two sites", "order, one site")


def of_method(name: str) -> Iterator[tuple[str, bool]]:
    """Yield each mutant of a method's tableau and whether it is caught."""
    sound = subject_of(name)
    assert isinstance(sound, Subject)
    for mutant in mutants(name):
        wrong = of_tableau(mutant.build, PATH, mutant.fault)
        subject = Subject(mutant.fault, PATH, sound.order, sound.sense, given=wrong)
        yield mutant.fault, any(CHECKS[check](subject).result == FAILED for check in ASKED)


def of_token_method(name: str, noise: str) -> Iterator[tuple[token_mutants.TokenMutant, bool]]:
    """Yield each mutant of a method of tokens under a noise and whether it is caught."""
    options = token_mutants.OPTIONS.get(name, {})
    brackets = ", ".join(f"{key}={value!r}" for key, value in options.items())
    sound = subject_of(f"{name}({brackets})", noise=noise)
    assert isinstance(sound, TokenSubject)
    exact = TOKEN_CHECKS["order, one site"](sound).found == "exact"
    for mutant in token_mutants.mutants(name, noise, options, exact):
        subject = TokenSubject(mutant.fault, noise, sound.order, exact, given=mutant)
        yield mutant, any(TOKEN_CHECKS[check](subject).result == FAILED for check in OF_TOKENS)


def main() -> None:
    """Print how many of each method's mutants are caught, and those that are not."""
    chosen = set(sys.argv[1:])
    tried, caught = 0, 0
    found: list[tuple[str, list[tuple[str, bool]]]] = []
    for name in METHODS:
        if not chosen or name in chosen:
            found.append((name, list(of_method(name))))
            print(name, flush=True)
    for name, noise in token_mutants.MUTATED:
        if not chosen or name in chosen:
            found.append((f"{name}, {noise}", [(m.fault, ok) for m, ok in of_token_method(name, noise)]))
            print(name, noise, flush=True)
    for name, results in found:
        left = [fault for fault, ok in results if not ok]
        tried, caught = tried + len(results), caught + len(results) - len(left)
        print(
            f"{name}: {len(results) - len(left)} of {len(results)}",
            *(f"  left: {fault}" for fault in left),
            sep="\n",
        )
    print(f"{caught} of {tried}")


if __name__ == "__main__":
    main()
