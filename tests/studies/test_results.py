"""The command's questions as calls: they find what the command does, and show themselves."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import altair as alt
import pytest

import assay as calls
from studies.cli import ASKING
from studies.compare.errors import Compared
from studies.results import Result
from tests.studies.test_cli import Run, assay  # noqa: F401
from tests.studies.test_killed import finished


def compared(**more: Any) -> Result:
    return calls.compare("heun", "euler", targets=["gaussian-1d"], nfe=(8, 16), **more)


def test_a_call_finds_what_the_command_does(assay: Run) -> None:  # noqa: F811
    found = compared()
    asked = (
        "compare",
        "heun",
        "euler",
        "--target",
        "gaussian-1d",
        "--nfe",
        "8",
        "16",
        "--jobs",
        "1",
        "--json",
    )
    rows = json.loads(assay(*asked)[1])["compare"]
    assert found.frame["error"].tolist() == [row["error"] for row in rows]
    assert all(isinstance(record, Compared) for record in found.records)
    assert found.failures == []


def test_a_result_shows_itself() -> None:
    found = compared()
    html = found._repr_html_()
    assert html.count("<tr>") == 3
    assert "<b>W2 on gaussian-1d by evaluations, VP, log-snr grid</b>" in html
    assert "Recommended" in html
    assert "<script" not in html
    assert found.reports[0]._repr_html_() in html
    assert isinstance(found.chart, alt.TopLevelMixin)
    alt.vconcat(found.chart, found.chart).to_dict()
    assert repr(found) == "<compare: 4 records; .frame, .reports, .chart>"
    with pytest.raises(ValueError, match="nothing that was measured can be drawn"):
        calls.verify("heun").chart  # noqa: B018


def test_a_call_is_kept_and_measured_by_an_executor(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        first = compared(out=tmp_path / "r", executor=pool)
    before = finished(tmp_path / "r")
    assert len(before) == 4
    assert compared(out=tmp_path / "r").records == first.records
    assert finished(tmp_path / "r") == before
    assert (tmp_path / "r" / "study.toml").is_file()


def test_what_is_asked_wrongly_is_said_with_what_is_near() -> None:
    with pytest.raises(
        ValueError, match=r"assay.compare: key is 'target', which is not known: did you mean targets"
    ):
        calls.compare("heun", target=["easy-1d"])
    with pytest.raises(ValueError, match="method is 'hoin'"):
        calls.order("hoin")
    with pytest.raises(AttributeError, match="module 'assay' has no 'oder': it has order"):
        calls.oder  # noqa: B018
    assert set(ASKING) <= set(dir(calls))
