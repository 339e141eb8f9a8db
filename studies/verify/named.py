"""What a user names, as a sampler to verify: a file's function or class, a library's sampler, a method."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from analytic import paths
from analytic.names import unknown
from solvers.protocols import a_process, noising

from ..specifications import file_of, is_file, job_of, object_of, path_of, split
from .adapters import LIBRARIES, schedulers
from .forms import DEFAULT, is_scheduler, is_step
from .subject import SENSES, Subject
from .token_subject import NOISES, TokenSubject

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
    if is_file(where):
        module, found, _ = object_of(where, DEFAULT)
        claimed = {key: value for key in CLAIMS if (value := getattr(module, key, None)) is not None}
        tokens = is_step(found)
        named = claimed.pop("path", None)
        path = path or (path_of(named) if isinstance(named, str) else named)
        path = path or (schedulers.path_of(found) if is_scheduler(found) else None)
    elif where.partition(":")[0] in LIBRARIES:
        library, _, rest = where.partition(":")
        path, tokens = path or LIBRARIES[library].path(split("sampler", rest)[0]), False
    else:
        job = job_of(where)
        tokens = job.method.half == "discrete"
        if not tokens and "noising" not in job.method.processes:
            raise ValueError(
                f"method is {where!r}, on a {job.method.process} process: samplers from noise to data are verified; "
                "assay order measures its claims"
            )
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
    if path is not None and not noising(path):
        raise ValueError(
            f"path is {path!r}, {a_process(path.process)}: give a Gaussian path, samplers on which are verified"
        )
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
    if is_file(where) and where.endswith(".py"):
        where = f"{where}:{DEFAULT}"
    head, _, rest = where.partition("(")
    before = [inside] if (inside := rest.removesuffix(")").strip()) else []
    return f"{head}({', '.join([*before, *given])})"


def source_of(subject: Subject | TokenSubject) -> str:
    """Return what a sampler's results depend on, as text: its file, its source, or its name."""
    if subject.given is not None:
        return inspect.getsource(subject.given)
    return Path(file_of(subject.where)).read_text() if is_file(subject.where) else subject.where
