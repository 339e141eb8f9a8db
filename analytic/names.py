"""Names a user may have mistyped: one error that says which are near, and which command lists them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LISTED = {kind: f"{kind}s" for kind in ("method", "target", "sequence", "grid", "path", "noise")}


class UnknownNameError(KeyError, ValueError):
    """A name that is not known; says which names are near, and where all are listed."""

    def __str__(self) -> str:
        return str(self.args[0])


def unknown(what: str, name: object, known: Iterable[str], also: str = "") -> UnknownNameError:
    """Return the error for a name that is not known.

    Parameters
    ----------
    what : str
        The argument: for those of `LISTED` a command lists the names, for others all are given.
    name : object
    known : iterable of str
    also : str
        What else may be given, if not a name.
    """
    names = list(known)
    near = difflib.get_close_matches(str(name), names, n=3, cutoff=0.4)
    said = [f"did you mean {' or '.join(near)}?"] if near else []
    if what in LISTED:
        said.append(f"`assay list {LISTED[what]}` has all names")
    elif not near:
        said.append(f"use one of {', '.join(names)}")
    said += [also] if also else []
    return UnknownNameError(f"{what} is {name!r}, which is not known: {'; '.join(said).replace('?;', '?')}")
