"""What a user names, as a sampler to verify: a file's function or class, a library's sampler, a method."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from analytic import paths
from analytic.names import unknown
from solvers import Tableau

from ..specifications import job_of, path_of, split
from .adapters import LIBRARIES, RefusedError, k_diffusion, schedulers, steppers
from .adapters.modules import InTorch
from .subject import SENSES, Array, Subject, of_tableau
from .token_subject import NOISES, TokenMethod, TokenSubject

DEFAULT = "sampler"
CLAIMS = ("order", "sense", "nfe", "path", "noise", "exact", "jumps", "corrector")


def subject_of(
    where: str,
    path: paths.Gaussian | None = None,
    order: float | None = None,
    sense: str | None = None,
    nfe: float | None = None,
    noise: str | None = None,
) -> Subject | TokenSubject:
    """Return the sampler that a user named, with what it claims.

    Of a file: module attributes of `CLAIMS`, for those not given here. Of a method of the catalogue: its first claim.

    Raises ValueError for what is not there, or is no claim.
    """
    claimed: dict[str, Any] = {}
    if _is_file(where):
        module, found, _ = _object(where)
        claimed = {key: value for key in CLAIMS if (value := getattr(module, key, None)) is not None}
        tokens = _is_step(found)
        named = claimed.pop("path", None)
        path = path or (path_of(named) if isinstance(named, str) else named)
        path = path or (schedulers.path_of(found) if _is_scheduler(found) else None)
    elif where.partition(":")[0] in LIBRARIES:
        library, _, rest = where.partition(":")
        path, tokens = path or LIBRARIES[library].path(split("sampler", rest)[0]), False
    else:
        job = job_of(where)
        tokens = job.method.half == "discrete"
        options = job.method.options | job.options
        senses = ("tv",) if tokens else SENSES
        claims = [c for c in job.method.claims if c.sense in senses and c.covers(options, job.start)]
        kind = getattr(NOISES.get(noise or "masked"), "__name__", None)
        claims = [c for c in claims if not tokens or c.noises is None or kind in c.noises]
        claimed = {"order": claims[0].order, "sense": claims[0].sense} if claims else {"order": None}
    given = {"order": order, "sense": sense, "nfe": nfe, "noise": noise}
    claimed |= {key: value for key, value in given.items() if value is not None}
    if claimed.get("order") is not None and not claimed["order"] > 0:
        raise ValueError(f"order is {claimed['order']}: give a positive number, or leave it out")
    if tokens:
        if (named_noise := claimed.get("noise", "masked")) not in NOISES:
            raise unknown("noise of the step", named_noise, NOISES)
        return TokenSubject(where, **{k: v for k, v in claimed.items() if k != "sense"})
    if claimed.get("sense", "ode") not in SENSES:
        raise ValueError(f"sense is {claimed['sense']!r}: use one of {', '.join(SENSES)}")
    own = {k: v for k, v in claimed.items() if k in ("order", "sense", "nfe")}
    return Subject(where, path or paths.VP(), **own)


def with_options(where: str, options: Sequence[str]) -> str:
    """Return a sampler's name with options NAME=VALUE put into its brackets; a value that is no literal is a word.

    Raises ValueError for one without an equals sign.
    """
    given = []
    for option in options:
        name, equals, value = option.partition("=")
        if not equals:
            raise ValueError(f"config is {option!r}: write NAME=VALUE")
        try:
            ast.literal_eval(value)
        except (ValueError, SyntaxError):
            value = repr(value)
        given.append(f"{name}={value}")
    if not given:
        return where
    if _is_file(where) and where.endswith(".py"):
        where = f"{where}:{DEFAULT}"
    head, _, rest = where.partition("(")
    before = [inside] if (inside := rest.removesuffix(")").strip()) else []
    return f"{head}({', '.join([*before, *given])})"


def taken(where: str, path: paths.Gaussian) -> Callable[..., Any]:
    """Return a named sampler in the plain form."""
    if _is_file(where):
        return _of_file(where, path)
    library, _, rest = where.partition(":")
    if library in LIBRARIES:
        name, _, options = split("sampler", rest)
        return LIBRARIES[library].named(name, path, options)
    job = job_of(where)

    def build(times: Array) -> Tableau:
        try:
            return job.method.tableau(path, times, start=job.start, **job.options)
        except ValueError as refused:  # a grid or a path that the method is not for
            raise RefusedError(str(refused)) from None

    return of_tableau(build, path, where)


def taken_step(where: str) -> Any:
    """Return a named step of tokens, or a method of tokens with its law."""
    if not _is_file(where):
        return TokenMethod(job_of(where))
    _, found, options = _object(where)
    return partial(found, **options) if options else found


def source_of(subject: Subject | TokenSubject) -> str:
    """Return what a sampler's results depend on, as text: its file, its source, or its name."""
    if subject.given is not None:
        return inspect.getsource(subject.given)
    return Path(_file(subject.where)).read_text() if _is_file(subject.where) else subject.where


_FILE = re.compile(r"(?P<file>.+?\.py)(?::(?P<object>.+))?")


def _file(where: str) -> str:
    match = _FILE.fullmatch(where)
    assert match is not None
    return match["file"]


def _is_file(where: str) -> bool:
    return _FILE.fullmatch(where) is not None


def _object(where: str) -> tuple[Any, Any, dict[str, Any]]:
    """Return a file's module, the object in it that a user named, and its options."""
    match = _FILE.fullmatch(where)
    assert match is not None
    file = Path(match["file"])
    name, _, options = split("sampler", match["object"] or DEFAULT)
    if not file.is_file():
        raise ValueError(f"sampler is {where!r}: there is no file {str(file)!r}")
    known = f"verified_{file.stem}"
    spec = importlib.util.spec_from_file_location(known, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[known] = module
    spec.loader.exec_module(module)
    found = getattr(module, name, None)
    if not callable(found):
        raise ValueError(
            f"sampler is {where!r}: the file has no function {name!r}; write FILE.py:NAME for one of another name"
        )
    return module, found, options


def _is_scheduler(found: Any) -> bool:
    return isinstance(found, type) and hasattr(found, "step") and hasattr(found, "set_timesteps")


def _is_step(found: Any) -> bool:
    """Whether it is a step of tokens: the third and the fourth argument are t and s."""
    return not isinstance(found, type) and list(inspect.signature(found).parameters)[2:4] == ["t", "s"]


def _of_file(where: str, path: paths.Gaussian) -> Callable[..., Any]:
    """Return what a file has in the plain form, by the form that it has."""
    module, found, options = _object(where)
    if _is_scheduler(found):
        return schedulers.of_class(found, path, options)
    if isinstance(found, type) and hasattr(found, "step"):
        return steppers.of_class(found, path, options)
    if isinstance(found, type):
        found, options = found(**options), {}
    if getattr(module, "arrays", "numpy") == "torch":
        return InTorch(partial(found, **options) if options else found)
    if "sigmas" in inspect.signature(found).parameters:
        return k_diffusion.of_function(found, path, **options)
    return partial(found, **options) if options else found
