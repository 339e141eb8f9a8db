"""Samplers of tokens: one-step kernels made of moves, their exact laws and their draws."""

from .executors import law, sample
from .flow import Flow, bridge, forward_rates, resample, reverse_rates
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
    "forward_rates",
    "law",
    "resample",
    "reverse_rates",
    "sample",
    "walk",
]
