"""Every method runs a torch module on batches of images, and gives what it gives on flattened numpy rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from analytic import paths
from solvers import catalogue, denoiser, grids, loops, run

PATH = paths.VP()
GRID = grids.log_snr(PATH, 4, start=0.7, stop=0.05)


class Network(torch.nn.Module):
    """A small convolution as a noise prediction that knows its time."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inner = torch.nn.Conv2d(1, 4, 3, padding=1, dtype=torch.float64)
        self.outer = torch.nn.Conv2d(4, 1, 3, padding=1, dtype=torch.float64)

    def forward(self, x: torch.Tensor, t: float) -> torch.Tensor:
        return x * t + self.outer(torch.tanh(self.inner(x) + t))


@pytest.fixture(autouse=True)
def _quiet_torch() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.no_grad():
        yield
    torch.set_num_threads(before)


NETWORK = Network()


def _on_rows(x: Any, t: float) -> Any:
    images = torch.from_numpy(np.ascontiguousarray(x)).reshape(-1, 1, 4, 4)
    return NETWORK(images, t).reshape(len(x), 16).numpy()


@pytest.mark.parametrize("name", list(catalogue.continuous))
def test_a_method_takes_images_and_a_module(name: str) -> None:
    tableau = catalogue[name].tableau(PATH, GRID)
    rows = np.random.default_rng(1).standard_normal((3, 16))
    images = torch.from_numpy(rows.copy()).reshape(3, 1, 4, 4)
    found = run(tableau, denoiser(NETWORK, predicts="eps", path=PATH), images, seed=5)
    assert isinstance(found, torch.Tensor)
    assert (found.shape, found.dtype) == (images.shape, images.dtype)
    expected = run(tableau, denoiser(_on_rows, predicts="eps", path=PATH), rows, seed=5)
    np.testing.assert_allclose(found.reshape(3, 16).numpy(), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    "name", ["dpm-solver-12", "dpm-solver-23", "dormand-prince", "predictor-corrector-norm"]
)
def test_a_loop_takes_images_and_a_module(name: str) -> None:
    rows = np.random.default_rng(1).standard_normal((3, 16))
    images = torch.from_numpy(rows.copy()).reshape(3, 1, 4, 4)
    solve = loops.catalogue[name].solve
    found = solve(PATH, GRID, denoiser(NETWORK, predicts="eps", path=PATH), images, seed=5).x
    assert isinstance(found, torch.Tensor)
    expected = solve(PATH, GRID, denoiser(_on_rows, predicts="eps", path=PATH), rows, seed=5).x
    np.testing.assert_allclose(found.reshape(3, 16).numpy(), expected, rtol=1e-9, atol=1e-9)
