"""Finished work survives; stale and broken files are not believed."""

from __future__ import annotations

from pathlib import Path

import pytest

from studies import store as module
from studies.store import Store


def test_what_was_saved_is_loaded_and_nothing_else(tmp_path: Path) -> None:
    store = Store(tmp_path / "a" / "b")
    assert store.load({"x": 1}) is None
    store.save({"x": 1}, {"slope": [1.5, float("inf")]})
    assert store.load({"x": 1}) == {"slope": [1.5, float("inf")]}
    assert store.load({"x": 2}) is None


def test_results_of_other_code_are_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    store.save({"x": 1}, 5)
    monkeypatch.setattr(module, "fingerprint", lambda: "another")
    assert store.load({"x": 1}) is None


def test_a_truncated_file_is_as_good_as_none(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save({"x": 1}, 5)
    (file,) = tmp_path.glob("*.json")
    file.write_text(file.read_text()[:10])
    assert store.load({"x": 1}) is None


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text("x")
    with pytest.raises(ValueError, match="folder"):
        Store(file)
