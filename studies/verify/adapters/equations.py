"""Solvers of equations, of flow_matching, torchsde and diffrax, in the plain form: a step an interval of the grid."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from analytic import paths
from analytic.names import unknown

from .shared import BrownianPath, RefusedError, diffusion, library, reverse_sde, tensor, velocity

Sampler = Callable[..., Any]
FLOWS = ("euler", "midpoint", "heun2", "heun3", "rk4")
SDES = ("euler", "milstein", "heun", "midpoint", "euler_heun", "srk")


def of_flow_matching(method: str, path: paths.Gaussian, options: dict[str, Any]) -> Sampler:
    """Return flow_matching's ODESolver with a method of fixed steps: time is 1 - t of the path.

    Raises ValueError for another method.
    """
    solver = library("flow_matching", "flow_matching.solver").ODESolver
    if method not in FLOWS:
        raise unknown("method of flow_matching", method, FLOWS)

    def sampler(denoise: Any, x: Any, grid: Any, normal: Any) -> Any:
        _before_the_data(grid, path, noisy=False)
        times = {float(1 - t): float(t) for t in grid.t}

        def model(x: Any, t: Any) -> Any:
            at = times.get(float(t), float(1 - t))
            return tensor(-velocity(path, denoise, x.numpy(), at))

        flow = solver(velocity_model=model)
        steps = {"step_size": None, "time_grid": tensor(1 - grid.t)}
        return flow.sample(x_init=tensor(x), method=method, **steps, **options).numpy()

    return sampler


class _Driven:
    """A Brownian path as equations' solvers ask for it: W(b) - W(a), and the area H ~ N(0, (b - a)/12) beside it."""

    def __init__(self, normal: Callable[[], Any]) -> None:
        self._normal, self._path = normal, BrownianPath(normal)

    def increment(self, start: float, stop: float) -> Any:
        return np.sqrt(stop - start) * self._path.increment(start, stop)

    def area(self, start: float, stop: float) -> Any:
        return np.sqrt((stop - start) / 12) * self._normal()


def of_torchsde(method: str, path: paths.Gaussian, options: dict[str, Any]) -> Sampler:
    """Return a method of torchsde on the reverse SDE, whose noise is additive; a call of sdeint an interval.

    Raises ValueError for a method that it does not have with fixed steps, and RefusedError, when run to sigma = 0.
    """
    torchsde = library("torchsde", "torchsde")
    if method not in SDES:
        raise unknown("method of torchsde", method, SDES)
    ito = method in ("euler", "milstein", "srk")

    def sampler(denoise: Any, x: Any, grid: Any, normal: Any) -> Any:
        _before_the_data(grid, path, noisy=True)
        driven, sample = _Driven(normal), tensor(x)
        for t, then in zip(grid.t[:-1].tolist(), grid.t[1:].tolist(), strict=True):
            sde = _Reverse(path, denoise, t, ito)
            ends = [0.0, t - then]
            brownian = _Increments(driven, t, sample)
            found = torchsde.sdeint(sde, sample, ends, bm=brownian, method=method, dt=t - then, **options)
            sample = found[-1]
        return sample.numpy()

    return sampler


def _before_the_data(grid: Any, path: paths.Gaussian, noisy: bool) -> None:
    if grid.sigma[-1] > 0:
        return
    if noisy:
        raise RefusedError("the reverse SDE has no drift at sigma = 0: its solvers end before the data")
    if not np.isfinite(float(path.d_sigma(0.0))):
        raise RefusedError(
            "the flow's velocity in t is infinite at sigma = 0 of this path: end before the data"
        )


class _Reverse:
    """The reverse SDE from time t on, as torchsde takes one. Its drift is first asked for its shape alone."""

    noise_type = "additive"

    def __init__(self, path: paths.Gaussian, denoise: Any, t: float, ito: bool) -> None:
        self.path, self.denoise, self.start = path, denoise, t
        self.sde_type = "ito" if ito else "stratonovich"
        self.asked = False

    def f(self, tau: Any, y: Any) -> Any:
        if not self.asked:
            self.asked = True
            return 0 * y
        return tensor(reverse_sde(self.path, self.denoise, y.numpy(), self.start - float(tau)))

    def g(self, tau: Any, y: Any) -> Any:
        identity = np.broadcast_to(np.eye(y.shape[1]), (*y.shape, y.shape[1]))
        return tensor(diffusion(self.path, self.start - float(tau)) * identity)


class _Increments:
    """A Brownian path from time t on, as torchsde takes one."""

    levy_area_approximation = "space-time"

    def __init__(self, driven: _Driven, t: float, like: Any) -> None:
        self.driven, self.start, self.like = driven, -t, like
        self.shape, self.dtype, self.device = like.shape, like.dtype, like.device

    def __call__(self, ta: Any, tb: Any, return_U: bool = False, return_A: bool = False) -> Any:
        a, b = self.start + float(ta), self.start + float(tb)
        W = self.driven.increment(a, b)
        if not return_U:
            return tensor(W)
        # U is the integral of W - W(a) over the step
        return tensor(W), tensor((b - a) * (W / 2 + self.driven.area(a, b)))


def of_diffrax(name: str, path: paths.Gaussian, options: dict[str, Any]) -> Sampler:
    """Return a solver of diffrax on the probability flow or, if it is for SDEs or with sde=True, the reverse SDE.

    Raises ValueError for one that it does not have, and RefusedError, where noise is added, when run to sigma = 0.
    """
    diffrax = library("diffrax", "diffrax")
    kinds = {
        word: found
        for word, found in vars(diffrax).items()
        if isinstance(found, type) and issubclass(found, diffrax.AbstractSolver)
    }
    if name not in kinds:
        raise unknown("solver of diffrax", name, kinds)
    if "Milstein" in name:
        raise ValueError(
            f"sampler is diffrax's {name}, which differentiates the noise of all samples at once: on additive noise "
            "it is Euler's step, use Euler(sde=True)"
        )
    of_pairs = "MultiTerm" in str(getattr(kinds[name], "term_structure", ""))
    noisy = options.pop("sde", of_pairs or issubclass(kinds[name], diffrax.AbstractSRK))
    return _InJax(kinds[name](**options), path, bool(noisy))


class _InJax:
    """A solver of diffrax. Its step is compiled once for each size, in which the model is asked by a callback."""

    def __init__(self, solver: Any, path: paths.Gaussian, noisy: bool) -> None:
        self.solver, self.path, self.noisy = solver, path, noisy
        self._compiled: dict[int, Any] = {}
        self._drift: Callable[[Any, Any], Any] = lambda t, y: y

    def __call__(self, denoise: Any, x: Any, grid: Any, normal: Any) -> Any:
        """Step from node to node; samples are padded to sizes that are powers of two."""
        import jax

        _before_the_data(grid, self.path, self.noisy)
        driven, size = _Driven(normal), x.size
        right = reverse_sde if self.noisy else (lambda *given: -velocity(*given))
        times = {float(-t): float(t) for t in grid.t}

        def drift(tau: Any, y: Any) -> Any:
            places = np.array(y)[:size].reshape(x.shape)
            found = np.zeros_like(y)
            found[:size] = right(self.path, denoise, places, times.get(float(tau), -float(tau))).ravel()
            return found

        self._drift = drift
        y = np.zeros(1 << (size - 1).bit_length())
        y[:size] = x.ravel()
        with jax.enable_x64(True):
            step, state = self._step(y.size), None
            for a, b in zip(-grid.t[:-1], -grid.t[1:], strict=True):
                W, H = np.zeros_like(y), np.zeros_like(y)
                if self.noisy:
                    W[:size] = driven.increment(a, b).ravel()
                    H[:size] = driven.area(a, b).ravel() if self._has_area else 0.0
                y, state = step(a, b, y, state, W, H)
        return np.array(y)[:size].reshape(x.shape)

    @property
    def _has_area(self) -> bool:
        return bool(getattr(self.solver, "minimal_levy_area", None))

    def _step(self, size: int) -> Any:
        """Return the compiled step for samples of that many numbers: (a, b, y, state, W, H) -> (y, state)."""
        if size in self._compiled:
            return self._compiled[size]
        import diffrax
        import jax
        import jax.numpy as jnp

        # its operators are what diffrax takes a diffusion as
        lineax = importlib.import_module("lineax")
        path, solver = self.path, self.solver
        struct: Any = jax.ShapeDtypeStruct
        one, like = struct((), jnp.float64), struct((size,), jnp.float64)

        def drift(t: Any, y: Any, args: Any) -> Any:
            return jax.pure_callback(lambda *given: self._drift(*given), like, t, y, vmap_method="sequential")

        def noise(t: Any, y: Any, args: Any) -> Any:
            g = jax.pure_callback(
                lambda t: np.float64(diffusion(path, -float(t))), one, t, vmap_method="sequential"
            )
            return lineax.DiagonalLinearOperator(g * jnp.ones(size))

        base: Any = diffrax.AbstractBrownianPath

        class Given(base):  # type: ignore[misc]
            """The increment of this step and its area."""

            W: Any
            H: Any
            levy_area = diffrax.SpaceTimeLevyArea

            @property
            def t0(self) -> None:
                return None

            @property
            def t1(self) -> None:
                return None

            def evaluate(self, t0: Any, t1: Any = None, left: bool = True, use_levy: bool = False) -> Any:
                return diffrax.SpaceTimeLevyArea(dt=t1 - t0, W=self.W, H=self.H) if use_levy else self.W

        make: Any = Given

        def step(a: Any, b: Any, y: Any, state: Any, W: Any, H: Any) -> Any:
            terms: Any = diffrax.ODETerm(drift)
            if self.noisy:
                terms = diffrax.MultiTerm(terms, diffrax.ControlTerm(noise, make(W, H)))
            if state is None:
                state = solver.init(terms, a, b, y, None)
            ahead, _, _, state, _ = solver.step(terms, a, b, y, None, state, made_jump=False)
            return ahead, state

        self._compiled[size] = jax.jit(step)
        return self._compiled[size]
