"""What all charts share: colours and shapes that are told apart, and an Altair theme.

Charts carry no configuration of their own, so that they can be put together with others; files are written in the
theme, and a notebook takes it by `altair.theme.enable(THEME)`.
"""

from __future__ import annotations

import altair as alt

# Any two are 28 units of Lab apart for every eye, also where one kind of cone is missing, and each has three times the
# contrast to white that thin lines need. More curves than colours have other shapes.
COLOURS = ("#462eb9", "#e85d00", "#748b5d", "#d15da2", "#8b1700", "#b974e8", "#2e2e2e", "#740074")
# Of other length than COLOURS, so that the pair of both repeats late.
SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "triangle-right")
THEME, DARK_THEME = "assay", "assay-dark"
# The same on a dark ground, in the same places.
DARK_COLOURS = ("#ac04db", "#a3532b", "#3fa987", "#eca1f7", "#8eb000", "#7d5c91", "#50ffad", "#f7ff52")
DARK_GROUND = "#16181d"
# What charts draw lines and points with that stand for no curve, and what those are on a dark ground.
ON_DARK = {
    **dict(zip(COLOURS, DARK_COLOURS, strict=True)),
    "#868e96": "#8b949e",
    "#495057": "#b6bec8",
    "#adb5bd": "#5c6670",
    "#ced4da": "#3b434d",
    "#212529": "#dee2e6",
    "#ffb38a": "#8a4b21",
    "#ffffff": DARK_GROUND,
    "white": DARK_GROUND,
}


def _config(
    ground: str, ink: str, pale: str, grid: str, frame: str, colours: tuple[str, ...]
) -> alt.theme.ThemeConfig:
    return {
        "config": {
            "background": ground,
            "font": "Helvetica, Arial, Liberation Sans, sans-serif",
            "padding": 16,
            "title": {
                "fontSize": 15,
                "color": ink,
                "subtitleFontSize": 12,
                "subtitleColor": pale,
                "subtitlePadding": 6,
            },
            "axis": {
                "labelFontSize": 12,
                "titleFontSize": 12,
                "titleFontWeight": "normal",
                "labelColor": ink,
                "titleColor": ink,
                "gridColor": grid,
                "domainColor": pale,
                "tickColor": pale,
            },
            "header": {"labelColor": ink, "titleColor": ink},
            "legend": {"labelFontSize": 12, "labelColor": ink, "titleColor": ink},
            "text": {"color": ink},
            "view": {"stroke": frame},
            "range": {"category": list(colours)},
        }
    }


@alt.theme.register(THEME, enable=False)
def assay() -> alt.theme.ThemeConfig:
    """White ground, one sans-serif face, quiet axes."""
    return _config("white", "#212529", "#495057", "#e9ecef", "#ced4da", COLOURS)


@alt.theme.register(DARK_THEME, enable=False)
def assay_dark() -> alt.theme.ThemeConfig:
    """Return the same on a dark ground; charts name their colours, which `on_dark` changes."""
    return _config(DARK_GROUND, "#dee2e6", "#adb5bd", "#2b3038", "#3b434d", DARK_COLOURS)


def on_dark(specification: str) -> str:
    """Return a chart's specification, as JSON, in the colours of a dark ground."""
    for light, dark in ON_DARK.items():
        specification = specification.replace(f'"{light}"', f'"{dark}"')
    return specification
