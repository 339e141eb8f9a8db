"""How others run the samplers that are timed: each way is given a batch that fits a processor's cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from . import libraries, peers, token_peers
from .timing import Way
from .workloads import Tokens, Work, Workload

OWN = "assay"
BATCH = 16_384  # samples that compiled loops of others are given at a time
UNCOMPILED = 4  # times fewer, where nothing is compiled: they take long enough
COMPILED = ("XLA scan", "torch.compile", "diffrax")
TOKEN_BATCH = 1 << 19  # numbers in an array of others, one a sequence, site and token


def ways_of(work: Work, against: Sequence[str]) -> Iterator[Way]:
    """Yield ours, and then those that others have for this sampler, of the ways with these names."""
    n = work.samples
    yield Way(OWN, n, lambda: partial(work.sampler(), n))
    for name in against:
        of = WAYS[type(work)].get(name)
        way = of(work) if of else None
        if way is not None:
            yield way


def _batch(work: Workload, way: str) -> np.ndarray:
    batch = max(256, BATCH * 50 // max(50, work.components * work.dim))
    return np.asarray(work.sampler()(batch // (1 if way in COMPILED else UNCOMPILED)))


def _prior(work: Tokens) -> np.ndarray:
    process, n = work.process, max(64, TOKEN_BATCH // (work.vocabulary * work.length))
    return np.random.default_rng(0).choice(process.states, (n, work.length), p=process.prior)


def _of_torch(name: str, made: Callable[[Workload], Callable[[Any], Any]], *, first: bool = False) -> Any:
    """Return way(work) for what takes a tensor of torch, components first or last."""

    def way(work: Workload) -> Way:
        start = _batch(work, name)

        def make() -> Callable[[], Any]:
            import torch

            x, solve = torch.as_tensor(start.T.copy() if first else start), made(work)

            def call() -> Any:
                with torch.no_grad():
                    return solve(x)

            return call

        return Way(name, len(start), make)

    return way


def _torch_loop(compiled: str | None) -> Callable[[Workload], Any]:
    return lambda work: peers.torch_loop(work.tableau, work.target, compiled=compiled, first=True)


def _for(methods: tuple[str, ...], way: Any) -> Callable[[Workload], Way | None]:
    """Return the way for these methods alone."""
    return lambda work: way(work) if work.method in methods else None


def _xla(work: Workload) -> Way:
    start = _batch(work, "XLA scan")

    def make() -> Any:
        to_jax = peers.jax_array(simulated=True)
        import jax

        solve, x, key = peers.xla_scan(work.tableau, work.target), to_jax(start.T.copy()), jax.random.key(0)
        return lambda: solve(x, key).block_until_ready()

    return Way("XLA scan", len(start), make)


def _diffrax(work: Workload) -> Way:
    start = _batch(work, "diffrax")

    def make() -> Any:
        to_jax = peers.jax_array(simulated=True)
        import jax

        x, given = to_jax(start), (work.tableau, work.target)
        if work.method == "heun":
            flow = libraries.diffrax_heun(*given)
            return lambda: flow(x).block_until_ready()
        solve, keys = libraries.diffrax_sde(*given), jax.random.split(jax.random.key(0), len(start))
        return lambda: solve(x, keys).block_until_ready()

    return Way("diffrax", len(start), make)


OF_MIXTURES: Mapping[str, Callable[[Workload], Way | None]] = {
    "XLA scan": _xla,
    "torch.compile": _of_torch("torch.compile", _torch_loop("inductor"), first=True),
    "torch": _of_torch("torch", _torch_loop(None), first=True),
    "diffrax": _for(("heun", "ddpm"), _diffrax),
    "torchsde": _for(
        ("ddpm",), _of_torch("torchsde", lambda work: libraries.torchsde_euler(work.tableau, work.target))
    ),
    "diffusers": _for(
        ("ddpm",), _of_torch("diffusers", lambda work: libraries.diffusers_ddpm(work.target, work.steps))
    ),
    "k-diffusion": _of_torch("k-diffusion", lambda work: libraries.k_diffusion(work.tableau, work.target)),
}


def _of_tokens(name: str, made: Callable[..., Callable[[Any], Any]]) -> Callable[[Tokens], Way]:
    """Return way(work) for what `made(noise, grid, data)` returns."""

    def way(work: Tokens) -> Way:
        start = _prior(work)

        def make() -> Callable[[], Any]:
            import torch

            x, solve = torch.as_tensor(start), made(work.process, work.kernel.grid, work.data)
            return lambda: solve(x)

        return Way(name, len(start), make)

    return way


OF_TOKENS: Mapping[str, Callable[[Tokens], Way]] = {
    "torch": _of_tokens("torch", token_peers.torch_ancestral),
    "torch Categorical": _of_tokens(
        "torch Categorical", partial(token_peers.torch_ancestral, draw=token_peers.drawn_by_categorical)
    ),
    "flow_matching": _of_tokens("flow_matching", libraries.flow_matching),
}

WAYS: Mapping[type, Mapping[str, Callable[[Any], Way | None]]] = {Workload: OF_MIXTURES, Tokens: OF_TOKENS}
