"""`assay precision`: what drawing tokens in float32 does."""

from __future__ import annotations

from typing import Annotated

import typer

from ..output import render
from ..output.options import FormatOption, JsonOption, TableOption, check_output
from ..output.unconverted import Report, show
from . import study


def precision(
    draw: Annotated[
        list[str] | None,
        typer.Option(
            help="Draw by name, repeatable; float64 beside three in float32 by default, which takes a minute."
        ),
    ] = None,
    bits: Annotated[
        int | None,
        typer.Option(help="Bits of the uniform numbers of float32 draws; each draw's own by default."),
    ] = None,
    table: TableOption = None,
    form: FormatOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure how far drawing tokens in float32 takes a sampler of many steps from its target.

    By the exact law of the arithmetic, for inverse CDF, Gumbel and exponential race as libraries have them.

    Example: assay precision --table precision.csv
    """
    check_output(form, table)
    noises = {study.SHOWN_NOISE: study.NOISES[study.SHOWN_NOISE]}
    found = study.precision(noises=noises, draws=draw or study.SHOWN_DRAWS, bits=bits)
    report = Report(
        "precision",
        "Error of one token drawn by ancestral sampling in many steps, and its growth with them",
        found if as_json else study.summary(found),
        [
            "growth: exponent of TV in the number of steps. predicted: by the derivation in studies/precision/study.py."
        ],
    )
    show([report], form, as_json)
    if table is not None:
        render.write(found, table)
