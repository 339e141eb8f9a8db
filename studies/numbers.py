"""Numbers in records, by what they are numbers of: what two runs are held against each other by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from numbers import Real
from typing import Any

from .ladder import Measurement

ERRORS = ("error", "errors")
UNSAID = ("status", "reason", "means", "found")


@dataclass(frozen=True)
class Number:
    """One number that was measured.

    Attributes
    ----------
    of : tuple of str
        The words and whole numbers that tell it apart, and its own name.
    value, uncertainty : float
        `uncertainty`: half of the 99 % interval of what is sampled, the bound on what is computed.
    sampled : bool
    error : bool
        Whether less of it is better.
    status : str
    """

    of: tuple[str, ...]
    value: float
    uncertainty: float = 0.0
    sampled: bool = False
    error: bool = True
    status: str = "measured"


def numbers_of(records: Iterable[Any]) -> list[Number]:
    """Return the numbers in records: their errors, and whatever else is no whole number."""
    return [number for record in records for number in _of_record(record)]


def _of_record(record: Any) -> Iterator[Number]:
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    words = tuple(
        str(value) for name, value in values.items() if isinstance(value, str | int) and name not in UNSAID
    )
    status = str(values.get("status", "measured"))
    if isinstance(record, Measurement):
        yield from _of_ladder(record, words)
        return
    for name, value in values.items():
        if isinstance(value, Real) and not isinstance(value, int) and name != "uncertainty":
            error = name in ERRORS
            spread = float(values.get("uncertainty") or 0.0) if error else 0.0
            yield Number((*words, name), float(value), spread, spread > 0, error, status)


def _of_ladder(record: Measurement, words: Sequence[str]) -> Iterator[Number]:
    sampled = record.means == "samples"
    for steps, error, spread in zip(record.steps, record.errors, record.uncertainty, strict=True):
        yield Number((*words, f"{steps} steps"), error, spread, sampled, record.metric != "log-likelihood")
