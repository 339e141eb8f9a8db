"""The catalogue of samplers and the executors that run them.

A continuous method is a pure function (path, grid) -> Tableau; an executor runs any tableau: `sample` (compiled,
in parallel), `run` (any model on numpy, torch or CuPy arrays), `law` (exact law on a Gaussian), `stationary` (where
equal steps stay), `strong` (exact strong error), `density` (law on a one-dimensional mixture). A discrete method is
(noise, grid) -> Kernel, which `sample` and `law` run on token sequences. What is no table of coefficients - adaptive
steps, exact kernels - is a loop of its own in `loops`. `reductions` keep moments, histograms and n-grams of any number
of samples.
"""

from . import grids, loops, reductions, scheduler_config, tables
from .catalogue import Claim, Method, catalogue
from .continuous.calibrated import Calibrated
from .continuous.composed import Composed, Rescale, guided
from .continuous.denoiser import denoiser
from .continuous.executors.arrays import run
from .continuous.executors.density import DensityLaw, density
from .continuous.executors.law import GaussianLaw
from .continuous.executors.stationary import Stationary, stationary
from .continuous.executors.strong import strong
from .continuous.flow_model import flow_model
from .continuous.imperfect import Imperfect, ScoreError
from .continuous.observed import Observed
from .continuous.tableau import Block, Tableau
from .continuous.trace import Trace
from .discrete import Kernel
from .executors import law, sample
from .methods import discover

discover()

__all__ = [
    "Block",
    "Calibrated",
    "Claim",
    "Composed",
    "DensityLaw",
    "GaussianLaw",
    "Imperfect",
    "Kernel",
    "Method",
    "Observed",
    "Rescale",
    "ScoreError",
    "Stationary",
    "Tableau",
    "Trace",
    "catalogue",
    "denoiser",
    "density",
    "flow_model",
    "grids",
    "guided",
    "law",
    "loops",
    "reductions",
    "run",
    "sample",
    "scheduler_config",
    "stationary",
    "strong",
    "tables",
]
