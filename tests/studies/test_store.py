"""Finished work survives; broken files and those of other keys are not believed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from studies.store import Store

KEY, OTHER = "a" * 64, "b" * 64


def test_what_was_saved_is_loaded_and_nothing_else(tmp_path: Path) -> None:
    store = Store(tmp_path / "a" / "b")
    assert store.load(KEY) is None
    store.save(KEY, {"slope": [1.5, float("inf")]}, {"method": "heun"})
    kept = store.load(KEY)
    assert kept is not None
    assert (kept.result, kept.about) == ({"slope": [1.5, float("inf")]}, {"method": "heun"})
    assert store.load(OTHER) is None


def test_a_record_never_changes_but_a_failure_may_be_mended(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save(KEY, failure={"kind": "ValueError", "reason": "too few"})
    kept = store.load(KEY)
    assert kept is not None
    assert kept.failure == {"kind": "ValueError", "reason": "too few"}
    store.save(KEY, 5)
    store.save(KEY, 6)
    kept = store.load(KEY)
    assert kept is not None
    assert (kept.result, kept.failure) == (5, None)


def test_what_made_a_record_is_told_and_times_stand_apart(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save(KEY, 5, seconds=2.0)
    (file,) = tmp_path.glob("*.json")
    content = json.loads(file.read_text())
    assert "seconds" not in content
    (made,) = store.provenance().values()
    assert made["versions"].keys() >= {"numpy", "numba", "scipy"}
    assert len(made["machine"]) == 12
    assert store.seconds() == {KEY: 2.0}
    with (tmp_path / "times.jsonl").open("a") as lines:
        lines.write('{"key": "cut sho')
    assert store.seconds() == {KEY: 2.0}
    other = {"key": OTHER, "seconds": 9.0, "made": "elsewhere"}
    (tmp_path / "times.jsonl").write_text(json.dumps(other) + "\n")
    assert store.seconds() == {}  # of another machine


def test_a_merge_is_the_union_and_tells_other_numbers_under_one_key(tmp_path: Path) -> None:
    a, b = Store(tmp_path / "a"), Store(tmp_path / "b")
    third = "c" * 64
    a.save(KEY, [1.0], seconds=1.0)
    a.save(third, [3.0])
    b.save(KEY, [1.0])
    b.save(OTHER, [2.0], seconds=2.0)
    b.save(third, [3.0000001])
    taken, otherwise = a.merge(b)
    assert taken == 1
    assert [record.key for record in otherwise] == [third]
    assert {record.key: record.result for record in a} == {KEY: [1.0], OTHER: [2.0], third: [3.0]}
    assert a.seconds() == {KEY: 1.0, OTHER: 2.0}
    assert a.merge(b)[0] == 0
    assert len((a.folder / "times.jsonl").read_text().splitlines()) == 2


def test_a_truncated_file_and_one_of_another_key_are_as_good_as_none(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save(KEY, 5)
    (file,) = tmp_path.glob("*.json")
    whole = file.read_text()
    file.write_text(whole.replace(KEY, OTHER))
    assert store.load(KEY) is None
    file.write_text(whole[:10])
    assert store.load(KEY) is None
    assert list(store) == []


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text("x")
    with pytest.raises(ValueError, match="folder"):
        Store(file)
