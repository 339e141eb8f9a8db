"""What numba keeps of compiled functions is valid while their sources are, and those of what they call.

Numba looks at a function's own file alone: what it calls from another file is in its compiled code too, and an edit
there would go unseen. Importing this makes a kept function depend on all files that its own imports, those that they
import and so on, as far as they are of one package or beside a user's file.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path
from typing import Any

from numba.core import caching

_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+(\.*)([\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^\n]*)|import[ \t]+([\w.]+))",
    re.MULTILINE,
)


@cache
def _root(folder: Path) -> Path:
    """Return where a folder's package lies."""
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return folder


@cache
def _file_of(module: Path) -> Path | None:
    """Return the file of a module by its path without an ending, None if there is none."""
    candidates = (module.with_name(f"{module.name}.py"), module / "__init__.py")
    return next((file for file in candidates if file.is_file()), None)


@cache
def _imports(file: Path) -> frozenset[Path]:
    """Return the files beside a file, or of its package, that it imports itself."""
    found = set()
    for dots, name, names, plain in _IMPORT.findall(file.read_text(encoding="utf-8", errors="replace")):
        base = file.parents[len(dots) - 1] if dots else _root(file.parent)
        module = base.joinpath(*(name or plain).split(".")) if name or plain else base
        inside = [module / word for word in re.findall(r"\w+", names.split("#")[0])]
        found |= {_file_of(place) for place in (module, *inside)}
    return frozenset(one for one in found if one is not None)


@cache
def sources(file: Path) -> frozenset[Path]:
    """Return a file and all that it reaches through imports, of its package or beside it."""
    seen, left = {file}, [file]
    while left:
        new = _imports(left.pop()) - seen
        seen |= new
        left += new
    return frozenset(seen)


@cache
def _digest(file: Path) -> bytes:
    return hashlib.sha256(file.read_bytes()).digest()


@cache
def _reached(file: Path) -> str:
    """Return a fingerprint of all sources that a file reaches."""
    return hashlib.sha256(b"".join(map(_digest, sorted(sources(file), key=str)))).hexdigest()


_own_stamp: Any = caching._SourceFileBackedLocatorMixin.get_source_stamp


def _stamp(locator: Any) -> Any:
    """Return what numba compares: that of the function's own file, and the sources that it reaches."""
    file = Path(locator._py_file)
    return _own_stamp(locator), _reached(file) if file.is_file() else ""


caching._SourceFileBackedLocatorMixin.get_source_stamp = _stamp
