"""Names a user may have mistyped: one error that says which are near."""

from __future__ import annotations

import difflib


class UnknownNameError(KeyError, ValueError):
    """A name that is not in a catalogue; says which names are near."""

    def __str__(self) -> str:
        return str(self.args[0])


def unknown(what: str, name: object, known: list[str]) -> UnknownNameError:
    """Return the error for a name that is not in a catalogue, with near names."""
    near = difflib.get_close_matches(str(name), known, n=3, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}" if near else f"use one of {', '.join(known)}"
    return UnknownNameError(
        f"{what} is {name!r}, which is not in the catalogue: {hint}?"
        if near
        else f"{what} is {name!r}, which is not in the catalogue: {hint}"
    )
