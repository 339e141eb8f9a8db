"""Schedulers of diffusers in the plain form: their steps are those of the catalogue, their own grids are looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analytic import paths
from studies.verify import CHECKS, Subject
from studies.verify.contract import FAILED, NOT_ASKED, PASSED
from studies.verify.named import subject_of
from studies.verify.probe import NORMAL, exact, nodes_of, parts, probe
from studies.verify.subject import Ran

pytestmark = pytest.mark.filterwarnings("ignore")
GRID = ("karras", 10)
SDE = "(algorithm_type='sde-dpmsolver++')"


def scheduler(text: str, order: float | None = None, sense: str | None = None, **given: Any) -> Subject:
    subject = subject_of(f"diffusers:{text}", order=order, sense=sense, **given)
    assert isinstance(subject, Subject)
    return subject


@pytest.mark.parametrize(
    ("text", "ours"),
    [
        ("DDIMScheduler", "ddim"),
        ("DDIMScheduler(eta=1.0)", "ddpm"),
        ("DDPMScheduler", "ddpm"),
        ("EulerDiscreteScheduler", "ddim"),
        ("EulerAncestralDiscreteScheduler", "ddpm"),
        ("HeunDiscreteScheduler", "heun"),
        ("KDPM2DiscreteScheduler", "dpm-solver-2"),
        ("LMSDiscreteScheduler", "lms"),
        ("DPMSolverMultistepScheduler", "dpm-solver++-2m"),
        (f"DPMSolverMultistepScheduler{SDE}", "sde-dpm-solver++-2m"),
        ("DPMSolverMultistepScheduler(prediction_type='v_prediction')", "dpm-solver++-2m"),
        ("EulerDiscreteScheduler(prediction_type='v_prediction')", "ddim"),
        ("DDIMScheduler(prediction_type='sample')", "ddim"),
        ("EDMEulerScheduler", "ddim"),
        ("EDMDPMSolverMultistepScheduler", "dpm-solver++-2m"),
    ],
)
def test_the_recovered_steps_are_those_of_the_catalogue(text: str, ours: str) -> None:
    theirs = scheduler(text)
    own = subject_of(ours, theirs.path)
    assert isinstance(own, Subject)
    nodes = nodes_of(theirs.path, *GRID)
    found, known = probe(theirs, nodes), probe(own, nodes)
    np.testing.assert_allclose([found.offset, found.scale], [known.offset, known.scale], atol=1e-13)
    # noises up to their sign
    np.testing.assert_allclose(np.abs(found.noise), np.abs(known.noise), atol=1e-13)


@pytest.mark.parametrize(
    "text",
    [
        "PNDMScheduler",
        "PNDMScheduler(skip_prk_steps=True)",
        "IPNDMScheduler",
        "UniPCMultistepScheduler(solver_order=3)",
        "EDMDPMSolverMultistepScheduler",
        "FlowMatchHeunDiscreteScheduler",
        "KDPM2AncestralDiscreteScheduler",
        "DPMSolverSDEScheduler",
        "DPMSolverMultistepScheduler(prediction_type='v_prediction')",
        "EulerDiscreteScheduler(prediction_type='sample')",
    ],
)
def test_direct_runs_are_what_the_recovered_numbers_say(text: str) -> None:
    subject = scheduler(text)
    nodes, rng = nodes_of(subject.path, *GRID), np.random.default_rng(4)
    found = probe(subject, nodes)
    x, z = rng.standard_normal((5, 1)), rng.standard_normal((len(found.noise), 5, 1))
    direct = subject.run(exact(subject, NORMAL), x, nodes, lambda k, shape: z[k]).x
    np.testing.assert_allclose(
        direct, found.offset + found.scale * x + np.tensordot(found.noise, z, 1), atol=1e-10
    )


def test_first_steps_of_another_form_are_taken_where_they_are_asked() -> None:
    """PNDM asks four times a step at first, or twice at the second node; IPNDM once, of lower order."""
    asked = {}
    for text in ("PNDMScheduler", "PNDMScheduler(skip_prk_steps=True)", "IPNDMScheduler"):
        subject = scheduler(text)
        nodes = nodes_of(subject.path, "log-snr", 6)
        ran = subject.run(lambda x, t: 0 * x, np.ones((1, 1)), nodes)
        asked[text] = [int(np.argmin(np.abs(nodes - t))) for t, _ in ran.asked]
        assert CHECKS["levels"](subject).result == PASSED
    # Runge-Kutta asks about the middle twice, here nearest to one of its ends
    assert len(asked["PNDMScheduler"]) == 3 * 4 + 3
    assert asked["PNDMScheduler(skip_prk_steps=True)"] == [0, 1, 1, 2, 3, 4, 5]
    assert asked["IPNDMScheduler"] == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("EulerDiscreteScheduler(final_sigmas_type='sigma_min')", "evaluation 5 of 5 moves nothing"),
        ("PNDMScheduler", "evaluation 14 of 14 moves nothing"),
        ("DEISMultistepScheduler", "noise of deviation 0.01 is left: it ends above zero"),
        ("EulerDiscreteScheduler(s_churn=20.0)", "adds more noise than it takes away"),
        ("UniPCMultistepScheduler(use_karras_sigmas=True)", "is told the level sigma = 0.01"),
    ],
)
def test_faults_of_own_grids_are_found(text: str, hint: str) -> None:
    finding = CHECKS["own grid"](scheduler(text))
    assert finding.result == FAILED
    assert hint in finding.found


@pytest.mark.parametrize("text", ["DDIMScheduler", "HeunDiscreteScheduler", "EDMEulerScheduler"])
def test_own_grids_without_fault_pass(text: str) -> None:
    assert CHECKS["own grid"](scheduler(text)).result == PASSED
    assert CHECKS["own grid"](Subject("none", paths.VP(), given=lambda *given: given[1])).result == NOT_ASKED


def test_a_sign_in_the_third_order_sde_solver_is_found() -> None:
    """DPM-Solver++(3M) for the SDE as diffusers 0.42.1 has it: minus one half where the expansion has plus."""
    wrong = scheduler(
        "DPMSolverMultistepScheduler(algorithm_type='sde-dpmsolver++',solver_order=3)", 3, "weak"
    )
    finding = CHECKS["order, log-snr"](wrong)
    assert finding.result == FAILED
    assert "order 0.9" in finding.found or "order 0.8" in finding.found


def test_what_chooses_its_own_levels_and_options_that_are_none_are_said() -> None:
    own = scheduler("EulerDiscreteScheduler(use_karras_sigmas=True)", 1)
    finding = CHECKS["order, log-snr"](own)
    assert finding.result == NOT_ASKED
    assert "cannot be put on a grid" in finding.found
    # with a table as short as the grid rounding tells the network each of its levels, and steps have others
    for text in ("DPMSolverMultistepScheduler", "UniPCMultistepScheduler", "DEISMultistepScheduler"):
        rounded = scheduler(f"{text}(use_karras_sigmas=True)", 2)
        assert {CHECKS[name](rounded).result for name in ("translation", "result")} == {NOT_ASKED}
    with pytest.raises(ValueError, match="did you mean DDIMScheduler"):
        scheduler("DIMScheduler")
    finding = CHECKS["result"](scheduler("DDIMScheduler(etta=1)"))
    assert "option of DDIMScheduler is 'etta', which is not known: did you mean eta" in finding.found


MINE = """
import numpy as np
import torch


class Output:
    def __init__(self, prev_sample):
        self.prev_sample = prev_sample


class Mine:
    \"\"\"Euler's method in sigma on a table of betas, whose last level may be repeated.\"\"\"

    def __init__(self, num_train_timesteps=1000, trained_betas=None, repeat=False):
        betas = np.linspace(1e-4, 0.02, num_train_timesteps) if trained_betas is None else np.array(trained_betas)
        self.alphas_cumprod = torch.from_numpy(np.cumprod(1 - betas))
        self.config, self.repeat = self, repeat

    def set_timesteps(self, steps):
        table = np.sqrt((1 - self.alphas_cumprod.numpy()) / self.alphas_cumprod.numpy())
        at = np.linspace(len(table) - 1, 0, steps).round()
        self.timesteps, self.at = torch.from_numpy(at), 0
        self.sigmas = [*table[at.astype(int)], table[0] if self.repeat else 0.0]

    def scale_model_input(self, sample, t):
        return sample / (self.sigmas[self.at] ** 2 + 1) ** 0.5

    def step(self, model_output, timestep, sample):
        now, then = self.sigmas[self.at : self.at + 2]
        self.at += 1
        return Output(sample + (then - now) * model_output)
"""


def test_a_scheduler_of_ones_own_is_taken_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(MINE)
    sound = subject_of(f"{file}:Mine", order=1)
    assert isinstance(sound, Subject)
    assert sound.path == paths.VP()
    assert {CHECKS[name](sound).result for name in ("order, log-snr", "order, uneven", "own grid")} == {
        PASSED
    }
    repeated = CHECKS["own grid"](subject_of(f"{file}:Mine(repeat=True)", order=1))
    assert "evaluation 5 of 5 moves nothing: a level is repeated" in repeated.found


def test_parts_name_what_is_not_linear() -> None:
    clipped = scheduler("DDIMScheduler(clip_sample=True)", 1)
    assert CHECKS["order, log-snr"](clipped).found == "the sampler is not linear in samples, model and noise"
    assert not parts(lambda x, noise: Ran(x**2), 0)[0].linear
