"""`assay compare`: which method has the least error for as many evaluations."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..command import verb
from ..study import Study

METHODS = ("ddim-eta(eta=0.0)", "heun", "dpm-solver++-2m", "unipc", "ddpm", "sde-dpm-solver++-2m")
TOKEN_METHODS = ("tweedie-tau-leaping", "tau-leaping", "theta-trapezoidal", "discrete-euler", "gillespie")
TARGETS = ("easy-1d", "spectrum-16")
BUDGETS = (5, 10, 20, 50)
TEXT_SAMPLES = 256


@verb(expects=False)
def compare(
    methods: Annotated[
        list[str] | None,
        typer.Argument(help="Methods, with options: heun, 'unipc(order=3)'. A few of each kind by default."),
    ] = None,
    targets: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            help="Target by name or file (of points, .txt of text), repeatable: by exact law where there is one, else "
            f"by samples. By default {' and '.join(TARGETS)}.",
        ),
    ] = None,
    nfe: Annotated[
        list[int] | None,
        typer.Option(help="Evaluations of the model that a sample may take, repeatable; 5, 10, 20 and 50."),
    ] = None,
    steps: Annotated[
        list[int] | None, typer.Option(help="Steps instead, whatever they take; repeatable.")
    ] = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            help="W2, KL, TV, 'sliced W2' or 'bigram TV', repeatable; of each target the sharpest by default.",
        ),
    ] = None,
    paths: Annotated[
        list[str] | None,
        typer.Option(
            "--path",
            help="Path, or a scheduler_config.json, which brings its grid; repeatable, VP by default. On an "
            "Interpolant the way from the law of -0.6 x to the target.",
        ),
    ] = None,
    grids: Annotated[
        list[str] | None,
        typer.Option(
            "--grid",
            help="Grid of times by name, or a file of sigmas; repeatable, log-snr by default, geometric for tokens.",
        ),
    ] = None,
    noises: Annotated[
        list[str] | None,
        typer.Option("--noise", help="Noise on tokens, repeatable; masks and uniform noise by default."),
    ] = None,
    score: Annotated[
        str,
        typer.Option(
            help="What is asked instead of the exact model: a wrong score as of assay budget, or FILE.py:NAME, a "
            "function (x, t) or a torch module of your own, with `predicts` and `takes` as the file says; of tokens "
            "(tokens, t), which returns the probabilities of each, on sequences short enough for the exact law."
        ),
    ] = "exact",
    begin: Annotated[
        float | None, typer.Option(help="Time sampling starts at; the path's own by default.")
    ] = None,
    end: Annotated[
        float | None, typer.Option(help="Time sampling stops at; the path's own by default.")
    ] = None,
    initial: Annotated[
        str, typer.Option(help="What is started from: marginal, the exact one, or prior, N(0, s^2 I).")
    ] = "marginal",
    samples: Annotated[
        int | None,
        typer.Option(help=f"Samples in a block, where no law reaches; 100000, {TEXT_SAMPLES} of text."),
    ] = None,
    times: Annotated[
        bool,
        typer.Option("--time", help="Also measure what a sample costs in processor time on this machine."),
    ] = False,
    seeds: Annotated[
        list[int] | None,
        typer.Option(
            "--seed", help="Seed of a block of samples, repeatable: more blocks are more precision."
        ),
    ] = None,
) -> list[Study[Any]]:
    """Compare methods at equal numbers of evaluations and say which to take, or that it is a tie.

    Each takes the most steps that the evaluations pay for. Errors are W2 by exact law on a Gaussian, TV by density on
    the line, and sliced W2 by samples elsewhere, to the exact marginal at the grid's end; of tokens TV by exact law,
    or of their bigrams by samples of long ones, to the data's law. * is the best, = a tie with it.

    Example: assay compare heun dpm-solver++-2m unipc --target pair-2d --nfe 10 20 50 --plot compare.png
    """
    from . import request

    numbers = {"nfe": nfe, "steps": steps, "samples": None if samples is None else [samples]}
    for name, values in numbers.items():
        for value in values or ():
            if value < (100 if name == "samples" else 1):
                raise ValueError(f"{name} is {value}: give at least {100 if name == 'samples' else 1}")
    if initial not in ("marginal", "prior"):
        raise ValueError(f"initial is {initial!r}: use marginal or prior")
    continuous, tokens = request.methods_of(methods, targets, METHODS, TOKEN_METHODS)
    mixtures, laws = request.targets_of(targets or TARGETS, bool(continuous), bool(tokens))
    common = {
        "budgets": tuple(dict.fromkeys(nfe or (() if steps else BUDGETS))),
        "steps": tuple(dict.fromkeys(steps or ())),
        "seeds": tuple(dict.fromkeys(seeds or (0,))),
        "timed": times,
    }
    if mixtures and laws and score != "exact":
        raise ValueError(
            f"score is {score!r}, one model for tokens and for numbers: give targets of one kind"
        )
    found: list[Study[Any]] = []
    if mixtures:
        places = request.on_mixtures(mixtures, paths, grids, begin, end, initial, score)
        found.append(request.comparison(continuous, places, metrics, samples=samples or 100_000, **common))
    if laws:
        places = request.on_tokens(laws, noises, grids, begin, end, initial, score)
        found.append(request.comparison(tokens, places, metrics, samples=samples or TEXT_SAMPLES, **common))
    request.all_metrics_are_some(metrics, found)
    return found
