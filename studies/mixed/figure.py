"""Pictures of the mixed study: errors on ladders, a panel for each question."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from ..output.theme import COLOURS, SHAPES
from .measured import Ladder

PANEL = (420, 280)
HEADS = {
    "copies": "split Gibbs: strength of the copies",
    "split": "split Gibbs: steps of the number's draw",
    "interleaved": "interleaved Gibbs: steps",
    "stationary": "interleaved Gibbs, again and again: steps",
    "several, split": "split Gibbs, two tokens and two numbers: strength of the copies",
    "several, interleaved": "interleaved Gibbs, two tokens and a number: steps",
    "one token": "one binary token in space",
    "sequence": "three tokens of a chain",
}


def figure(found: Sequence[Ladder]) -> alt.ConcatChart:
    """Draw errors against sizes; what is exact is left out."""
    panels = [_panel([one for one in found if one.study == study], head) for study, head in HEADS.items()]
    return (
        alt.concat(*[panel for panel in panels if panel is not None], columns=2, spacing=30)
        .resolve_scale(color="independent", shape="independent", x="independent", y="independent")
        .properties(
            title=alt.TitleParams("Distance from the exact law", anchor="start", offset=14),
            description="Distance from the exact law, against steps, strength or evaluations.",
        )
    )


def _panel(found: Sequence[Ladder], head: str) -> Any:
    rows: list[dict[str, Any]] = [
        {"sampler": one.sampler, "size": size, "TV": error}
        for one in found
        for size, error in zip(one.sizes, one.errors, strict=True)
        if error > one.uncertainty
    ]
    if not rows:
        return None
    names = list(dict.fromkeys(row["sampler"] for row in rows))
    legend = alt.Legend(title=None, labelLimit=0, orient="bottom", columns=1)
    colours = alt.Scale(domain=names, range=[COLOURS[i % len(COLOURS)] for i in range(len(names))])
    shapes = alt.Scale(domain=names, range=[SHAPES[i % len(SHAPES)] for i in range(len(names))])
    sizes = sorted({row["size"] for row in rows})
    return (
        alt.Chart(alt.InlineData(values=pd.DataFrame(rows).to_dict("records")), title=head)
        .mark_line(point=True)
        .encode(
            alt.X("size:Q", title="1/rho, 1/flip" if "strength" in head else found[0].against)
            .scale(type="log", nice=False, padding=12)
            .axis(values=sizes),
            alt.Y("TV:Q", title="Hellinger" if found[0].study == "several, split" else "TV")
            .scale(type="log")
            .axis(format=".0e", tickCount=5),
            alt.Color("sampler:N", sort=names, scale=colours, legend=legend),
            alt.Shape("sampler:N", sort=names, scale=shapes, legend=legend),
        )
        .properties(width=PANEL[0], height=PANEL[1])
    )
