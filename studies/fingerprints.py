"""What a result depends on, as one short word: equal words mean equal things, in any process and on any day."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
from collections.abc import Mapping, Set
from functools import cache, cached_property, partial
from pathlib import Path, PurePath
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

OWN = ("analytic", "solvers", "studies")


def fingerprint(*values: Any) -> str:
    """Return a hash of values by all that they are made of.

    Numbers by their bits, arrays by type, shape and bytes, containers by what they hold (mappings in any order),
    functions by their code, constants and closures (those of a user's file by the whole file), and any other object by
    its class and its attributes, of which cached properties, which follow from the rest, are left out.

    Returns
    -------
    str
        64 hexadecimal digits.

    Raises
    ------
    TypeError
        A value without attributes that is none of these, or one that holds itself.
    """
    digest = hashlib.sha256()
    for value in values:
        _feed(digest, value, ())
    return digest.hexdigest()


def _feed(digest: Any, value: Any, above: tuple[int, ...]) -> None:
    """Feed a value to a hash, each part with its type and its size, so that no two values feed the same bytes."""
    if id(value) in above:
        raise TypeError(f"value is {value!r}, which holds itself: give something that can be written down")
    inside = (*above, id(value))

    def tell(kind: str, content: bytes = b"") -> None:
        digest.update(f"{kind}:{len(content)}:".encode() + content)

    if value is None or isinstance(value, bool | int | float | complex | str | np.generic):
        tell(type(value).__name__, repr(value).encode())
    elif isinstance(value, bytes):
        tell("bytes", value)
    elif isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            raise TypeError(f"value is an array of {value.dtype}: give numbers")
        tell("array", f"{value.dtype.str}{value.shape}".encode())
        tell("numbers", np.ascontiguousarray(value).tobytes())
    elif isinstance(value, Mapping):
        tell("mapping", str(len(value)).encode())
        for key in sorted(value, key=repr):
            _feed(digest, key, inside)
            _feed(digest, value[key], inside)
    elif isinstance(value, Set):
        tell("set", "".join(sorted(fingerprint(item) for item in value)).encode())
    elif isinstance(value, list | tuple):
        tell(type(value).__name__, str(len(value)).encode())
        for item in value:
            _feed(digest, item, inside)
    elif isinstance(value, PurePath):
        tell("path", str(value).encode())
    elif isinstance(value, partial):
        tell("partial")
        _feed(digest, (value.func, value.args, value.keywords), inside)
    elif isinstance(value, MethodType):
        tell("method")
        _feed(digest, (value.__func__, value.__self__), inside)
    elif isinstance(value, FunctionType):
        tell("function", f"{value.__module__}.{value.__qualname__}".encode())
        tell("source", _source_of(value))
        cells = tuple(cell.cell_contents for cell in value.__closure__ or ())
        _feed(digest, (value.__defaults__, value.__kwdefaults__, cells), inside)
    elif isinstance(value, type | BuiltinFunctionType | np.ufunc | ModuleType):
        tell("name", f"{getattr(value, '__module__', '')}.{value.__name__}".encode())
    elif isinstance(value, CodeType):
        tell("code", value.co_code)
        _feed(digest, (value.co_consts, value.co_names), inside)
    elif hasattr(value, "py_func"):  # compiled by numba
        tell("compiled")
        _feed(digest, value.py_func, inside)
    elif hasattr(value, "__dict__") or dataclasses.is_dataclass(value):
        kind = type(value)
        tell("object", f"{kind.__module__}.{kind.__qualname__}".encode())
        _feed(digest, _attributes(value), inside)
    else:
        raise TypeError(
            f"value is {value!r}, of which no fingerprint can be taken: give numbers, arrays or objects"
        )


def _attributes(value: Any) -> dict[str, Any]:
    """Return what an object is made of, without what it has only worked out."""
    if dataclasses.is_dataclass(value):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.compare}
    kind: type = type(value)
    derived = worked_out(kind)
    return {name: part for name, part in vars(value).items() if name not in derived}


@cache
def worked_out(kind: type) -> frozenset[str]:
    """Return the names of a class's cached properties, which follow from the rest of an object."""
    members = (item for one in kind.__mro__ for item in vars(one).items())
    return frozenset(name for name, member in members if isinstance(member, cached_property))


def _source_of(function: FunctionType) -> bytes:
    """Return what a function computes: nothing for our own, which `reached` covers, else its file or its code."""
    if function.__module__.partition(".")[0] in OWN:
        return b""
    file = inspect.getsourcefile(function)
    if file is not None and Path(file).is_file():
        return Path(file).read_bytes()
    return fingerprint(function.__code__).encode()
