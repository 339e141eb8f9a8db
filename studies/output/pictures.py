"""Samples of images, drawn."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

import altair as alt
import numpy as np
from numpy.typing import ArrayLike

from . import raster

SHARED = 1.4  # NFE up to this ratio share a column of pictures


SAMPLE_SCALE = 3  # pixels a side that a sample's pixel is drawn with


def pictures(
    samples: Mapping[tuple[str, int], ArrayLike],
    title: str = "",
    tiles: int = 4,
    limits: tuple[float, float] = (-1.0, 1.0),
) -> alt.LayerChart:
    """Draw sampled 8x8 digits in a grid: methods down, NFE across, the first tiles x tiles samples in a cell.

    Parameters
    ----------
    samples : mapping
        (method, nfe) to an (n, 64) array. NFE near each other share a column, since methods of several stages
        cannot spend just any budget; a cell then carries its own number.
    title : str
    tiles : int
        Samples a side of a cell; cells with fewer samples stay partly empty.
    limits : (float, float)
        Pixel values shown black and white; outside they are clipped. Pixels that are not finite are red.

    Returns
    -------
    alt.LayerChart
        See `save`.

    Raises
    ------
    ValueError
        No samples, an array that is not (n, 64), fewer than one tile, or limits that do not increase.
    """
    if not samples:
        raise ValueError("samples is empty: give at least one (method, nfe) with its samples")
    if tiles < 1:
        raise ValueError(f"tiles is {tiles}: give 1 or more")
    if not limits[0] < limits[1]:
        raise ValueError(f"limits is {limits}: give the darker value first, then a larger one")
    column = _columns(list(samples))
    cells = []
    for (method, nfe), values in samples.items():
        array = np.asarray(values, dtype=np.float64)
        if array.ndim != 2 or array.shape[1] != raster.DIGIT_SIDE**2:
            raise ValueError(
                f"samples[{method!r}, {nfe}] has shape {array.shape}: give (n, 64), one 8x8 digit a row"
            )
        picture = raster.png(
            np.repeat(np.repeat(raster.mosaic(array, tiles, limits), SAMPLE_SCALE, 0), SAMPLE_SCALE, 1)
        )
        url = "data:image/png;base64," + base64.b64encode(picture).decode()
        own = f"NFE {nfe}" if column[nfe] != str(nfe) else ""
        cells.append({"method": method, "column": column[nfe], "own": own, "url": url})
    side = SAMPLE_SCALE * (tiles * (raster.DIGIT_SIDE + 1) - 1)
    captioned = any(cell["own"] for cell in cells)
    x = alt.X(
        "column:N",
        sort=list(dict.fromkeys(column.values())),
        title="denoiser evaluations (NFE)",
        axis=alt.Axis(orient="top", labelAngle=0, labelPadding=8, titlePadding=10, ticks=False, domain=False),
    )
    y = alt.Y(
        "method:N",
        sort=list(dict.fromkeys(method for method, _ in samples)),
        title=None,
        axis=alt.Axis(labelLimit=0, labelPadding=8, ticks=False, domain=False),
    )
    base = alt.Chart(alt.InlineData(values=cells)).encode(x=x, y=y)
    layers = [base.mark_image(width=side, height=side).encode(url="url:N")]
    if captioned:
        layers.append(base.mark_text(dy=side / 2 + 9, fontSize=11, color="#495057").encode(text="own:N"))
    return alt.LayerChart(layer=layers).properties(
        width=alt.Step(side + 12),
        height=alt.Step(side + (36 if captioned else 12)),
        title=alt.TitleParams(title or "Samples", anchor="start", offset=14),
        view=alt.ViewBackground(stroke=None),
    )


def _columns(keys: Sequence[tuple[str, int]]) -> dict[int, str]:
    """Return each NFE's column, in increasing order: near ones share one if no method has two of them."""
    costs = sorted({nfe for _, nfe in keys})
    groups: list[list[int]] = []
    for cost in costs:
        if groups and cost <= SHARED * groups[-1][0]:
            groups[-1].append(cost)
        else:
            groups.append([cost])
    of = {cost: group for group in groups for cost in group}
    if len({(method, of[nfe][0]) for method, nfe in keys}) < len(keys):
        return {cost: str(cost) for cost in costs}
    return {cost: str(g[0]) if len(g) == 1 else f"{g[0]}–{g[-1]}" for cost, g in of.items()}
