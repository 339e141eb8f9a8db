"""What README.md says is true."""

from __future__ import annotations

import doctest
import os
import re

import pytest

from solvers import catalogue
from studies.order import tables
from studies.order.on_tokens import token_order
from studies.order.study import order
from studies.readme import README, between


def test_snippets_run_and_print_what_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "_methods", dict(catalogue._methods))  # what they register is forgotten
    failed, tried = doctest.testfile(os.fspath(README), module_relative=False)
    assert tried > 20
    assert failed == 0


def test_the_users_method_is_under_15_lines() -> None:
    (snippet,) = re.findall(r">>> @catalogue\.method.*?(?=\n>>>)", README.read_text(), re.DOTALL)
    assert len(snippet.splitlines()) < 15


def rows_of(name: str) -> list[list[str]]:
    lines = between(README.read_text(), name).strip().splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.slow
def test_the_table_is_what_the_command_prints() -> None:
    summary = tables.summary(*order())
    assert [r[:4] + r[-1:] for r in rows_of("table")] == [
        [str(v) for v in row[:4]] + [str(row[-1])] for row in summary.itertuples(index=False)
    ]


@pytest.mark.slow
def test_the_table_of_tokens_is_what_the_command_prints() -> None:
    summary = tables.token_summary(*token_order())
    assert rows_of("tokens") == [[str(v) for v in row] for row in summary.itertuples(index=False)]
