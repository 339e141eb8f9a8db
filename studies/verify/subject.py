"""A sampler as it comes: a function of a denoiser, samples, a grid and a source of noise; and a record of one run."""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analytic import paths
from solvers import Tableau, denoiser, run

from ..specifications import job_of, split
from .adapters import LIBRARIES, k_diffusion, schedulers, steppers
from .adapters.modules import InTorch

Array = NDArray[np.float64]
Denoise = Callable[[Array, float], Array]
Noise = Callable[[int, tuple[int, ...]], Array]
SENSES = ("ode", "weak")
DEFAULT = "sampler"


@dataclass(frozen=True)
class Levels:
    """The grid that a sampler is given: times from noise to data and the path's scales there, (steps + 1,) each."""

    t: Array
    alpha: Array
    sigma: Array


@dataclass
class Ran:
    """What one run did.

    Attributes
    ----------
    x : (n, dim) array
        What the sampler returned, as it returned it.
    asked : list of (float, array)
        Times and samples that the model was asked with, in order.
    drawn : list of array
        What was handed out as noise, in order.
    changed : list of str
        Arrays of the grid that the sampler wrote to.
    """

    x: Any
    asked: list[tuple[float, Array]] = field(default_factory=list)
    drawn: list[Array] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Subject:
    """A sampler to verify.

    Attributes
    ----------
    where : str
        FILE.py, FILE.py:OBJECT, k_diffusion:FUNCTION or a method of the catalogue, with options in brackets, or a name
        alone where `given` is set.
    path : Gaussian path
        What it is for.
    order : float or None
        That it claims; None where it claims nothing.
    sense : str
        "ode": of its error along the flow; "weak": of its law.
    nfe : float or None
        Evaluations a step that it claims.
    given : callable, optional
        The function itself.
    """

    where: str
    path: paths.Gaussian
    order: float | None = None
    sense: str = "ode"
    nfe: float | None = None
    given: Callable[..., Any] | None = None
    draws: dict[int, int] = field(
        default_factory=dict, repr=False, compare=False
    )  # by steps, as far as known

    def __str__(self) -> str:
        return self.where

    @cached_property
    def function(self) -> Callable[..., Any]:
        """The sampler: (denoise, x, grid, normal) -> x."""
        if self.given is not None:
            return self.given
        if _is_file(self.where):
            return _taken(self.where, self.path)
        library, _, rest = self.where.partition(":")
        if library in LIBRARIES:
            name, _, options = split("sampler", rest)
            return LIBRARIES[library].named(name, self.path, options)
        return of_method(self.where, self.path)

    def run(self, denoise: Denoise, x: Array, nodes: Array, noise: Noise | None = None) -> Ran:
        """Run the sampler once.

        Parameters
        ----------
        denoise : callable (x, t) -> E[x_0 | x_t = x]
        x : (n, dim) array
            At the level of the first node.
        nodes : (steps + 1,) array
            Decreasing times.
        noise : callable (k, shape) -> array, optional
            The k-th noise that is asked for; zeros by default.
        """
        own = {"t": nodes, "alpha": self.path.alpha(nodes), "sigma": self.path.sigma(nodes)}
        levels = Levels(**{name: values.copy() for name, values in own.items()})
        ran = self._recorded(lambda model, normal: self.function(model, x, levels, normal), denoise, x, noise)
        ran.changed = [
            f"grid.{name}"
            for name, values in own.items()
            if not np.array_equal(getattr(levels, name), values)
        ]
        return ran

    def run_own(self, denoise: Denoise, x: Array, steps: int, noise: Noise | None = None) -> Ran:
        """Run a sampler that chooses a grid by itself on that grid, whose path `function.own_path` is."""
        own = getattr(self.function, "own")  # noqa: B009 - only some have it
        return self._recorded(lambda model, normal: own(model, x, steps, normal), denoise, x, noise)

    def _recorded(
        self,
        call: Callable[[Denoise, Callable[[], Array]], Any],
        denoise: Denoise,
        x: Array,
        noise: Noise | None,
    ) -> Ran:
        ran = Ran(None)

        def model(places: Any, t: Any) -> Array:
            time = np.unique(np.asarray(t, dtype=np.float64))
            if time.size != 1:
                raise ValueError(f"{self.where}: denoise is given {time.size} times at once: give one time")
            ran.asked.append((float(time[0]), np.array(places, dtype=np.float64)))
            return np.asarray(denoise(np.asarray(places), float(time[0])))

        def normal() -> Array:
            z = np.zeros(x.shape) if noise is None else noise(len(ran.drawn), x.shape)
            ran.drawn.append(z.copy())
            return z

        ran.x = call(model, normal)
        return ran


def of_method(text: str, path: paths.Gaussian) -> Callable[..., Any]:
    """Return a method of the catalogue in the plain form."""
    job = job_of(text)
    return of_tableau(
        lambda times: job.method.tableau(path, times, start=job.start, **job.options), path, text
    )


def of_tableau(build: Callable[[Array], Tableau], path: paths.Gaussian, text: str) -> Callable[..., Any]:
    """Return what a function from times to a tableau samples, in the plain form."""
    built: dict[bytes, tuple[Any, Mapping[tuple[float, float], float]]] = {}

    def sampler(denoise: Denoise, x: Array, grid: Levels, normal: Callable[[], Array]) -> Array:
        key = grid.t.tobytes()
        if key not in built:
            new = build(grid.t)
            built[key] = new, _times(new)
        tableau, times = built[key]
        noise = np.array([normal() for _ in tableau.channels]).reshape(-1, *x.shape)

        def model(places: Array, alpha: float, sigma: float) -> Array:
            t = times[alpha, sigma]
            if np.isnan(
                t
            ):  # off the path, which no time of the plain form can say, but where alpha is 1 throughout
                if alpha != 1 or np.any(grid.alpha != 1):
                    raise ValueError(f"{text} asks the model off the path: verify it on a VE or EDM path")
                t = float(path.time_of_log_snr(-np.log(sigma)))
            return denoise(places, t)

        return np.asarray(run(tableau, denoiser(model, takes="level"), x, noise=noise))

    return sampler


def _times(tableau: Any) -> Mapping[tuple[float, float], float]:
    found = {}
    for block in tableau.blocks:
        for levels, times in zip(block.levels.reshape(-1, 2), block.times.ravel(), strict=True):
            found[float(levels[0]), float(levels[1])] = float(times)
    return found


def subject_of(
    where: str,
    path: paths.Gaussian | None = None,
    order: float | None = None,
    sense: str | None = None,
    nfe: float | None = None,
) -> Subject:
    """Return the sampler that a user named, with what it claims.

    Of a file: module attributes `order`, `sense`, `nfe` and `path` (as assay order --path takes it), for those not
    given here. Of a method of the catalogue: its first claim on the flow or of the law.

    Raises ValueError for what is not there, or is no claim.
    """
    from ..specifications import path_of

    claimed: dict[str, Any] = {}
    if _is_file(where):
        module, found, _ = _object(where)
        claimed = {key: getattr(module, key, None) for key in ("order", "sense", "nfe")}
        named = getattr(module, "path", None)
        path = path or (path_of(named) if isinstance(named, str) else named)
        if path is None and _is_scheduler(found):
            path = schedulers.path_of(found)
    elif where.partition(":")[0] in LIBRARIES:
        library, _, rest = where.partition(":")
        path = path or LIBRARIES[library].path(split("sampler", rest)[0])
    else:
        job = job_of(where)
        options = job.method.options | job.options
        claims = [c for c in job.method.claims if c.sense in SENSES and c.covers(options, job.start)]
        if claims:
            claimed = {"order": claims[0].order, "sense": claims[0].sense}
    order = claimed.get("order") if order is None else order
    sense = sense or claimed.get("sense") or "ode"
    nfe = claimed.get("nfe") if nfe is None else nfe
    if sense not in SENSES:
        raise ValueError(f"sense is {sense!r}: use one of {', '.join(SENSES)}")
    if order is not None and not order > 0:
        raise ValueError(f"order is {order}: give a positive number, or leave it out")
    return Subject(where, path or paths.VP(), order, sense, nfe)


def source_of(subject: Subject) -> str:
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


def _taken(where: str, path: paths.Gaussian) -> Callable[..., Any]:
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


__all__ = ["Levels", "Ran", "Subject", "of_method", "of_tableau", "source_of", "subject_of"]
