"""`assay mixing`: what Langevin dynamics on the target need."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..command import verb
from ..study import Study


@verb(methods=False, expects=False)
def mixing(
    methods: Annotated[
        list[str] | None,
        typer.Argument(help="Langevin methods: ula, baoab, mala, zig-zag, ... All by default."),
    ] = None,
    dims: Annotated[
        list[int] | None, typer.Option("--dim", help="Dimension, repeatable: 1, 10, 100 and 1000 by default.")
    ] = None,
    conditions: Annotated[
        list[int] | None,
        typer.Option(
            "--condition", help="Condition number, repeatable: 1 to 10000 in powers of 10 by default."
        ),
    ] = None,
    budgets: Annotated[
        list[int] | None,
        typer.Option("--budget", help="Evaluations to compare at, repeatable: 16 to 1024 by default."),
    ] = None,
    w2: Annotated[float, typer.Option(help="W2 to reach, in units of the widest standard deviation.")] = 0.1,
) -> Study[Any]:
    """Measure what Langevin dynamics on Gaussians need, by exact moments: bias, evaluations, errors.

    Samplers start one deviation off the mean along every direction, with a velocity from N(0, I), and take equal steps.
    Steps and frictions are the best for each number. Dimension and condition number grow; exponents stand beside what
    theory says. MALA, HMC, the zig-zag and the bouncy particle have no bias, which samples on a mixture confirm.

    Example: assay mixing ula ubu randomized-midpoint --condition 100 --plot mixing.png
    """
    from .study import Mixing

    asked = {"methods": methods, "dims": dims, "conditions": conditions, "budgets": budgets}
    return Mixing(**{name: tuple(value) for name, value in asked.items() if value}, w2=w2)  # type: ignore[arg-type]
