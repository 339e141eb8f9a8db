"""Tables read back as they were written, and none is garbled on its way to a person."""

import csv
import io
import json
import math
import os
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from studies.output import files, render


@pytest.fixture
def frame():
    return pd.DataFrame(
        {
            "method": ["dpm-solver++-3m-as-published", "euler", "a|b_c & d", "heun"],
            "claim": [3, 1, 1, 2],
            "gaussian": ["2.008±0.001", "0.997±0.001", "exact", "drifting"],
            "slope": [2.00812345, 0.9971, np.nan, 1.5],
            "error": [1.2345678901234567e-7, 0.1, np.inf, 0.0],
            "verdict": ["refuted", "confirmed", "unresolved", "confirmed (gaussian), refuted (mixture)"],
            "source": [
                "Lu et al. 2023, section 5.1, theorem 3.2",
                "",
                "100 % {x}",
                "Karras et al. 2022, algorithm 1",
            ],
        }
    )


def shown(frame, width, **kwargs):
    """Return what a terminal of a width shows."""
    stream = io.StringIO()
    render.to_terminal(frame, console=Console(file=stream, width=width, **kwargs))
    return stream.getvalue()


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=5))
def test_numbers_read_back_from_json_and_csv_bit_for_bit(values):
    frame = pd.DataFrame({"b": values, "a": range(len(values))})
    records = json.loads(render.render(frame, "json"))
    assert [list(record) for record in records] == [["b", "a"]] * len(values)
    from_json = [math.nan if record["b"] is None else float(record["b"]) for record in records]
    rows = list(csv.reader(io.StringIO(render.render(frame, "csv"))))
    assert rows[0] == ["b", "a"]
    from_csv = [float(text or "nan") for text, _ in rows[1:]]
    np.testing.assert_array_equal(from_json, values)
    np.testing.assert_array_equal(from_csv, values)


def test_json_has_no_token_outside_the_standard_and_nan_is_null():
    nested = [1, math.nan, np.float32(0.5)]
    frame = pd.DataFrame({"x": [math.nan, -math.inf], "y": [nested, {"k": pd.NA}], "z": [np.True_, None]})

    def refuse(token):
        pytest.fail(f"JSON has the token {token}")

    first, second = json.loads(render.render(frame, "json"), parse_constant=refuse)
    assert first == {"x": None, "y": [1, None, 0.5], "z": True}
    assert second == {"x": "-inf", "y": {"k": None}, "z": None}


def test_named_index_becomes_columns_and_unnamed_index_is_left_out(frame):
    indexed = frame.set_index(["method", "claim"])
    for form in files.FORMATS:
        assert render.render(indexed, form) == render.render(frame, form)
        assert render.render(frame.iloc[::-1], form).count("\n") == render.render(frame, form).count("\n")
    assert "3" not in render.render(frame[["gaussian"]].iloc[3:], "csv")


def test_markdown_rows_are_of_one_width_and_split_into_the_columns(frame):
    lines = render.render(frame, "markdown").splitlines()
    assert len({cell_len(line) for line in lines}) == 1
    rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    assert {len(row) for row in rows} == {len(frame.columns)}
    assert rows[0] == list(frame.columns)
    assert [cell.endswith(":") for cell in rows[1]] == [False, True, False, True, True, False, False]
    assert rows[4][0] == r"a\|b_c & d"
    assert [row[5] for row in rows[2:]] == list(frame["verdict"])


def test_latex_escapes_what_latex_would_read_as_commands(frame):
    text = render.render(frame, "latex")
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 5
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {len(frame.columns) - 1}
    assert re.search(r"\\begin\{tabular\}\{l(S\[table-format=[-.\de]+\]|l)+\}", text)
    assert all(rule in text for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"\end{tabular}"))
    assert r"a\textbar{}b\_c \& d" in text
    assert r"100 \% \{x\}" in text
    assert r"\num{2.008 +- 0.001}" in text
    assert "& 1.235e-07 &" in text
    assert r"{$\infty$}" in text


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 20], "S[table-format=2]"),
        ([-0.25, 11.5], "S[table-format=-2.2]"),
        ([1e-9, 0.1], "S[table-format=1.3e-1]"),
        ([1e9, 1e-12], "S[table-format=1.3e-2]"),
        ([np.nan, np.inf], "r"),
    ],
)
def test_latex_aligns_numbers_by_siunitx(values, kind):
    text = render.render(pd.DataFrame({"x": values}), "latex")
    assert f"\\begin{{tabular}}{{{kind}}}" in text
    assert "  {x} \\\\" in text


def test_latex_marks_the_best_and_ties():
    text = render.render(pd.DataFrame({"x": ["0.1±0.02 *", "0.11 =", "2e-05", "too few", "-3"]}), "latex")
    rows = [line.strip().removesuffix(r" \\") for line in text.splitlines()[5:10]]
    assert rows == [
        r"\textbf{\num{0.1 +- 0.02}}",
        r"\underline{\num{0.11}}",
        r"\num{2e-05}",
        "too few",
        r"\num{-3}",
    ]


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex")
def test_latex_compiles(frame, tmp_path):
    marked = pd.DataFrame({"a": ["0.1±0.02 *", "too few"], "b": [1e-9, -np.inf], "c": [0.5, np.nan]})
    tables = "\n".join(render.render(one, "latex") for one in (frame, marked))
    preamble = "\\documentclass{article}\n\\usepackage{booktabs, siunitx}\n\\begin{document}\n"
    (tmp_path / "t.tex").write_text(f"{preamble}{tables}\\end{{document}}\n")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([1.0, 3.0, math.nan], ["1", "3", "–"]),
        ([2.008, 1.5, 1.0], ["2.008", "1.500", "1.000"]),
        ([0.1, 1e-9, 0.0], ["1.000e-01", "1.000e-09", "0"]),
        ([12345.6, 99.5], ["12345.6", "99.5"]),
        ([12345.6, 23456.7], ["1.235e+04", "2.346e+04"]),
        ([-0.25, math.inf], ["-0.25", "inf"]),
        ([True, False], ["True", "False"]),
    ],
)
def test_column_is_written_in_one_notation(values, texts):
    lines = render.render(pd.DataFrame({"x": values}), "markdown").splitlines()[2:]
    assert [line.strip("| ") for line in lines] == texts


@pytest.mark.parametrize("width", [48, 60, 80, 100, 120, 160, 200])
def test_narrow_terminal_neither_cuts_numbers_nor_runs_over(frame, width):
    lines = shown(frame, width).splitlines()
    assert max(map(cell_len, lines)) <= width
    words = " ".join(lines).split()
    for text in (
        "dpm-solver++-3m-as-published",
        "2.008±0.001",
        "2.0081",
        "1.235e-07",
        "unresolved",
        "(mixture)",
    ):
        assert text in words


def test_terminal_narrower_than_a_cell_folds_it_whole(frame):
    for columns in (["method"], ["method", "verdict"], ["error", "method"]):
        for width in (12, 20):
            assert max(map(cell_len, shown(frame[columns], width).splitlines())) <= width
    assert "dpm-solver++-3m-as-published" in "".join(shown(frame[["method"]], 12).split())
    assert "1.235e-07" in shown(frame[["method", "error"]], 20)


def test_verdicts_have_their_colours_inside_longer_cells_too(frame):
    text = shown(frame, 200, force_terminal=True, color_system="standard", no_color=False)
    assert text.count("\x1b[32mconfirmed\x1b[0m") == 2
    assert text.count("\x1b[1;31mrefuted\x1b[0m") == 2
    assert text.count("\x1b[33munresolved\x1b[0m") == 1


def test_output_that_is_no_terminal_is_plain_and_as_wide_as_the_table(frame, capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    frame["note"] = "word " * 40
    render.to_terminal(frame, "Orders")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Orders"
    assert len(lines) == 3 + len(frame)
    assert "\x1b" not in "".join(lines)
    assert lines[3].split()[0] == "dpm-solver++-3m-as-published"


def test_brackets_in_cells_are_not_taken_for_markup():
    assert "[bold]x[/nope]" in shown(pd.DataFrame({"[red]": ["[bold]x[/nope]"]}), 80)


@pytest.mark.parametrize(
    ("suffix", "form", "first"),
    [
        (".csv", "csv", "method,claim,"),
        (".json", "json", "["),
        (".md", "markdown", "| method "),
        (".markdown", "markdown", "| method "),
        (".TEX", "latex", "% "),
    ],
)
def test_file_is_in_the_format_of_its_suffix(frame, tmp_path, suffix, form, first):
    path = render.write(frame, tmp_path / f"table{suffix}")
    assert path.read_text(encoding="utf-8") == render.render(frame, form)
    assert path.read_text(encoding="utf-8").startswith(first)
    assert os.listdir(tmp_path) == [path.name]


def test_failed_write_leaves_the_old_file_and_no_draft(frame, tmp_path, monkeypatch):
    path = tmp_path / "table.csv"
    path.write_text("old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        render.write(frame, path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["table.csv"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("table.xlsx", r"path is '.*table\.xlsx', which ends in '\.xlsx': use one of \.csv, \.json"),
        ("table", r"which has no suffix: use one of"),
        ("absent/table.csv", r"whose folder '.*absent' does not exist: make it first"),
    ],
)
def test_path_that_cannot_be_written_is_refused_by_name(frame, tmp_path, name, message):
    with pytest.raises(ValueError, match=message):
        render.write(frame, tmp_path / name)
    assert os.listdir(tmp_path) == []


def test_folder_in_the_place_of_a_file_is_refused(frame, tmp_path):
    (tmp_path / "table.csv").mkdir()
    with pytest.raises(ValueError, match="which is a folder"):
        render.write(frame, tmp_path / "table.csv")


def test_bad_frames_and_formats_are_refused_by_name(frame):
    with pytest.raises(ValueError, match=r"format is 'xml': use one of csv, markdown, latex, json"):
        render.render(frame, "xml")
    with pytest.raises(TypeError, match=r"frame is a list: give a pandas DataFrame"):
        render.render([1], "csv")
    with pytest.raises(ValueError, match=r"frame has the column 'x' more than once"):
        render.render(pd.DataFrame([[1, 2]], columns=["x", "x"]), "json")


@pytest.mark.parametrize("empty", [pd.DataFrame(), pd.DataFrame({"method": [], "slope": []})])
def test_empty_tables_are_no_special_case(empty):
    assert json.loads(render.render(empty, "json")) == []
    for form in files.FORMATS:
        assert render.render(empty, form).endswith("\n") or empty.columns.empty
    assert ("method" in shown(empty, 80)) == ("method" in empty.columns)
