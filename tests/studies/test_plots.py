"""Pictures hold what the numbers say, and files hold the pictures."""

import json
import math
import struct
import xml.etree.ElementTree as ElementTree
import zlib

import numpy as np
import pandas as pd
import pytest

from studies.output import figures, pictures, raster

STEPS = 2 ** np.arange(3, 9)


def ladder(method, order, start="practical", claim=None, constant=1.0, uncertainty=1e-15, stages=1):
    return pd.DataFrame(
        {
            "method": method,
            "start": start,
            "nfe": stages * STEPS,
            "steps": STEPS,
            "error": constant * STEPS ** -float(order),
            "uncertainty": uncertainty,
            "claim": order if claim is None else claim,
        }
    )


def example():
    return pd.concat(
        [
            ladder("euler", 1),
            ladder("heun", 2, constant=0.1, stages=2),
            ladder("dpm-solver++-2m", 2),
            ladder("dpm-solver++-2m", 2, start="exact", constant=0.2),
            ladder("predictor-corrector", 1, claim=math.nan, uncertainty=0.02),
        ],
        ignore_index=True,
    )


@pytest.fixture
def frame():
    return example()


def panels(chart):
    """Return the specification of each panel by its title, its data sets put in their places."""
    specification = chart.to_dict()

    def resolve(node):
        if isinstance(node, dict):
            name = node.get("data", {}).get("name") if isinstance(node.get("data"), dict) else None
            node = {key: resolve(value) for key, value in node.items()}
            return node | {"data": {"values": specification["datasets"][name]}} if name else node
        return [resolve(entry) for entry in node] if isinstance(node, list) else node

    return {panel.get("title", ""): resolve(panel) for panel in specification["concat"]}


@pytest.fixture(scope="module")
def shown():
    return panels(figures.convergence(example()))


def marks(panel, kind):
    return [layer for layer in panel["layer"] if layer["mark"]["type"] == kind]


def rows(panel):
    """Return the points of a panel, wherever altair hoisted the data to."""
    points = marks(panel, "point")[0]
    return (points.get("data") or panel["data"])["values"]


def legend(panel):
    scale = marks(panel, "point")[0]["encoding"]
    return scale["color"]["scale"], scale["shape"]["scale"]


def decode(png):
    """Return the pixels of an 8-bit RGB or RGBA PNG by the specification's five filters."""
    width, height, _, kind = struct.unpack(">IIBB", png[16:26])
    body, at = b"", 8
    while at < len(png):
        (size,) = struct.unpack(">I", png[at : at + 4])
        assert (
            zlib.crc32(png[at + 4 : at + 8 + size])
            == struct.unpack(">I", png[at + 8 + size : at + 12 + size])[0]
        )
        body += png[at + 8 : at + 8 + size] if png[at + 4 : at + 8] == b"IDAT" else b""
        at += 12 + size
    channels = {2: 3, 6: 4}[kind]
    lines = np.frombuffer(zlib.decompress(body), np.uint8).reshape(height, 1 + width * channels)
    picture = np.zeros((height + 1, width + 1, channels), dtype=np.int64)
    for y, (kind, *_) in enumerate(lines.tolist(), start=1):
        line = lines[y - 1, 1:].reshape(width, channels).astype(np.int64)
        above = picture[y - 1]
        if kind in (0, 2):
            picture[y, 1:] = (line + (above[1:] if kind == 2 else 0)) % 256
            continue
        for x in range(1, width + 1):
            left, up, corner = picture[y, x - 1], above[x], above[x - 1]
            estimate = left + up - corner
            distances = np.abs(np.stack([estimate - left, estimate - up, estimate - corner]))
            paeth = np.choose(distances.argmin(axis=0), [left, up, corner])
            guess = {1: left, 3: (left + up) // 2, 4: paeth}[kind]
            picture[y, x] = (line[x - 1] + guess) % 256
    return picture[1:, 1:, :3]


def test_every_claimed_order_has_a_panel_with_its_methods_and_starts(shown):
    found = {title: set(legend(panel)[0]["domain"]) for title, panel in shown.items()}
    assert found == {
        "claimed order 1": {"euler"},
        "claimed order 2": {"heun", "dpm-solver++-2m, practical", "dpm-solver++-2m, exact"},
        "no order claimed": {"predictor-corrector"},
    }


def test_dashed_line_has_the_claimed_slope_and_lies_below_the_methods(shown):
    for order in (1, 2):
        panel = shown[f"claimed order {order}"]
        first, *_, last = marks(panel, "line")[0]["data"]["values"]
        slope = math.log(last["error"] / first["error"]) / math.log(last["cost"] / first["cost"])
        assert slope == pytest.approx(-order, abs=1e-12)
        constant = first["error"] * first["cost"] ** order
        assert all(row["error"] * row["cost"] ** order > constant for row in rows(panel))
    assert len(marks(shown["no order claimed"], "line")) == 1


def test_points_within_their_uncertainty_are_the_hollow_ones(shown):
    panel = shown["no order claimed"]
    assert [row["hollow"] for row in rows(panel)] == [row["error"] <= 0.02 for row in rows(panel)]
    assert {row["hollow"] for row in rows(panel)} == {True, False}
    filled, hollow = marks(panel, "point")
    assert filled["transform"] == [{"filter": "!datum.hollow"}]
    assert (hollow["transform"], hollow["mark"]["fill"]) == ([{"filter": "datum.hollow"}], "white")


def test_bars_are_drawn_where_an_uncertainty_can_be_seen(shown):
    assert all(row["low"] is None and row["high"] is None for row in rows(shown["claimed order 1"]))
    for row in rows(shown["no order claimed"]):
        if not row["hollow"]:
            assert row["high"] == pytest.approx(min(row["error"] + 0.02, 2 / 8))
        assert 0 < row["low"] < row["error"] < row["high"]


def test_legend_lists_methods_from_the_largest_last_error_to_the_smallest(shown):
    assert legend(shown["claimed order 2"])[0]["domain"] == [
        "dpm-solver++-2m, practical",
        "dpm-solver++-2m, exact",
        "heun",
    ]


def test_forty_methods_of_one_claim_have_five_panels_and_each_its_own_colour_and_shape_there():
    frame = pd.concat([ladder(f"method-{k:02}", 1, constant=1 + k) for k in range(40)], ignore_index=True)
    found = panels(figures.convergence(frame))
    assert list(found) == [f"claimed order 1 ({i} of 5)" for i in range(1, 6)]
    drawn = []
    for panel in found.values():
        colour, shape = legend(panel)
        assert colour["domain"] == shape["domain"]
        assert len(set(colour["range"])) == len(colour["range"]) == 8
        drawn += colour["domain"]
    assert drawn == [f"method-{k:02}" for k in range(39, -1, -1)]  # from the largest errors to the smallest


def test_cost_is_evaluations_or_steps_as_asked():
    for against, stages in (("nfe", 2), ("steps", 1)):
        panel = panels(figures.convergence(ladder("heun", 2, stages=2), against=against))["claimed order 2"]
        assert [row["cost"] for row in rows(panel)] == list(stages * STEPS)


def test_signs_are_dropped_and_methods_without_a_drawable_error_are_named(frame):
    frame.loc[0, "error"] *= -1
    frame.loc[1, "error"] = math.nan
    zero = ladder("exact-ancestral", 1, constant=0.0)
    chart = figures.convergence(pd.concat([frame, zero], ignore_index=True), "Orders")
    assert [row["error"] for row in rows(panels(chart)["claimed order 1"])] == [
        1 / n for n in STEPS if n != STEPS[1]
    ]
    heading = chart.to_dict()["title"]
    assert heading["text"] == "Orders"
    assert heading["subtitle"][-1] == "not drawn, error zero or not finite: exact-ancestral"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns="nfe"), "frame has no column 'nfe': it needs method, start, nfe"),
        (lambda f: f.assign(error="large"), "frame's column 'error' is not of numbers"),
        (lambda f: f.assign(error=0.0), "frame has no finite error above zero"),
        (lambda f: pd.concat([f, f]), "frame has two errors of euler at nfe = 8: choose one target"),
    ],
)
def test_frames_that_cannot_be_drawn_are_refused_by_name(frame, change, message):
    with pytest.raises(ValueError, match=message):
        figures.convergence(change(frame))


def test_other_arguments_of_convergence_are_refused_by_name(frame):
    with pytest.raises(TypeError, match="frame is a dict: give a pandas DataFrame"):
        figures.convergence({})
    with pytest.raises(ValueError, match="against is 'seconds': use 'nfe' or 'steps'"):
        figures.convergence(frame, against="seconds")


@pytest.mark.parametrize("suffix", [".svg", ".pdf", ".json", ".html"])
def test_chart_is_saved_in_the_format_of_the_suffix(tmp_path, suffix):
    path = figures.save(figures.convergence(ladder("heun", 2), "Orders"), tmp_path / f"orders{suffix}")
    text = path.read_text(encoding="latin-1" if suffix == ".pdf" else "utf-8")
    if suffix == ".pdf":
        assert text.startswith("%PDF-")
        assert text.rstrip().endswith("%%EOF")
    elif suffix == ".svg":
        words = "".join(ElementTree.fromstring(text).itertext())
        assert all(word in words for word in ("Orders", "claimed order 2", "slope −2", "heun"))
    elif suffix == ".json":
        assert len(json.loads(text)["concat"]) == 1
    else:
        assert len(text) > 500_000  # Vega itself is in it, to be read without a network
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_what_cannot_be_saved_is_refused_by_name(tmp_path):
    chart = figures.convergence(ladder("heun", 2))
    with pytest.raises(ValueError, match=r"ends in '\.gif': use one of \.png, \.svg, \.pdf, \.html, \.json"):
        figures.save(chart, tmp_path / "orders.gif")
    with pytest.raises(ValueError, match="does not exist: make it first"):
        figures.save(chart, tmp_path / "absent" / "orders.png")
    with pytest.raises(TypeError, match="chart is a str: give an altair chart"):
        figures.save("orders", tmp_path / "orders.png")


def test_picture_file_shows_each_sample_and_paints_a_failed_one_red(tmp_path):
    black, white = np.full((1, 64), -1.0), np.full((1, 64), 7.0)  # beyond the limit: clipped to white
    failed = np.full((1, 64), np.nan)
    chart = pictures.pictures({("euler", 8): np.concatenate([black, white, failed])}, tiles=2)
    picture = decode(figures.save(chart, tmp_path / "digits.png").read_bytes())
    side = (raster.DIGIT_SIDE * pictures.SAMPLE_SCALE * figures.PNG_SCALE) ** 2
    red = (picture[..., 0] > 200) & (picture[..., 1] < 80)
    # A sample without neighbours keeps its area but for smoothed edges; black is also the text's colour.
    assert red.sum() == pytest.approx(side, rel=0.15)
    columns, lines = np.nonzero(red.any(axis=0))[0], np.nonzero(red.any(axis=1))[0]
    assert len(columns) == pytest.approx(math.sqrt(side), abs=4)
    step = round((raster.DIGIT_SIDE + 1) * pictures.SAMPLE_SCALE * figures.PNG_SCALE)
    middle = picture[lines.mean().astype(int) - step, columns.mean().astype(int)]
    assert (middle == 0).all()
    assert (picture[lines.mean().astype(int) - step, columns.mean().astype(int) + step] == 255).all()


def test_samples_lie_row_by_row_as_the_data_has_them():
    samples = np.zeros((4, 64))
    samples[1, 8 * 2 + 5] = 1.0  # second sample, third row, sixth column
    mosaic = raster.mosaic(samples, 2, (0.0, 1.0))
    assert mosaic.shape == (17, 17, 3)
    assert (mosaic[2, 9 + 5] == 255).all()
    assert mosaic[2, 9 + 4].sum() == mosaic[3, 9 + 5].sum() == mosaic[2, 5].sum() == 0
    assert (mosaic[8] == 255).all()
    assert (mosaic[:, 8] == 255).all()
    assert (decode(raster.png(mosaic)) == mosaic).all()


def test_near_costs_share_a_column_unless_a_method_has_two_of_them():
    digits = np.zeros((1, 64))

    def cells(*keys):
        chart = pictures.pictures(dict.fromkeys(keys, digits)).to_dict()
        (values,) = chart["datasets"].values()
        return {(cell["method"], cell["column"], cell["own"]) for cell in values}

    assert cells(("euler", 8), ("heun", 7), ("euler", 16)) == {
        ("euler", "7–8", "NFE 8"),
        ("heun", "7–8", "NFE 7"),
        ("euler", "16", ""),
    }
    assert cells(("euler", 7), ("euler", 8), ("heun", 7)) == {
        ("euler", "7", ""),
        ("euler", "8", ""),
        ("heun", "7", ""),
    }


@pytest.mark.parametrize(
    ("samples", "options", "message"),
    [
        ({}, {}, "samples is empty"),
        ({("euler", 8): np.zeros((3, 63))}, {}, r"samples\['euler', 8\] has shape \(3, 63\): give \(n, 64\)"),
        ({("euler", 8): np.zeros(64)}, {}, r"has shape \(64,\)"),
        ({("euler", 8): np.zeros((1, 64))}, {"tiles": 0}, "tiles is 0: give 1 or more"),
        (
            {("euler", 8): np.zeros((1, 64))},
            {"limits": (1.0, 1.0)},
            r"limits is \(1.0, 1.0\): give the darker",
        ),
    ],
)
def test_samples_that_are_no_digits_are_refused_by_name(samples, options, message):
    with pytest.raises(ValueError, match=message):
        pictures.pictures(samples, **options)
