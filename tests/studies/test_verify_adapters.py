"""Samplers of other libraries in the plain form: k-diffusion's, by functions of its form that are written here."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from analytic import paths
from studies.verify import CHECKS, Subject
from studies.verify.adapters.k_diffusion import of_function
from studies.verify.adapters.shared import BrownianPath
from studies.verify.contract import FAILED, PASSED
from studies.verify.named import subject_of, with_options

EDM = paths.EDM(0.02, 20)


def sample_heun(model: Any, x: Any, sigmas: Any, disable: Any = None, s_noise: float = 1.0) -> Any:
    """Heun's method as k-diffusion has it: noise is drawn in every step, and without churn not used."""
    for i in range(len(sigmas) - 1):
        torch.randn_like(x)
        s_in = x.new_ones([x.shape[0]])
        d = (x - model(x, sigmas[i] * s_in)) / sigmas[i]
        ahead = x + d * (sigmas[i + 1] - sigmas[i])
        if sigmas[i + 1] > 0:
            late = (ahead - model(ahead, sigmas[i + 1] * s_in)) / sigmas[i + 1]
            ahead = x + (d + late) / 2 * (sigmas[i + 1] - sigmas[i])
        x = ahead
    return x


def sample_two_noises(model: Any, x: Any, sigmas: Any, noise_sampler: Any = None, nested: bool = True) -> Any:
    """The exponential midpoint rule on the reverse SDE, noise to the middle and to the end; 1 - e^(-2h) is fresh."""
    for i in range(len(sigmas) - 1):
        now, then = sigmas[i], sigmas[i + 1]
        s_in = x.new_ones([x.shape[0]])
        D = model(x, now * s_in)
        if then == 0:
            x = D
            continue
        middle = torch.sqrt(now * then)

        def moved(D: Any, to: Any, z: Any, x: Any = x, now: Any = now) -> Any:
            kept = (to / now) ** 2
            return kept * x + (1 - kept) * D + to * torch.sqrt(1 - kept) * z

        between = noise_sampler(now, middle)
        D = model(moved(D, middle, between), middle * s_in)
        x = moved(D, then, noise_sampler(now, then) if nested else torch.randn_like(x))
    return x


def test_increments_of_a_brownian_path_are_those_of_one_path() -> None:
    """Each normal that is drawn is a coordinate, so that products of increments are their covariances."""
    count = [0]

    def normal() -> Any:
        count[0] += 1
        return np.eye(16)[count[0] - 1]

    path = BrownianPath(normal)
    asked = [(5.0, 3.0), (5.0, 1.0), (3.0, 1.0), (4.0, 2.0), (1.0, 0.5), (6.0, 0.5)]
    found = np.array([path.increment(*ends) * np.sqrt(ends[0] - ends[1]) for ends in asked])
    overlaps = [[max(0.0, min(a, c) - max(b, d)) for c, d in asked] for a, b in asked]
    np.testing.assert_allclose(found @ found.T, overlaps, atol=1e-12)


def test_a_deterministic_sampler_passes_but_for_the_noise_that_it_draws_in_vain() -> None:
    subject = Subject("heun", EDM, 2, given=of_function(sample_heun, EDM))
    found = {name: check(subject) for name, check in CHECKS.items()}
    assert {name for name, f in found.items() if f.result == FAILED} == {"noise"}
    assert found["order, mixture"].result == PASSED


@pytest.mark.parametrize(("nested", "order"), [(True, 2.0), (False, 1.0)])
def test_noises_of_nested_times_are_of_one_path(nested: bool, order: float) -> None:
    sampler = of_function(sample_two_noises, EDM, nested=nested)
    assert CHECKS["order, log-snr"](Subject("two", EDM, order, "weak", given=sampler)).result != FAILED
    finding = CHECKS["order, log-snr"](Subject("two", EDM, 2.0, "weak", given=sampler))
    assert (finding.result == FAILED) != nested


def test_what_the_library_lacks_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "k_diffusion", None)
    finding = CHECKS["result"](subject_of("k_diffusion:sample_heun"))
    assert "cannot be imported" in finding.found
    library = ModuleType("k_diffusion.sampling")
    library.sample_heun = sample_heun  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "k_diffusion", ModuleType("k_diffusion"))
    monkeypatch.setitem(sys.modules, "k_diffusion.sampling", library)
    assert CHECKS["result"](subject_of("k_diffusion:sample_heun(s_noise=1.0)")).result == PASSED
    assert "did you mean sample_heun" in CHECKS["result"](subject_of("k_diffusion:sample_hein")).found
    assert (
        "a path with alpha = 1" in CHECKS["result"](subject_of("k_diffusion:sample_heun", paths.VP())).found
    )
    with pytest.raises(TypeError, match="takes no sigmas"):
        of_function(lambda model, x, sigma_min, sigma_max, n: x, EDM)


IN_TORCH = """
import torch

arrays, order = "torch", 1


def sampler(denoise, x, grid, low=False):
    for i in range(len(grid.t) - 1):
        D = denoise(x, grid.t[i])
        ratio = grid.sigma[i + 1] / grid.sigma[i]
        x = ratio * x + (grid.alpha[i + 1] - ratio * grid.alpha[i]) * D
        x = x.to(torch.float32) if low else x
    return x


class Noisy(torch.nn.Module):
    def __init__(self, churn=0.5):
        super().__init__()
        self.churn = churn

    def forward(self, denoise, x, grid):
        for i in range(len(grid.t) - 1):
            D = denoise(x, grid.t[i])
            now, then = grid.sigma[i] / grid.alpha[i], grid.sigma[i + 1] / grid.alpha[i + 1]
            up = self.churn * then * torch.sqrt(1 - (then / now) ** 2)
            down = torch.sqrt(then**2 - up**2)
            x = grid.alpha[i + 1] * (down / now * x / grid.alpha[i] + (1 - down / now) * D + up * torch.randn_like(x))
        return x


class Steps:
    def __init__(self, rate, late=False):
        self.rate, self.late = rate, late

    def step(self, x, t, t_next):
        h = (t_next - t)[:, None]
        first = self.rate(x, t)
        if torch.all(t_next == 0):
            return x + h * first
        return x + h * (first + self.rate(x + h * first, t if self.late else t_next)) / 2
"""


def test_torch_functions_modules_and_step_classes_are_taken(tmp_path: Any) -> None:
    file = tmp_path / "in_torch.py"
    file.write_text(IN_TORCH)
    plain = subject_of(str(file))
    assert {CHECKS[name](plain).result for name in ("order, log-snr", "order, mixture", "dtype")} == {PASSED}
    low = CHECKS["dtype"](subject_of(f"{file}:sampler(low=True)"))
    assert (low.result, low.found) == (FAILED, "float32 for float16")
    noisy = subject_of(f"{file}:Noisy(churn=0.8)", order=1, sense="weak")
    assert {CHECKS[name](noisy).result for name in ("order, uneven", "law, mixture", "frozen model")} == {
        PASSED
    }
    steps = subject_of(f"{file}:Steps", order=2)
    assert CHECKS["order, uneven"](steps).result == PASSED
    late = CHECKS["order, uneven"](subject_of(f"{file}:Steps(late=True)", order=2))
    assert late.result == FAILED


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "order", "sense"),
    [
        ("torchsde:euler", 1, "weak"),
        ("torchsde:srk", 2, "weak"),
        ("diffrax:Heun", 2, "ode"),
        ("diffrax:SRA1", 2, "weak"),
    ],
)
def test_solvers_of_equations_have_their_orders(name: str, order: float, sense: str) -> None:
    subject = subject_of(name, order=order, sense=sense)
    assert isinstance(subject, Subject)
    found = {check: CHECKS[check](subject) for check in ("order, uneven", "reproducible", "rotation")}
    assert {one.result for one in found.values()} == {PASSED}, found
    too_high = subject_of(name, order=order + 1, sense=sense)
    assert CHECKS["order, uneven"](too_high).result == FAILED
    with pytest.raises(ValueError, match="which is not known"):
        subject_of(f"{name}s").run(lambda x, t: x, np.ones((1, 1)), np.array([0.5, 0.4]))  # type: ignore[union-attr]


def test_flow_matching_is_asked_at_its_own_times(monkeypatch: pytest.MonkeyPatch) -> None:
    """ODESolver hands its method, the grid of times and a velocity (x=, t=) to torchdiffeq's odeint."""
    from torchdiffeq import odeint

    class ODESolver:
        def __init__(self, velocity_model: Any) -> None:
            self.model = velocity_model

        def sample(self, x_init: Any, step_size: Any, method: str, time_grid: Any) -> Any:
            return odeint(lambda t, x: self.model(x=x, t=t), x_init, time_grid, method=method)[-1]

    library = ModuleType("flow_matching.solver")
    library.ODESolver = ODESolver  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "flow_matching", ModuleType("flow_matching"))
    monkeypatch.setitem(sys.modules, "flow_matching.solver", library)
    subject = subject_of("flow_matching:heun3", order=3)
    found = {name: CHECKS[name](subject) for name in ("order, mixture", "last step to the data", "levels")}
    assert {one.result for one in found.values()} == {PASSED}, found


def test_options_are_put_into_brackets() -> None:
    assert with_options("diffusers:A", ["b=2", "c=karras"]) == "diffusers:A(b=2, c='karras')"
    assert with_options("mine.py", ["b=2"]) == "mine.py:sampler(b=2)"
    assert with_options("mine.py:f(a=1)", ["b=True"]) == "mine.py:f(a=1, b=True)"
    with pytest.raises(ValueError, match="config is 'b': write NAME=VALUE"):
        with_options("mine.py", ["b"])
