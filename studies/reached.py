"""The code that a measurement can reach, as one short word: an edit elsewhere leaves results as they are.

Reached are the functions that a function names, those that they name, and so on; of a class that is named, or of which
an object is given, the members whose names are used in what is reached. Code counts as it is compiled: comments,
docstrings and where lines stand are nothing to it. Code of installed libraries is not looked at: their versions count.
"""

from __future__ import annotations

import contextlib
import dataclasses
import dis
import hashlib
import importlib
import importlib.metadata
import importlib.util
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Set
from functools import cache, cached_property, partial
from types import CodeType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any

from .fingerprints import fingerprint, worked_out

COMPUTING = ("numpy", "scipy", "numba", "POT", "scikit-learn")  # libraries whose version can move a digit
PLAIN = (str, bytes, int, float, complex, type(None), type(Ellipsis))
UNSAID = {"__doc__", "__annotations__", "__module__", "__qualname__", "__reduce_ex__"}
ELSEWHERE = (
    "solvers.cuda",
    "solvers.continuous.executors.on_cuda",
    "solvers.discrete.executors.cuda",
)  # on devices
_INSTALLED = tuple({sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")})


def code_reached(*roots: Any) -> str:
    """Return a hash of the code that functions and objects can reach, and of the versions that compute.

    Parameters
    ----------
    *roots
        Functions, bound ones and partial ones too, and objects, whose classes and attributes are looked through.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    words = tuple(sorted({word for root in roots for word in _seeds(root, {})}, key=id))
    return _of_seeds(tuple(_Same(word) for word in words))


def reached(*roots: Any) -> set[str]:
    """Return the qualified names of the functions that functions and objects can reach."""
    seeds = {id(word): word for root in roots for word in _seeds(root, {})}
    return {f"{f.__module__}.{f.__qualname__}" for f in _Closure(seeds.values()).functions.values()}


class _Same:
    """A thing that equals itself alone, whatever it thinks of others."""

    def __init__(self, thing: Any) -> None:
        self.thing = thing

    def __hash__(self) -> int:
        return id(self.thing)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.thing is other.thing


@cache
def _of_seeds(seeds: tuple[_Same, ...]) -> str:
    closure = _Closure(seed.thing for seed in seeds)
    digest = hashlib.sha256(_versions().encode())
    for line in sorted(closure.lines()):
        digest.update(line.encode())
    return digest.hexdigest()


@cache
def _versions() -> str:
    return fingerprint({name: importlib.metadata.version(name) for name in COMPUTING}, sys.version)


@cache
def _is_own(module: str) -> bool:
    """Whether a module is of this project or a user's, and of no library; studies run on no device."""
    if module.startswith(ELSEWHERE):
        return False
    found = sys.modules.get(module)
    file = getattr(found, "__file__", None)
    if found is None or file is None:
        return module == "__main__" or (found is not None and hasattr(found, "__path__"))
    return not str(file).startswith(_INSTALLED)


def _seeds(value: Any, seen: dict[int, Any]) -> Iterator[Any]:
    """Yield the functions and classes that a value brings with it."""
    if isinstance(value, PLAIN) or id(value) in seen:
        return
    seen[id(value)] = value  # held, so that nothing else gets its id
    value = _unwrapped(value)
    if isinstance(value, FunctionType | type):
        if _is_own(value.__module__):
            yield value
        elif isinstance(value, FunctionType):  # a library's, which may have one of ours within
            yield from _seeds((getattr(value, "__wrapped__", None), *_cells(value)), seen)
    elif isinstance(value, partial):
        yield from _seeds((value.func, value.args, value.keywords), seen)
    elif isinstance(value, MethodType):
        yield from _seeds((value.__func__, value.__self__), seen)
    else:
        if isinstance(value, dict | MappingProxyType):
            yield from _seeds([*value.keys(), *value.values()], seen)
        elif isinstance(value, list | tuple | Set):
            for part in list(value):
                yield from _seeds(part, seen)
        yield from _of_object(value, seen)


def _of_object(value: Any, seen: dict[int, Any]) -> Iterator[Any]:
    """Yield the class of an object of ours and what its attributes bring, without those that it has only worked out."""
    if _is_own(type(value).__module__):
        kind: type = type(value)
        yield kind
        derived = worked_out(kind)
        for name, part in list(getattr(value, "__dict__", {}).items()):
            if name not in derived:
                yield from _seeds(part, seen)


def _unwrapped(value: Any) -> Any:
    """Return the Python function within what numba, a cache or a descriptor made of it."""
    while True:
        if isinstance(value, property):
            return value
        inner = (
            getattr(value, "py_func", None)
            or (value.__func__ if isinstance(value, staticmethod | classmethod) else None)
            or (value.func if isinstance(value, cached_property) else None)
            or (None if isinstance(value, type) else getattr(value, "__wrapped__", None))
        )
        if inner is None or isinstance(value, FunctionType | MethodType | ModuleType):
            return value
        value = inner


@dataclasses.dataclass(frozen=True)
class _Named:
    """What a piece of code or a class names by itself: further code, constants by where they stand, and attributes."""

    seeds: tuple[Any, ...]
    constants: Mapping[str, str]
    names: Set[str]


def _named(things: Iterable[tuple[str, Any]], names: Iterable[str] = (), held: Any = ()) -> _Named:
    """Sort things by what they are: code, or constants, whose values count."""
    seeds, constants, known = list(_seeds(held, {})), {}, set(names)
    for label, thing in things:
        found = list(_seeds(thing, {}))
        seeds += found
        if isinstance(thing, tuple | list):
            known.update(_words(thing))
        elif found or callable(thing):
            continue
        if not found and _is_constant(label, thing):
            with contextlib.suppress(TypeError):
                constants[label] = fingerprint(thing)
            known.update(_words(thing))
    return _Named(tuple({id(seed): seed for seed in seeds}.values()), constants, known)


def _is_constant(label: str, thing: Any) -> bool:
    """Whether what a name stands for stays as it is: what can change does if its name is no constant's."""
    if isinstance(thing, list | dict | set):
        return label.rpartition(".")[2].isupper()
    return type(thing).__module__.partition(".")[0] in ("builtins", "numpy")


@cache
def _of_function(function: FunctionType) -> tuple[_Named, str]:
    """Return what a function names, and the line that stands for it in a hash."""
    code, things, names = function.__code__, dict[str, Any](), set[str]()
    _read(code, function.__globals__, {}, things, names)
    wrapped = getattr(function, "__wrapped__", None)
    made_of = (_cells(function), wrapped, function.__defaults__, function.__kwdefaults__)
    defaults = [repr(d) for d in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).items())]
    simple = [d for d in defaults if " at 0x" not in d]
    line = f"{function.__module__}.{function.__qualname__}: {_word(code, function.__doc__)} {simple}\n"
    return _named(things.items(), names, (made_of, _in_place_of(function))), line


def _in_place_of(function: FunctionType) -> list[Any]:
    """Return what compiled code may run in place of a function, which does not name it: all that its module has.

    Such are modules that tell numba what code to make.
    """
    module = sys.modules.get(function.__module__)
    told = () if module is None else (vars(module).get(name) for name in ("overload", "lower_builtin"))
    if module is None or not any(getattr(how, "__module__", "").startswith("numba") for how in told):
        return []
    return [v for v in vars(module).values() if getattr(v, "__module__", "") == function.__module__]


@cache
def _of_class(kind: type) -> tuple[_Named, str]:
    """Return what the fields of a class name, and the line that stands for it."""
    declared = getattr(kind, "__dataclass_fields__", {})
    held = [(field.default, field.default_factory) for field in declared.values()]
    fields = [(name, str(field.type)) for name, field in declared.items()]
    line = f"{kind.__module__}.{kind.__qualname__}: {[b.__qualname__ for b in kind.__mro__]} {fields}\n"
    return _named((), (), held), line


@cache
def _members(kind: type) -> Mapping[str, _Named]:
    """Return what each member of a class is."""
    found = {}
    for member, value in list(vars(kind).items()):
        if member in UNSAID:
            continue
        parts = (value.fget, value.fset) if isinstance(value, property) else (_unwrapped(value),)
        written = [p for p in parts if not _by_dataclass(p)]
        found[member] = _named([(f"{kind.__module__}.{kind.__qualname__}.{member}", p) for p in written])
    return found


def _by_dataclass(value: Any) -> bool:
    """Whether a dataclass made a function from its fields, which count themselves."""
    return isinstance(value, FunctionType) and value.__code__.co_filename == "<string>"


def _word(code: CodeType, doc: str | None = None) -> str:
    consts = [
        _word(const)
        if isinstance(const, CodeType)
        else repr(sorted(const) if isinstance(const, frozenset) else const)
        for const in code.co_consts
        if doc is None or const != doc
    ]
    parts = (
        code.co_code.hex(),
        consts,
        code.co_names,
        code.co_varnames,
        code.co_freevars,
        code.co_exceptiontable,
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _read(
    code: CodeType, module: dict[str, Any], local: dict[str, Any], things: dict[str, Any], names: set[str]
) -> None:
    """Collect what code names: `local` are the modules that it imported itself, by the names it gave them."""
    names.update(code.co_names)
    steps = list(dis.get_instructions(code))
    held: Any = None  # the module, or what was found in it, that is on the stack
    label = ""
    for place, step in enumerate(steps):
        name = step.argval
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            held, label = module.get(name), f"{module.get('__name__')}.{name}"
        elif step.opname in ("LOAD_FAST", "LOAD_DEREF", "LOAD_FAST_CHECK") and name in local:
            held, label = local[name], f"local.{name}"
        elif step.opname in ("LOAD_ATTR", "LOAD_METHOD") and isinstance(held, ModuleType):
            # what a library's modules hold is the library's
            held, label = (
                (_attribute(held, name), f"{held.__name__}.{name}") if _is_own(held.__name__) else (None, "")
            )
        elif step.opname == "IMPORT_NAME":
            level = steps[place - 2].argval if place > 1 else 0
            held = _imported(name, level or 0, module, bool(steps[place - 1].argval))
            label = str(name)
            continue
        elif step.opname == "IMPORT_FROM":
            source = held
            thing = _attribute(source, name) if isinstance(source, ModuleType) else None
            local[str(steps[place + 1].argval)] = thing
            if thing is not None and not isinstance(thing, ModuleType):
                things[f"{getattr(source, '__name__', '')}.{name}"] = thing
            continue  # the module is still on the stack
        elif step.opname in ("STORE_FAST", "STORE_DEREF") and isinstance(held, ModuleType):
            local.setdefault(str(name), held)
            held = None
        elif step.opname not in ("PRECALL", "CACHE", "PUSH_NULL", "EXTENDED_ARG", "COPY_FREE_VARS"):
            held = None
        if held is not None and not isinstance(held, ModuleType):
            things[label] = held
            held = None
    for const in code.co_consts:
        if isinstance(const, CodeType):
            _read(const, module, dict(local), things, names)
        else:
            names.update(_words(const))


def _attribute(module: ModuleType, name: str) -> Any:
    if hasattr(module, name):
        return getattr(module, name)
    if not _is_own(module.__name__) or f"{module.__name__}.{name}".startswith(ELSEWHERE):
        return None
    try:
        return importlib.import_module(f"{module.__name__}.{name}")
    except ImportError:
        return None


def _imported(name: str, level: int, module: dict[str, Any], named: bool) -> Any:
    """Return the module that an import inside a function means, None if it is a library's."""
    if level:
        package = str(module.get("__package__") or "")
        parts = package.split(".")
        name = ".".join(filter(None, (*parts[: len(parts) - level + 1], name)))
    elif not named:
        name = name.partition(".")[0]
    if name.startswith(ELSEWHERE):
        return None
    if name not in sys.modules:
        top = importlib.util.find_spec(
            name.partition(".")[0]
        )  # of the package: a part of one would import it
        if top is None or top.origin is None or top.origin.startswith(_INSTALLED) or top.origin == "built-in":
            return None
        importlib.import_module(name)
    return sys.modules[name] if _is_own(name) else None


def _words(value: Any) -> Iterator[str]:
    """Yield the strings in a constant, which may be names of attributes."""
    if isinstance(value, str):
        if value.isidentifier():
            yield value
    elif isinstance(value, tuple | frozenset | list):
        for part in value:
            yield from _words(part)


class _Closure:
    """What seeds can reach."""

    def __init__(self, seeds: Iterable[Any]) -> None:
        self.functions: dict[int, FunctionType] = {}
        self.classes: dict[int, type] = {}
        self.constants: dict[str, str] = {}
        self.names: set[str] = set()
        self._waiting: list[Any] = list(seeds)
        self._members: dict[
            str, list[_Named]
        ] = {}  # those of classes reached, whose names are not used so far
        self._used: set[str] = set()
        while self._waiting:
            while self._waiting:
                self._take(self._waiting.pop())
            for name in self._members.keys() & self.names:
                self._used.add(name)
                for member in self._members.pop(name):
                    self._add(member)

    def lines(self) -> Iterator[str]:
        """Yield a line for everything reached."""
        yield from (_of_function(function)[1] for function in self.functions.values())
        yield from (_of_class(kind)[1] for kind in self.classes.values())
        yield from (f"{name} = {word}\n" for name, word in self.constants.items())

    def _take(self, value: Any) -> None:
        if isinstance(value, FunctionType):
            if id(value) not in self.functions:
                self.functions[id(value)] = value
                self._add(_of_function(value)[0])
        elif isinstance(value, type):
            for kind in value.__mro__:
                if id(kind) not in self.classes and _is_own(kind.__module__):
                    self._take_class(kind)

    def _take_class(self, kind: type) -> None:
        self.classes[id(kind)] = kind
        self._add(_of_class(kind)[0])
        for name, member in _members(kind).items():
            # what has two underscores is used without being named
            if name in self._used or name.startswith("__"):
                self._add(member)
            else:
                self._members.setdefault(name, []).append(member)

    def _add(self, named: _Named) -> None:
        self._waiting += named.seeds
        self.constants |= named.constants
        self.names |= named.names


def _cells(function: FunctionType) -> list[Any]:
    """Return what a function holds of the one that made it."""
    found = []
    for cell in function.__closure__ or ():
        with contextlib.suppress(ValueError):  # an empty one
            found.append(cell.cell_contents)
    return found
