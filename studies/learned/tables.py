"""Tables of the gap under learned scores."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd

from .measure import PUBLISHED, LearnedGap


def table(records: Collection[LearnedGap]) -> pd.DataFrame:
    """One row a network: thousandths of squared W2 with half widths, score error, residual, bounds over measured."""
    rows = []
    for r in records:
        w2 = np.sqrt(max(r.ode_sde, 0.0))
        control = r.objective == "none"
        rows.append(
            {
                "score": r.network,
                "penalty": r.penalty,
                "ODE-truth": _thousandths(r.ode_truth, r.ode_truth_error),
                "SDE-truth": _thousandths(r.sde_truth, r.sde_truth_error),
                "ODE-SDE": _thousandths(r.ode_sde, r.ode_sde_error),
                "score error": r.score_error,
                "residual": r.residual,
                "KL ODE-SDE": f"{r.kl_ode_sde:.3f}±{r.kl_ode_sde_error:.3f}",
                "KL bound": f"{r.kl_bound:.2g}",
                "W2 bound / W2": float("nan") if control else r.bound / w2,
                "holds": "yes" if r.holds else "NO",
            }
        )
    published = {"score": "Deveney et al., no penalty", "penalty": 0.0}
    published |= {
        k: f"{1e3 * v:.0f}" for k, v in zip(("ODE-truth", "SDE-truth", "ODE-SDE"), PUBLISHED, strict=True)
    }
    return pd.DataFrame([*rows, published])


NOTES = [
    "ODE-truth, SDE-truth, ODE-SDE: squared 2-Wasserstein distance of the end laws, times 1000, with 95 % half widths.",
    "score error: root mean square of sigma (score - exact) over the times of training; residual: of the score "
    "Fokker-Planck equation along the ODE, root of its integral over time.",
    "KL bound: Girsanov's, from the residual; W2 bound: the better of Gronwall's and a transport inequality's.",
]


def _thousandths(value: float, error: float) -> str:
    return f"{1e3 * value:.2f}±{max(1e3 * error, 0.01):.2f}"
