"""The checks as parameters of one's own tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .study import checks_of
from .subject import Subject
from .token_subject import TokenSubject


def parametrize_with_checks(
    subjects: Sequence[Subject | TokenSubject], expected_failures: Mapping[str, str] | None = None
) -> Any:
    """Return a mark that runs a test `def test(subject, check)` once for each sampler and each check.

    Each is marked `verify`, so that `pytest -m verify` runs them alone; pytest's --junitxml writes JUnit.

    ::

        @parametrize_with_checks([Subject("mine", paths.VP(), order=2, given=my_sampler)])
        def test_my_sampler(subject, check):
            finding = check(subject)
            assert finding.result != "failed", finding.means

    Parameters
    ----------
    subjects : sequence of Subject or TokenSubject
    expected_failures : mapping of str to str
        Names of checks, and why they fail: they must, or the test fails.

    Raises
    ------
    ValueError
        An expected failure of a check that is none.
    """
    import pytest

    expected = dict(expected_failures or {})
    known = {name for subject in subjects for name in checks_of(subject)}
    unknown = set(expected) - known
    if unknown:
        raise ValueError(
            f"expected_failures has {sorted(unknown)}: use names of checks, {', '.join(sorted(known))}"
        )
    cases = [
        pytest.param(
            subject,
            check,
            id=f"{subject}-{name}",
            marks=[
                pytest.mark.verify,
                *([pytest.mark.xfail(reason=expected[name], strict=True)] if name in expected else []),
            ],
        )
        for subject in subjects
        for name, check in checks_of(subject).items()
    ]
    return pytest.mark.parametrize(("subject", "check"), cases)
