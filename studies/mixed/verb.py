"""`assay mixed`: tokens beside numbers, and tokens as numbers."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..command import verb
from ..study import Study


@verb(methods=False)
def mixed(
    studies: Annotated[
        list[str] | None,
        typer.Option(
            "--study",
            help="copies, split, interleaved, stationary, several, 'one token', rounding or sequence, repeatable.",
        ),
    ] = None,
    target: Annotated[
        str, typer.Option(help="Mixture on the line, whose component is the token.")
    ] = "easy-1d",
    samples: Annotated[int, typer.Option(help="Samples of embedded sequences.")] = 262_144,
    seed: Annotated[int, typer.Option(help="Seed of all noise.")] = 0,
) -> Study[Any]:
    """Measure Gibbs samplers of tokens and numbers, and tokens taken through space, against exact laws.

    Split and interleaved Gibbs by enumeration over tokens, in closed form or by quadrature over numbers; embeddings
    with rounding and flows on the simplex and its statistical manifold beside ancestral sampling of tokens.

    Example: assay mixed --study split --plot split.png
    """
    from analytic import targets as named

    from .study import STUDIES, Mixed

    return Mixed((target, named.load(target)), tuple(studies or STUDIES), samples, seed)
