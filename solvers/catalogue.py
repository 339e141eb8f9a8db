"""The catalogue: every method with its claims, source and options, found by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, get_args

import numpy as np
from numpy.typing import ArrayLike

from analytic import chains, names, reprs

from .continuous.tableau import Tableau
from .discrete.kernel import Kernel
from .protocols import Path, a_process, process_of

Build = TypeVar("Build", bound=Callable[..., Any])
Sense = Literal["ode", "weak", "strong", "tv", "kl", "path-kl"]
PATHS_OF = {  # paths that a process has, as an error names them
    "noising": "a Gaussian path such as paths.VP()",
    "langevin": "paths.Langevin(time=...)",
    "phase-space": "paths.CLD() or paths.PSLD()",
    "bridge": "paths.Bridge()",
    "mean-reverting": "paths.MeanReverting()",
    "simplex": "paths.FisherRao(), paths.Dirichlet() or paths.Straight()",
    "interpolant": "paths.Interpolant()",
}
STARTS = ("practical", "single-step", "exact")


@dataclass(frozen=True)
class Claim:
    """What a source says of a method: an order, in which sense, where it says so.

    Attributes
    ----------
    order : float
        Infinite for a sampler that is exact on any grid.
    sense : str
        "ode" (global error along the probability-flow ODE), "weak" (law of the sample, moments), "strong"
        (pathwise, root mean square), "tv" (total variation), "kl" (Kullback-Leibler divergence of the law at the
        grid's end), "path-kl" (of the law of the whole path from the exact reverse process).
    source : str
        Paper and equation or theorem, or the argument.
    basis : str
        Who says so: "paper"; "code", a widely used implementation only; "deduced" by a standard argument
        where the method's own source states no order.
    options : mapping of str to tuple
        Values of the method's options for which the claim is made; for all values of those not named.
    starts : tuple of str, optional
        Those of `STARTS` for which it is made.
    noises : tuple of str, optional
        Classes of `analytic.chains` under which it is made.
    """

    order: float
    sense: Sense
    source: str
    basis: Literal["paper", "code", "deduced"] = "paper"
    options: Mapping[str, tuple[Any, ...]] = field(default_factory=dict, hash=False)
    starts: tuple[str, ...] | None = None
    noises: tuple[str, ...] | None = None

    def covers(self, options: Mapping[str, Any], start: str | None = None, noise: str | None = None) -> bool:
        """True if the claim is made for these options, start and noise (by its class); None stands for any."""
        return (
            all(name not in options or options[name] in values for name, values in self.options.items())
            and (self.starts is None or start is None or start in self.starts)
            and (self.noises is None or noise is None or noise in self.noises)
        )

    @property
    def conditions(self) -> str:
        """What the claim is made for, in words; "" if for everything."""
        said = [f"{name} = {' or '.join(map(repr, values))}" for name, values in self.options.items()]
        said += [f"{' or '.join(self.starts)} start"] if self.starts else []
        said += [f"{' or '.join(self.noises)} noise"] if self.noises else []
        return ", ".join(said)

    def __post_init__(self) -> None:
        if self.sense not in get_args(Sense):
            raise ValueError(f"sense is {self.sense!r}: use one of {', '.join(get_args(Sense))}")
        if not self.order > 0:
            raise ValueError(f"order is {self.order}: give a positive number")


@dataclass(frozen=True)
class Method:
    """One entry of the catalogue.

    Attributes
    ----------
    name : str
    build : callable
        The pure function (path, grid, **options) -> Tableau, or (noise, grid, **options) -> Kernel.
    claims : tuple of Claim
        Empty where no source claims an order.
    source : str
        The paper and equation the formula is from.
    aliases : tuple of str
        Other names the field has for the same method.
    half : str
        "continuous" or "discrete".
    processes : tuple of str
        Of a continuous method, what its path may be: "noising", every Gaussian path from data to noise, or another
        process of `analytic.paths`, such as "langevin". The first is its own, on which it is measured unless a path of
        another is named.
    """

    name: str
    build: Callable[..., Any]
    claims: tuple[Claim, ...]
    source: str
    aliases: tuple[str, ...] = ()
    half: Literal["continuous", "discrete"] = "continuous"
    processes: tuple[str, ...] = ("noising",)

    __repr__ = reprs.brief

    @property
    def process(self) -> str:
        """Its own process."""
        return self.processes[0]

    @property
    def options(self) -> dict[str, Any]:
        """Option names with their defaults; `start` of multistep methods is among them."""
        parameters = list(inspect.signature(self.build).parameters.values())[2:]
        return {p.name: p.default for p in parameters}

    @property
    def multistep(self) -> bool:
        """True if the method has a choice of start."""
        return "start" in self.options

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Travel to another process by name if the catalogue has it: what registered it is loaded there too."""
        if catalogue.get(self.name) is self:
            return _again, (self.name,)
        return super().__reduce_ex__(protocol)

    def labelled(self, options: Mapping[str, Any]) -> str:
        """Return the name with the options given, as a user would type it."""
        given = ", ".join(f"{k}={v!r}" for k, v in options.items())
        return f"{self.name}({given})" if given else self.name

    @property
    def summary(self) -> str:
        """First sentence of the docstring."""
        return (inspect.getdoc(self.build) or "").split("\n")[0]

    def tableau(self, path: Path, grid: ArrayLike, start: str = "practical", **options: Any) -> Tableau:
        """Build the method's tableau on a grid.

        Parameters
        ----------
        path : Path
        grid : (nodes,) array
            Decreasing times; see `solvers.grids`.
        start : str
            "practical": a multistep method warms up through its lower orders; "single-step": its first intervals
            are steps of a one-step method of its order; "exact": they are walked so finely that no start-up error is
            left. The same for one-step methods.
        **options
            The method's own, see `options`.

        Raises
        ------
        ValueError
            Unknown start or option, a path of another process, or a grid or option value the method cannot take.
        """
        if self.half != "continuous":
            raise ValueError(
                f"method is {self.name!r}, a discrete one: use .kernel(noise, grid), .tableau is for continuous methods"
            )
        if (process := process_of(path)) not in self.processes:
            paths = " or ".join(PATHS_OF[one] for one in self.processes)
            raise ValueError(
                f"path is {path!r}, {a_process(process)}, and {self.name} is for {' and '.join(self.processes)} ones: "
                f"give {paths}, or a method for {process} processes (see assay list methods)"
            )
        if start not in STARTS:
            raise ValueError(f"start is {start!r}: use one of {STARTS}")
        self._check_options(options)
        if self.multistep:
            options["start"] = start
        # where alpha = 0 some coefficients have no limit, which is an error of the block, not a warning
        with np.errstate(divide="ignore", invalid="ignore"):
            tableau: Tableau = self.build(path, grid, **options)
        return tableau

    def kernel(
        self, noise: chains.SiteProcess, grid: ArrayLike, finalise: str | None = None, **options: Any
    ) -> Kernel:
        """Build the method's one-step kernels on a grid.

        Parameters
        ----------
        noise : SiteProcess
            See `analytic.chains`.
        grid : (nodes,) array
            Decreasing times; see `solvers.grids`.
        finalise : None, "posterior" or "argmax"
            How tokens still noisy at the grid's end are settled: not at all, by a draw from their posterior, by
            its largest entry. See `Kernel.finalised`.
        **options
            The method's own, see `options`.

        Raises
        ------
        ValueError
            A continuous method, an unknown option, a noise, grid or option value the method cannot take.
        TypeError
            A noise that is no process of `analytic.chains`.
        """
        if self.half != "discrete":
            raise ValueError(
                f"method is {self.name!r}, a continuous one: use .tableau(path, grid), .kernel is for discrete methods"
            )
        if not isinstance(noise, chains.SiteProcess):
            raise TypeError(f"noise is {noise!r}: give a process such as chains.Absorbing(vocabulary=4)")
        self._check_options(options)
        built: Kernel = self.build(noise, grid, **options)
        return built.finalised(finalise)

    def _check_options(self, options: dict[str, Any]) -> None:
        for name in options:
            if name not in self.options:
                known = ", ".join(self.options) or "none"
                raise ValueError(f"option {name!r} is not one of {self.name}'s options: it has {known}")


def _again(name: str) -> Method:
    return catalogue[name]


class Catalogue(Mapping[str, Method]):
    """Methods by name or alias; filled by the modules of `solvers.methods`, open to a user's own."""

    def __init__(self) -> None:
        self._methods: dict[str, Method] = {}
        self._aliases: dict[str, str] = {}

    def method(
        self,
        name: str,
        *,
        claims: list[Claim],
        source: str,
        aliases: tuple[str, ...] = (),
        half: Literal["continuous", "discrete"] = "continuous",
        process: str | tuple[str, ...] = "noising",
    ) -> Callable[[Build], Build]:
        """Register the decorated function under a name.

        The function is (path, grid, **options) -> Tableau, or for the discrete half (noise, grid, **options) ->
        Kernel. A method for several processes names its own first. Raises ValueError if the name is taken or nothing is
        known of a process.
        """
        processes = (process,) if isinstance(process, str) else process

        def register(build: Build) -> Build:
            for key in (name, *aliases):
                if key in self._methods or key in self._aliases:
                    raise ValueError(f"name is {key!r}, which the catalogue has already: choose another")
            for one in processes:
                if one not in PATHS_OF:
                    raise names.unknown("process", one, list(PATHS_OF))
            method = Method(name, build, tuple(claims), source, tuple(aliases), half, processes)
            for option in {option for claim in claims for option in claim.options} - set(method.options):
                raise ValueError(f"claims name option {option!r}, which {name} does not have")
            self._methods[name] = method
            self._aliases |= dict.fromkeys(aliases, name)
            return build

        return register

    def __getitem__(self, name: str) -> Method:
        found = self._methods.get(self._aliases.get(name, name))
        if found is None:
            raise names.unknown("method", name, [*self._methods, *self._aliases])
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._methods)

    def __len__(self) -> int:
        return len(self._methods)

    @property
    def continuous(self) -> dict[str, Method]:
        """Methods on Gaussian paths from data to noise, which build tableaux."""
        return self.on("noising")

    @property
    def beyond(self) -> dict[str, Method]:
        """Methods that build tableaux on other processes alone."""
        return {
            name: method
            for process in PATHS_OF
            for name, method in self.on(process).items()
            if "noising" not in method.processes
        }

    def on(self, process: str) -> dict[str, Method]:
        """Methods that build tableaux on one process."""
        return {
            name: method
            for name, method in self._methods.items()
            if method.half == "continuous" and process in method.processes
        }

    @property
    def discrete(self) -> dict[str, Method]:
        """Methods on token sequences, which build kernels."""
        return {name: method for name, method in self._methods.items() if method.half == "discrete"}


catalogue = Catalogue()
