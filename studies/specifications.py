"""What a user types, read: specifications such as edm-churn(gamma=0.1), VE(0.02, 20) or Absorbing('cosine')."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import sys
from pathlib import Path
from typing import Any, get_args

from analytic import chains, paths
from analytic.names import unknown
from solvers import ScoreError, catalogue, scheduler_config, tables
from solvers.continuous.imperfect import Shape
from solvers.protocols import noising

from .setting import Grid, Job, known_grid

_SPECIFICATION = re.compile(r"\s*(?P<name>[^()\s]+)\s*(?:\((?P<arguments>.*)\))?\s*")
PATHS = (
    "VP",
    "SubVP",
    "CosineVP",
    "VE",
    "EDM",
    "FDM",
    "Linear",
    "Trigonometric",
    "Polynomial",
    "Langevin",
    "CLD",
    "PSLD",
    "Bridge",
    "MeanReverting",
    "Interpolant",
    "EncodingDecoding",
    "FisherRao",
    "Dirichlet",
    "Straight",
)
ANCHORED = ("Bridge", "MeanReverting")


def split(what: str, text: str) -> tuple[str, list[Any], dict[str, Any]]:
    """Split name(1, key=2) into name, arguments and keywords, all literals.

    Raises ValueError for anything else; `what` is the argument's name in the message.
    """
    match = _SPECIFICATION.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        call = ast.parse(f"f({match['arguments'] or ''})", mode="eval").body
        assert isinstance(call, ast.Call)
        arguments = [ast.literal_eval(a) for a in call.args]
        keywords = {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
    except (ValueError, SyntaxError):
        raise ValueError(f"{what} is {text!r}: write name or name(option=value, ...)") from None
    return match["name"], arguments, keywords


NOISES = ("Absorbing", "Uniform", "Hybrid", "BirthDeath", "GaussianOrdinal", "PureDeath")


def path_and_grid(path: str, grid: str | None, default: str = "karras") -> tuple[paths.Gaussian, Grid]:
    """Return the path and the grid a user named: a grid by its name, a file of levels or a published table.

    A path from a scheduler_config.json brings a grid of its own, taken where none is named, and so does one of a
    process other than noising.
    """
    if Path(path).suffix == ".json":
        scheduler = scheduler_config.read(path)
        return scheduler.path, scheduler if grid is None else grid_of(grid)
    chosen = path_of(path)
    return chosen, grid_of(grid or (default if noising(chosen) else chosen.grid))


def grid_of(text: str) -> Grid:
    """Return a grid by its name, of a published table, or of a file with sigmas (or times: FILE:time)."""
    if text in tables.ALIGNED:
        return tables.ALIGNED[text]
    file, _, kind = text.partition(":")
    if Path(file).suffix in (".txt", ".csv"):
        return tables.read(file, kind or "sigma")
    known_grid(text)
    return text


def path_of(text: str) -> paths.Gaussian:
    """Return the path a user named, such as "VP" or "VE(0.02, 20)", or that of a scheduler_config.json."""
    if Path(text).suffix == ".json":
        return scheduler_config.read(text).path
    name, arguments, keywords = split("path", text)
    known = {p.lower(): p for p in PATHS}
    if name.lower() not in known:
        raise unknown("path", name, list(PATHS))
    kind = known[name.lower()]
    if kind in ANCHORED:  # their first argument is a path too, as text
        arguments[:1] = [path_of(a) if isinstance(a, str) else a for a in arguments[:1]]
        keywords |= {k: path_of(v) for k, v in keywords.items() if k == "base" and isinstance(v, str)}
    try:
        path: paths.Gaussian = getattr(paths, kind)(*arguments, **keywords)
    except TypeError as error:
        raise ValueError(f"path is {text!r}: {error}") from None
    return path


def noise_of(text: str, vocabulary: int) -> chains.Chain:
    """Return the noise on tokens a user named, such as "Uniform" or "Absorbing('cosine')".

    Arguments are those of the class in `analytic.chains` without the vocabulary, which the target gives.
    """
    name, arguments, keywords = split("noise", text)
    known = {n.lower(): n for n in NOISES}
    if name.lower() not in known:
        raise unknown("noise", name, list(NOISES))
    try:
        noise: chains.Chain = getattr(chains, known[name.lower()])(vocabulary, *arguments, **keywords)
    except TypeError as error:
        raise ValueError(f"noise is {text!r}: {error}") from None
    return noise


def error_of(text: str) -> ScoreError:
    """Return the error of a score a user named by its shape, such as "wave(0.2, of='eps', frequency=2.0)"."""
    shape, arguments, keywords = split("error", text)
    if shape not in get_args(Shape):
        raise unknown("error", shape, list(get_args(Shape)))
    if len(arguments) != 1:
        raise ValueError(f"error is {text!r}: give its size first, as in {shape}(0.1, of='eps')")
    try:
        return ScoreError(float(arguments[0]), shape, **keywords)  # type: ignore[arg-type]  # a Shape, as checked
    except TypeError as problem:
        raise ValueError(f"error is {text!r}: {problem}") from None


def job_of(text: str, start: str = "practical") -> Job:
    """Return the method a user named with its options, such as "ddim-eta(eta=0.3)"."""
    name, arguments, keywords = split("method", text)
    method = catalogue[name]
    if arguments:
        raise ValueError(f"method is {text!r}: name its options, as in {name}(option=value)")
    start = keywords.pop("start", start)
    return Job(method, start if method.multistep else "practical", keywords)


_FILE = re.compile(r"(?P<file>.+?\.py)(?::(?P<object>.+))?")


def is_file(where: str) -> bool:
    """Whether a file is named, or an object in one."""
    return _FILE.fullmatch(where) is not None


def file_of(where: str) -> str:
    """Return the file of FILE.py or FILE.py:OBJECT."""
    match = _FILE.fullmatch(where)
    assert match is not None
    return match["file"]


def object_of(where: str, default: str) -> tuple[Any, Any, dict[str, Any]]:
    """Return a file's module, the function or class in it that a user named, and its options.

    Parameters
    ----------
    where : str
        FILE.py, FILE.py:NAME or FILE.py:NAME(option=value).
    default : str
        The name where none is given, which also says what it is.

    Raises
    ------
    ValueError
        No such file, or nothing of that name in it.
    """
    match = _FILE.fullmatch(where)
    assert match is not None
    file = Path(match["file"])
    name, _, options = split(default, match["object"] or default)
    if not file.is_file():
        raise ValueError(f"{default} is {where!r}: there is no file {str(file)!r}")
    known = f"named_{file.stem}"
    spec = importlib.util.spec_from_file_location(known, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[known] = module
    spec.loader.exec_module(module)
    found = getattr(module, name, None)
    if not callable(found):
        raise ValueError(
            f"{default} is {where!r}: the file has no function {name!r}; write FILE.py:NAME for one of another name"
        )
    return module, found, options


_loaded: list[str] = []


def loaded() -> list[str]:
    """Return what `load_methods` has loaded, for processes that must do the same."""
    return list(_loaded)


def load_methods(source: str | Path) -> None:
    """Import a user's Python file, or a module by its dotted name, which registers methods with the catalogue.

    Raises ValueError if there is no such file or module.
    """
    text = str(source)
    if text in _loaded:
        return
    path = Path(text)
    if path.suffix == ".py":
        if not path.is_file():
            raise ValueError(f"load is '{text}': give an existing .py file that registers methods")
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = module  # so that what it defines can be found again by its name
        spec.loader.exec_module(module)
    else:
        if "" not in sys.path and str(Path.cwd()) not in sys.path:
            sys.path.append(str(Path.cwd()))  # a command's own folder is where it was installed
        try:
            importlib.import_module(text)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{text}.".startswith(f"{error.name}."):
                raise  # something that the module itself wants
            raise ValueError(
                f"load is '{text}': give an existing .py file, or a module as package.module"
            ) from None
    _loaded.append(text)
