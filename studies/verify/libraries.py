"""What the checks say of other libraries' samplers: the tables of docs/samplers.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from ..engine import run_all
from .contract import FAILED, NOT_ASKED, Finding
from .named import subject_of
from .study import Verification

Claim = tuple[str, float | None, str]
SDE, NOISE = (
    "algorithm_type='sde-dpmsolver++'",
    "algorithm_type='sde-dpmsolver',final_sigmas_type='sigma_min'",
)
EPS = "algorithm_type='dpmsolver',final_sigmas_type='sigma_min'"

# What each is held to: what its own documentation says, or where it says nothing its source; none for samplers that
# follow no equation.
DIFFUSERS: Sequence[Claim] = (
    ("DDIMScheduler", 1, "ode"),
    ("DDIMScheduler(eta=1.0)", 1, "weak"),
    ("DDIMParallelScheduler", 1, "ode"),
    ("DDPMScheduler", 1, "weak"),
    ("DDPMParallelScheduler", 1, "weak"),
    ("CogVideoXDDIMScheduler", 1, "ode"),
    ("EulerDiscreteScheduler", 1, "ode"),
    ("EulerDiscreteScheduler(s_churn=20.0)", 1, "weak"),
    ("EulerAncestralDiscreteScheduler", 1, "weak"),
    ("HeunDiscreteScheduler", 2, "ode"),
    ("KDPM2DiscreteScheduler", 2, "ode"),
    ("KDPM2AncestralDiscreteScheduler", 2, "weak"),
    ("LMSDiscreteScheduler", 4, "ode"),
    ("PNDMScheduler", 2, "ode"),
    ("PNDMScheduler(skip_prk_steps=True)", 2, "ode"),
    ("IPNDMScheduler", 4, "ode"),
    ("DEISMultistepScheduler(solver_order=1)", 1, "ode"),
    ("DEISMultistepScheduler(solver_order=2)", 2, "ode"),
    ("DEISMultistepScheduler(solver_order=3)", 3, "ode"),
    ("DPMSolverMultistepScheduler(solver_order=1)", 1, "ode"),
    ("DPMSolverMultistepScheduler(solver_order=2)", 2, "ode"),
    ("DPMSolverMultistepScheduler(solver_order=2,solver_type='heun')", 2, "ode"),
    ("DPMSolverMultistepScheduler(solver_order=3)", 3, "ode"),
    (f"DPMSolverMultistepScheduler({EPS},solver_order=2)", 2, "ode"),
    (f"DPMSolverMultistepScheduler({EPS},solver_order=3)", 3, "ode"),
    (f"DPMSolverMultistepScheduler({SDE},solver_order=2)", 2, "weak"),
    (f"DPMSolverMultistepScheduler({SDE},solver_order=2,solver_type='heun')", 2, "weak"),
    (f"DPMSolverMultistepScheduler({SDE},solver_order=3)", 3, "weak"),
    (f"DPMSolverMultistepScheduler({NOISE},solver_order=2)", 2, "weak"),
    ("DPMSolverSinglestepScheduler(solver_order=2)", 2, "ode"),
    ("DPMSolverSinglestepScheduler(solver_order=2,solver_type='heun')", 2, "ode"),
    ("DPMSolverSinglestepScheduler(solver_order=3)", 3, "ode"),
    ("DPMSolverSinglestepScheduler(solver_order=3,solver_type='heun')", 3, "ode"),
    (f"DPMSolverSinglestepScheduler({SDE},solver_order=2)", 2, "weak"),
    ("DPMSolverSDEScheduler", 2, "weak"),
    ("UniPCMultistepScheduler(solver_order=1)", 2, "ode"),
    ("UniPCMultistepScheduler(solver_order=2)", 3, "ode"),
    ("UniPCMultistepScheduler(solver_order=2,solver_type='bh1')", 3, "ode"),
    ("UniPCMultistepScheduler(solver_order=3)", 4, "ode"),
    ("UniPCMultistepScheduler(solver_order=2,predict_x0=False)", 3, "ode"),
    ("SASolverScheduler", 2, "ode"),
    ("EDMEulerScheduler", 1, "ode"),
    ("EDMEulerScheduler(s_churn=20.0)", 1, "weak"),
    ("EDMDPMSolverMultistepScheduler(solver_order=2)", 2, "ode"),
    ("EDMDPMSolverMultistepScheduler(solver_order=3)", 3, "ode"),
    ("CosineDPMSolverMultistepScheduler", 2, "weak"),
    ("FlowMatchEulerDiscreteScheduler", 1, "ode"),
    ("FlowMatchHeunDiscreteScheduler", 2, "ode"),
    ("FlowMapEulerDiscreteScheduler", 1, "ode"),
    ("LTXEulerAncestralRFScheduler", 1, "weak"),
    ("FlowMatchEulerDiscreteScheduler(stochastic_sampling=True)", None, "weak"),
    ("FlowMatchLCMScheduler", None, "weak"),
    ("LCMScheduler", None, "weak"),
    ("TCDScheduler", None, "weak"),
    ("EulerDiscreteScheduler(use_karras_sigmas=True)", 1, "ode"),
    ("HeunDiscreteScheduler(use_karras_sigmas=True)", 2, "ode"),
    ("DPMSolverMultistepScheduler(use_karras_sigmas=True)", 2, "ode"),
    ("UniPCMultistepScheduler(use_karras_sigmas=True)", 3, "ode"),
    ("DEISMultistepScheduler(use_karras_sigmas=True)", 2, "ode"),
)
K_DIFFUSION: Sequence[Claim] = (
    ("sample_euler", 1, "ode"),
    ("sample_euler(s_churn=20)", 1, "weak"),
    ("sample_heun", 2, "ode"),
    ("sample_heun(s_churn=20)", 2, "weak"),
    ("sample_dpm_2", 2, "ode"),
    ("sample_dpm_2_ancestral", 2, "weak"),
    ("sample_lms", 4, "ode"),
    ("sample_euler_ancestral", 1, "weak"),
    ("sample_dpmpp_2s_ancestral", 2, "weak"),
    ("sample_dpmpp_sde", 2, "weak"),
    ("sample_dpmpp_2m", 2, "ode"),
    ("sample_dpmpp_2m_sde", 2, "weak"),
    ("sample_dpmpp_2m_sde(solver_type='heun')", 2, "weak"),
    ("sample_dpmpp_3m_sde", 3, "weak"),
    ("sample_dpmpp_3m_sde(eta=0)", 3, "ode"),
)
TORCHSDE: Sequence[Claim] = (
    ("euler", 1, "weak"),
    ("milstein", 1, "weak"),
    ("heun", 2, "weak"),
    ("midpoint", 2, "weak"),
    ("euler_heun", 1, "weak"),
    ("srk", 2, "weak"),
)
DIFFRAX: Sequence[Claim] = (
    ("Euler", 1, "ode"),
    ("Heun", 2, "ode"),
    ("Midpoint", 2, "ode"),
    ("Ralston", 2, "ode"),
    ("Bosh3", 3, "ode"),
    ("Dopri5", 5, "ode"),
    ("Tsit5", 5, "ode"),
    ("Euler(sde=True)", 1, "weak"),
    ("EulerHeun", 1, "weak"),
    ("Heun(sde=True)", 2, "weak"),
    ("SRA1", 2, "weak"),
    ("SEA", 1, "weak"),
    ("ShARK", 2, "weak"),
)
TABLES: Mapping[str, Sequence[Claim]] = {
    "diffusers": DIFFUSERS,
    "k_diffusion": K_DIFFUSION,
    "torchsde": TORCHSDE,
    "diffrax": DIFFRAX,
}
ORDERS = {"even": "log-snr", "Karras": "karras", "uneven": "uneven", "mixture": "mixture"}


def table(library: str, jobs: int) -> pd.DataFrame:
    """Ask every listed sampler of a library all checks, and return a row for each.

    Raises ValueError if the library is not installed.
    """
    claims = TABLES[library]
    studies = [
        Verification(subject_of(f"{library}:{name}", order=order, sense=sense))
        for name, order, sense in claims
    ]
    found = run_all(studies, None, jobs)
    return pd.DataFrame([_row(claim, one.records) for claim, one in zip(claims, found, strict=True)])


def _row(claim: Claim, found: Sequence[Finding]) -> dict[str, Any]:
    name, order, sense = claim
    by = {one.check: one for one in found}
    row = {"sampler": name, "held to": "–" if order is None else f"{order:g} {sense}"}
    for column, grid in ORDERS.items():
        one = by[f"order, {grid}"]
        asked = one.result != NOT_ASKED and one.found.startswith("order")
        row[column] = _slope(one) if asked else "–"
    said = [f"{one.check}: {one.found}" for one in found if one.result == FAILED and "order" not in one.check]
    return row | {"also fails": "; ".join(said)}


def _slope(found: Finding) -> str:
    text = found.found.split(", claimed")[0].removeprefix("order ").replace(" (drifting)", " ~")
    return f"{text} ✗" if found.result == FAILED else text
