"""Colours are told apart by every eye, charts can be put together, and files are written in the project's theme."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import altair as alt
import numpy as np
import pytest
from numpy.typing import NDArray

from studies.compare.errors import Compared
from studies.compare.figure import figure
from studies.output.figures import save
from studies.output.theme import COLOURS, DARK_COLOURS, DARK_GROUND, SHAPES, on_dark

Array = NDArray[np.float64]
# What is left to see without one kind of cone, on linear RGB: Machado, Oliveira and Fernandes 2009, severity 1.
EYES = {
    "all cones": np.eye(3),
    "protanope": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranope": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanope": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
WHITE = np.array([0.95047, 1.0, 1.08883])


def linear(colour: str) -> Array:
    c = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def lab(rgb: Array) -> Array:
    xyz = TO_XYZ @ np.clip(rgb, 0, 1) / WHITE
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("colours", [COLOURS, DARK_COLOURS], ids=["light", "dark"])
@pytest.mark.parametrize("eye", EYES)
def test_any_two_colours_are_told_apart(eye: str, colours: tuple[str, ...]) -> None:
    seen = [lab(np.array(EYES[eye]) @ linear(colour)) for colour in colours]
    nearest = min(float(np.linalg.norm(a - b)) for a, b in itertools.combinations(seen, 2))
    assert nearest > 28


def test_the_measure_tells_what_was_wrong_with_crimson_beside_red() -> None:
    crimson, red = (lab(np.array(EYES["protanope"]) @ linear(c)) for c in ("#c2255c", "#495057"))
    assert np.linalg.norm(crimson - red) < 3


def test_thin_lines_have_the_contrast_they_need() -> None:
    luminance = [float(TO_XYZ[1] @ linear(colour)) for colour in COLOURS]
    assert min(1.05 / (y + 0.05) for y in luminance) >= 3
    ground = float(TO_XYZ[1] @ linear(DARK_GROUND)) + 0.05
    on_ground = [float(TO_XYZ[1] @ linear(colour)) + 0.05 for colour in DARK_COLOURS]
    assert min(y / ground for y in on_ground) >= 3
    assert np.gcd(len(COLOURS), len(SHAPES)) == 1


def test_charts_compose_and_are_written_in_the_theme(tmp_path: Path) -> None:
    found = [Compared("a", "t", "VP", "log-snr", "W2", n, n, n, 1 / n) for n in (5, 10)]
    one, other = figure(found), figure(found)
    assert "config" not in one.to_dict() or one.config is alt.Undefined
    save(alt.vconcat(one, other), tmp_path / "both.json")
    written = json.loads((tmp_path / "both.json").read_text())
    assert written["config"]["range"]["category"] == list(COLOURS)
    dark = on_dark(json.dumps(one.to_dict()))
    assert f'"{DARK_COLOURS[0]}"' in dark
    assert not any(f'"{colour}"' in dark for colour in (*COLOURS, "white"))
    save(one, tmp_path / "one.png")
    assert (tmp_path / "one.png").read_bytes()[:4] == b"\x89PNG"
