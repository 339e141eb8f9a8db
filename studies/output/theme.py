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
THEME = "assay"


@alt.theme.register(THEME, enable=False)
def assay() -> alt.theme.ThemeConfig:
    """White ground, one sans-serif face, quiet axes."""
    return {
        "config": {
            "background": "white",
            "font": "Helvetica, Arial, Liberation Sans, sans-serif",
            "padding": 16,
            "title": {
                "fontSize": 15,
                "subtitleFontSize": 12,
                "subtitleColor": "#495057",
                "subtitlePadding": 6,
            },
            "axis": {
                "labelFontSize": 12,
                "titleFontSize": 12,
                "titleFontWeight": "normal",
                "gridColor": "#e9ecef",
            },
            "legend": {"labelFontSize": 12},
            "view": {"stroke": "#ced4da"},
            "range": {"category": list(COLOURS)},
        }
    }
