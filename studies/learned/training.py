"""Training of small score networks: score matching, flow matching, the Fokker-Planck residual as a penalty."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np

from analytic import targets

from .networks import DIM, FEATURES, START, STOP, Kind, Network, jets

Objective = Literal["score matching", "flow matching"]
BOX = 3.5  # half width of the square on which the residual is penalised, as Deveney et al. have it
SAVE_EVERY = 250


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes
    ----------
    objective : str
        "score matching": a potential on mean |sigma score + eps|^2; "flow matching": a velocity on
        mean |v - (alpha' x_0 + sigma' eps)|^2. Times are START u^2 with u uniform.
    penalty : float
        Weight of the mean squared Fokker-Planck residual, at uniform points of a square and the same times.
    width, depth : int
        Hidden units a layer, and hidden layers.
    iterations, batch, points : int
        Steps of Adam; samples a step; points a step at which the residual is taken.
    rate : float
        Learning rate at first; it falls to zero as a cosine.
    seed : int

    Raises
    ------
    ValueError
        An unknown objective, a negative penalty, a penalty on a velocity, or counts below 1.
    """

    objective: Objective = "score matching"
    penalty: float = 0.0
    width: int = 48
    depth: int = 3
    iterations: int = 6000
    batch: int = 768
    points: int = 512
    rate: float = 4e-3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.objective not in ("score matching", "flow matching"):
            raise ValueError(f"objective is {self.objective!r}: use 'score matching' or 'flow matching'")
        if not (math.isfinite(self.penalty) and self.penalty >= 0):
            raise ValueError(f"penalty is {self.penalty}: give a number of at least 0")
        if self.penalty and self.objective == "flow matching":
            raise ValueError(f"penalty is {self.penalty} on a velocity, which has no log-density: use 0")
        for name in ("width", "depth", "iterations", "batch", "points"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: give at least 1")


RECIPES: dict[str, Recipe] = {
    "score-matching": Recipe(),
    "flow-matching": Recipe("flow matching"),
    "penalty-0.01": Recipe(penalty=0.01),
    "penalty-0.1": Recipe(penalty=0.1),
    "penalty-1": Recipe(penalty=1.0),
    "penalty-10": Recipe(penalty=10.0),
}


def import_torch() -> Any:
    """Return torch; ImportError that says how to install it."""
    try:
        import torch
    except ImportError:
        raise ImportError(
            "training needs torch, which is not installed: pip install 'assay[torch]'"
        ) from None
    return torch


def train(
    recipe: Recipe, state: str | Path | None = None, report: Callable[[int, float], None] | None = None
) -> Network:
    """Train a network on samples of the nine-component mixture.

    Parameters
    ----------
    recipe : Recipe
    state : path, optional
        File kept while training and removed at its end: a killed training of the same recipe goes on from it and
        ends with the same weights as one that was never killed.
    report : callable, optional
        Called with (iteration, loss) now and then.

    Returns
    -------
    Network

    Raises
    ------
    ImportError
        Without torch.
    """
    torch = import_torch()
    random = torch.Generator().manual_seed(recipe.seed)
    kind: Kind = "potential" if recipe.objective == "score matching" else "velocity"
    sizes = [FEATURES, *[recipe.width] * recipe.depth, 1 if kind == "potential" else DIM]
    layers = []
    for into, out in pairwise(sizes):
        W = torch.randn(out, into, generator=random) / math.sqrt(into)
        layers.append((W.requires_grad_(), torch.zeros(out, requires_grad=True)))
    parameters = [p for layer in layers for p in layer]
    optimiser = torch.optim.Adam(parameters, lr=recipe.rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.iterations)
    network = Network(kind, layers, asdict(recipe))
    mixture = targets.load("nine-2d")
    means = torch.tensor(mixture.means.tolist(), dtype=torch.float32)
    deviation = float(np.sqrt(mixture.variances.ravel()[0]))

    first, file = 0, None if state is None else Path(state)
    if file is not None and file.exists():
        kept = torch.load(file, weights_only=True)
        if kept["recipe"] == asdict(recipe):
            first = kept["iteration"]
            with torch.no_grad():
                for p, value in zip(parameters, kept["parameters"], strict=True):
                    p.copy_(value)
            optimiser.load_state_dict(kept["optimiser"])
            schedule.load_state_dict(kept["schedule"])
            random.set_state(kept["random"])

    for iteration in range(first, recipe.iterations):
        optimiser.zero_grad()
        loss = _loss(torch, network, recipe, means, deviation, random)
        if recipe.penalty:
            x = (2 * torch.rand(recipe.points, DIM, generator=random) - 1) * BOX
            loss = (
                loss
                + recipe.penalty * (network.residual(x, _times(torch, recipe.points, random)) ** 2).mean()
            )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        if report is not None and iteration % SAVE_EVERY == 0:
            report(iteration, float(loss.detach()))
        if file is not None and (iteration + 1) % SAVE_EVERY == 0:
            kept = {
                "recipe": asdict(recipe),
                "iteration": iteration + 1,
                "parameters": [p.detach() for p in parameters],
                "optimiser": optimiser.state_dict(),
                "schedule": schedule.state_dict(),
                "random": random.get_state(),
            }
            draft = file.with_name(f"{file.name}.{os.getpid()}.tmp")
            torch.save(kept, draft)
            os.replace(draft, file)
    if file is not None:
        file.unlink(missing_ok=True)
    # float64 holds float32 weights exactly, so a saved network is the trained one
    plain = [
        (W.detach().numpy().astype(np.float64), b.detach().numpy().astype(np.float64)) for W, b in layers
    ]
    return Network(kind, plain, asdict(recipe))


def _times(torch: Any, n: int, random: Any) -> Any:
    return (START * torch.rand(n, 1, generator=random) ** 2).clamp(min=STOP)


def _loss(torch: Any, network: Network, recipe: Recipe, means: Any, deviation: float, random: Any) -> Any:
    labels = torch.randint(len(means), (recipe.batch,), generator=random)
    x0 = means[labels] + deviation * torch.randn(recipe.batch, DIM, generator=random)
    t, eps = _times(torch, recipe.batch, random), torch.randn(recipe.batch, DIM, generator=random)
    alpha, sigma = torch.exp(-t), torch.sqrt(-torch.expm1(-2 * t) / 2)
    x = alpha * x0 + sigma * eps
    if network.kind == "potential":
        return ((sigma * network.score(x, t) + eps) ** 2).sum(1).mean()
    velocity = jets(network.layers, x, t, 0)[0]
    return ((velocity - (-alpha * x0 + alpha**2 / (2 * sigma) * eps)) ** 2).sum(1).mean()
