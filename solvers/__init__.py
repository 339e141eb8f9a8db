"""The catalogue of samplers and the executors that run them.

A method is a pure function (path, grid) -> Tableau; an executor runs any tableau: `sample` (compiled, in
parallel), `run` (any model on numpy, torch or CuPy arrays), `law` (exact law on a Gaussian), `strong` (exact
strong error), `density` (law on a one-dimensional mixture).
"""

from . import grids
from .arrays import run
from .catalogue import Claim, Method, catalogue
from .denoiser import denoiser
from .density import DensityLaw, density
from .fused import sample
from .law import GaussianLaw, law
from .strong import strong
from .tableau import Block, Tableau
from .trace import Trace

catalogue.discover()

__all__ = [
    "Block",
    "Claim",
    "DensityLaw",
    "GaussianLaw",
    "Method",
    "Tableau",
    "Trace",
    "catalogue",
    "denoiser",
    "density",
    "grids",
    "law",
    "run",
    "sample",
    "strong",
]
