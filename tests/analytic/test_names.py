"""A mistyped name is answered with the near ones and the command that lists all, which there is."""

from __future__ import annotations

import pytest

from analytic.names import LISTED, UnknownNameError, unknown
from tests.studies.test_cli import Run, assay  # noqa: F401  (a fixture)


def test_one_error_says_what_is_near_and_where_all_are() -> None:
    error = unknown("grid", "kar", ["karras", "power"])
    assert isinstance(error, UnknownNameError)
    assert str(error) == (
        "grid is 'kar', which is not known: did you mean karras? `assay list grids` has all names"
    )
    assert str(unknown("study", "zzz", ["size", "noise"], "or none")) == (
        "study is 'zzz', which is not known: use one of size, noise; or none"
    )
    assert len(str(unknown("method", "zzz", map(str, range(1000))))) < 100


@pytest.mark.parametrize("kind", LISTED)
def test_the_command_that_is_named_lists_them(assay: Run, kind: str) -> None:  # noqa: F811
    code, out, _ = assay("list", LISTED[kind])
    assert code == 0
    assert len(out.splitlines()) > 3
