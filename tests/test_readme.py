"""What README.md says is true."""

from __future__ import annotations

import doctest
import os
import re

import pytest

from solvers import catalogue
from studies import frames
from studies.order import order
from studies.readme import BEGIN, END, README


def test_snippets_run_and_print_what_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "_methods", dict(catalogue._methods))  # what they register is forgotten
    failed, tried = doctest.testfile(os.fspath(README), module_relative=False)
    assert tried > 20
    assert failed == 0


def test_the_users_method_is_under_15_lines() -> None:
    (snippet,) = re.findall(r">>> @catalogue\.method.*?(?=\n>>>)", README.read_text(), re.DOTALL)
    assert len(snippet.splitlines()) < 15


@pytest.mark.slow
def test_the_table_is_what_the_command_prints() -> None:
    rows = README.read_text().split(BEGIN)[1].split(END)[0].strip().splitlines()[2:]
    printed = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    summary = frames.summary(*order())
    assert [r[:4] + r[-1:] for r in printed] == [
        [str(v) for v in row[:4]] + [str(row[-1])] for row in summary.itertuples(index=False)
    ]
