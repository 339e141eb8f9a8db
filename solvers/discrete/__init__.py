"""Samplers of tokens: one-step kernels made of moves, their exact laws and their draws."""

from .executors.law_and_sample import law, sample, stream
from .executors.path_divergence import path_kl
from .flow import Flow, arrival_rate, bridge, endpoint, forward_rates, resample, reverse_rates, velocity
from .kernel import Kernel, walk
from .model.every_state import Tables
from .moves.move import Move
from .moves.pair import Pair
from .moves.sites import Sites

__all__ = [
    "Flow",
    "Kernel",
    "Move",
    "Pair",
    "Sites",
    "Tables",
    "arrival_rate",
    "bridge",
    "endpoint",
    "forward_rates",
    "law",
    "path_kl",
    "resample",
    "reverse_rates",
    "sample",
    "stream",
    "velocity",
    "walk",
]
