"""`assay list`: what there is."""

from __future__ import annotations

import json
from typing import Annotated, Any

import pandas as pd
import typer

from analytic import Folded, PoissonFlow, Tilted, chains, paths, sequences
from analytic import targets as named
from analytic.names import unknown
from solvers import Method, catalogue, grids, loops, tables

from . import specifications
from .order import tables as frames
from .order.claims import order_of
from .output import render
from .output.report import clean
from .runs.declared import CATALOG, read
from .setting import Setting


def evaluations_a_step(method: Method) -> str:
    """Return what a step of a continuous method costs, over 16 of them; on tokens that depends on the noise."""
    if method.half != "continuous":
        return frames.NOTHING
    setting = Setting().of(method)
    return f"{method.tableau(setting.path, setting.nodes(16)).nfe / 16:.3g}"


def list_(
    what: Annotated[
        str | None,
        typer.Argument(
            help="methods, loops, targets, laws, sequences, grids, paths, noises or studies; all by default."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """List what there is: methods with claims and sources, loops, targets, grids, paths, noises, studies, ...

    Example: assay list methods
    """

    def first_line(thing: Any) -> str:
        return (thing.__doc__ or "").strip().split("\n")[0]

    methods = pd.DataFrame(
        [
            {
                "method": m.name,
                "also": ", ".join(m.aliases) or frames.NOTHING,
                "half": m.half,
                "process": ", ".join(m.processes) if m.half == "continuous" else frames.NOTHING,
                "NFE/step": evaluations_a_step(m),
                "claims": ", ".join(f"{order_of(c)} ({c.basis})" for c in m.claims) or frames.NOTHING,
                "options": ", ".join(f"{k}={v}" for k, v in m.options.items()) or frames.NOTHING,
                "source": m.source,
            }
            for m in catalogue.values()
        ]
    )
    lists = {
        "methods": methods,
        "loops": pd.DataFrame(
            [
                {
                    "loop": one.name,
                    "process": one.process,
                    "promise": one.promise,
                    "options": ", ".join(f"{k}={v}" for k, v in one.options.items()) or frames.NOTHING,
                    "source": one.source,
                }
                for one in loops.catalogue.values()
            ]
        ),
        "targets": pd.DataFrame(named.table(), columns=["target", "dim", "components", "description"]),
        "laws": pd.DataFrame(
            [{"law": law.__name__, "description": first_line(law)} for law in (Tilted, Folded, PoissonFlow)]
        ),
        "sequences": pd.DataFrame(
            [{"sequence": k, "description": v.description} for k, v in sequences.catalogue.items()]
        ),
        "grids": pd.DataFrame(
            [
                *({"grid": k, "description": first_line(v)} for k, v in grids.catalogue.items()),
                *({"grid": k, "description": "Align Your Steps, as published"} for k in tables.ALIGNED),
            ]
        ),
        "paths": pd.DataFrame(
            [{"path": p, "description": first_line(getattr(paths, p))} for p in specifications.PATHS]
        ),
        "noises": pd.DataFrame(
            [{"noise": n, "description": first_line(getattr(chains, n))} for n in specifications.NOISES]
        ),
        "studies": pd.DataFrame(
            [{"study": f.stem, "description": read(f.stem).about} for f in sorted(CATALOG.glob("*.toml"))]
        ),
    }
    if what is not None and what not in lists:
        raise unknown("what", what, list(lists))
    chosen = lists if what is None else {what: lists[what]}
    if as_json:
        print(json.dumps({k: clean(v.to_dict("records")) for k, v in chosen.items()}, indent=1))
        return
    for name, frame in chosen.items():
        render.to_terminal(frame, name)
