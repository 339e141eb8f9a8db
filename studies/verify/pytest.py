"""The checks as parameters of one's own tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .checks import CHECKS
from .subject import Subject


def parametrize_with_checks(
    subjects: Sequence[Subject], expected_failures: Mapping[str, str] | None = None
) -> Any:
    """Return a mark that runs a test `def test(subject, check)` once for each sampler and each check.

    ::

        @parametrize_with_checks([Subject("mine", paths.VP(), order=2, given=my_sampler)])
        def test_my_sampler(subject, check):
            finding = check(subject)
            assert finding.result != "failed", finding.means

    Parameters
    ----------
    subjects : sequence of Subject
    expected_failures : mapping of str to str
        Names of checks, and why they fail: they must, or the test fails.

    Raises
    ------
    ValueError
        An expected failure of a check that is none.
    """
    import pytest

    expected = dict(expected_failures or {})
    unknown = set(expected) - set(CHECKS)
    if unknown:
        raise ValueError(f"expected_failures has {sorted(unknown)}: use names of checks, {', '.join(CHECKS)}")
    cases = [
        pytest.param(
            subject,
            check,
            id=f"{subject}-{name}",
            marks=[pytest.mark.xfail(reason=expected[name], strict=True)] if name in expected else [],
        )
        for subject in subjects
        for name, check in CHECKS.items()
    ]
    return pytest.mark.parametrize(("subject", "check"), cases)
