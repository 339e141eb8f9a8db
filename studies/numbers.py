"""Numbers in records, by what they are numbers of: what two runs are held against each other by.

Words and whole numbers of a record tell it apart from others, `status` and `reason` aside, and `error` and `errors` are
errors. A field that is otherwise says so in its metadata: `AXIS`, `OUTCOME` or `measured`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import Field, dataclass, fields, is_dataclass
from numbers import Real
from typing import Any

import numpy as np
from scipy import special

from .ladder import Measurement

NORMAL = float(special.ndtri(0.995))  # half widths of 99 % intervals in standard deviations
UNSAID = ("status", "reason", "means", "found", "uncertainty")
AXIS: Mapping[str, Any] = {"is": "axis"}  # of a fraction that tells records apart
OUTCOME: Mapping[str, Any] = {
    "is": "found"
}  # of a word or a whole number that was found, and tells nothing apart


@dataclass(frozen=True)
class Number:
    """One number that was measured.

    Attributes
    ----------
    of : tuple of str
        The words and numbers that tell it apart, and its own name.
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


@dataclass(frozen=True)
class Measured:
    """How a field's numbers are read.

    Attributes
    ----------
    half : str
        The field that has half of their intervals; "" for none.
    widths : float
        What those are multiplied by to be half of 99 % intervals, as `NORMAL` for standard errors.
    along : str
        The field that says, entry by entry, where the numbers of a tuple were measured.
    error : bool
        Whether less is better.
    """

    half: str = ""
    widths: float = 1.0
    along: str = ""
    error: bool = True


def measured(
    half: str = "", widths: float = 1.0, along: str = "", *, error: bool = True
) -> Mapping[str, Any]:
    """Return the metadata of a field that was measured, see `Measured`."""
    return {"is": Measured(half, widths, along, error)}


BY_NAME = {"error": Measured("uncertainty"), "errors": Measured("uncertainty", along="steps")}


def numbers_of(records: Iterable[Any]) -> list[Number]:
    """Return the numbers in records: their errors, and whatever else is no whole number."""
    return [number for record in records for number in _of_record(record, ())]


def _of_record(record: Any, of: Sequence[str]) -> Iterator[Number]:
    known = {field.name: field for field in fields(record)}
    values = {name: getattr(record, name) for name in known}
    words = (*of, *(_word(values[name]) for name in known if _tells_apart(known[name], values[name])))
    status = str(values.get("status", "measured"))
    if isinstance(record, Measurement):
        yield from _of_ladder(record, words)
        return
    how = {name: _how(field) for name, field in known.items()}
    halves = {one.half for one in how.values() if one is not None} & known.keys()
    for name, value in values.items():
        one = how[name]
        if name in halves or name in UNSAID or known[name].metadata.get("is") in ("axis", "found"):
            continue
        if isinstance(value, tuple) and value and is_dataclass(value[0]):
            for part in value:
                yield from _of_record(part, (*words, name))
        elif isinstance(value, tuple) and one is not None and one.along in values:
            half = values.get(one.half, 0.0)
            for place, at in enumerate(values[one.along]):
                spread = half[place] if isinstance(half, tuple) else half
                yield _number((*words, name, f"{one.along} {_word(at)}"), value[place], spread, one, status)
        elif isinstance(value, Real) and not isinstance(value, int):
            one = one or Measured(error=False)
            yield _number((*words, name), value, values.get(one.half, 0.0), one, status)
        elif isinstance(value, int) and one is not None:
            yield _number((*words, name), value, values.get(one.half, 0.0), one, status)


def _how(field: Field[Any]) -> Measured | None:
    said = field.metadata.get("is")
    return said if isinstance(said, Measured) else BY_NAME.get(field.name)


def _tells_apart(field: Field[Any], value: Any) -> bool:
    said = field.metadata.get("is")
    return said == "axis" or (said is None and isinstance(value, str | int) and field.name not in UNSAID)


def _word(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _number(of: tuple[str, ...], value: Real | int, half: Any, how: Measured, status: str) -> Number:
    spread = float(half or 0.0) * how.widths
    return Number(of, float(value), 0.0 if np.isnan(spread) else spread, spread > 0, how.error, status)


def _of_ladder(record: Measurement, words: Sequence[str]) -> Iterator[Number]:
    sampled = record.means == "samples"
    for steps, error, spread in zip(record.steps, record.errors, record.uncertainty, strict=True):
        yield Number((*words, f"{steps} steps"), error, spread, sampled, record.metric != "log-likelihood")
