"""The catalogue of samplers and the executors that run them.

A continuous method is a pure function (path, grid) -> Tableau; an executor runs any tableau: `sample` (compiled,
in parallel), `run` (any model on numpy, torch or CuPy arrays), `law` (exact law on a Gaussian), `strong` (exact
strong error), `density` (law on a one-dimensional mixture). A discrete method is (noise, grid) -> Kernel, which
`sample` and `law` run on token sequences. `statistics` keeps moments and histograms of any number of samples.
"""

from . import grids
from .arrays import run
from .catalogue import Claim, Method, catalogue
from .denoiser import denoiser
from .density import DensityLaw, density
from .discrete import Kernel
from .executors import law, sample
from .imperfect import Imperfect, ScoreError
from .law import GaussianLaw
from .reductions import Statistics, statistics
from .strong import strong
from .tableau import Block, Tableau
from .trace import Trace

catalogue.discover()

__all__ = [
    "Block",
    "Claim",
    "DensityLaw",
    "GaussianLaw",
    "Imperfect",
    "Kernel",
    "Method",
    "ScoreError",
    "Statistics",
    "Tableau",
    "Trace",
    "catalogue",
    "denoiser",
    "density",
    "grids",
    "law",
    "run",
    "sample",
    "statistics",
    "strong",
]
