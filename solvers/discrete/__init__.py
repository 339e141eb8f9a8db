"""Samplers of tokens: one-step kernels made of moves, their exact laws and their draws."""

from .divergence import path_kl, total_correlation
from .executors import law, sample, stream
from .flow import Flow, bridge, endpoint, forward_rates, resample, reverse_rates, velocity
from .kernel import Kernel, walk
from .moves import Move, Pair, Sites
from .tables import Tables

__all__ = [
    "Flow",
    "Kernel",
    "Move",
    "Pair",
    "Sites",
    "Tables",
    "bridge",
    "endpoint",
    "forward_rates",
    "law",
    "path_kl",
    "resample",
    "reverse_rates",
    "sample",
    "stream",
    "total_correlation",
    "velocity",
    "walk",
]
