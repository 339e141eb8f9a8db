"""Finished work survives; broken files and those of other keys are not believed."""

from __future__ import annotations

from pathlib import Path

import pytest

from studies.store import Store

KEY, OTHER = "a" * 64, "b" * 64


def test_what_was_saved_is_loaded_and_nothing_else(tmp_path: Path) -> None:
    store = Store(tmp_path / "a" / "b")
    assert store.load(KEY) is None
    store.save(KEY, {"slope": [1.5, float("inf")]}, {"method": "heun"})
    assert store.load(KEY) == {"slope": [1.5, float("inf")]}
    assert store.load(OTHER) is None


def test_a_truncated_file_and_one_of_another_key_are_as_good_as_none(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.save(KEY, 5)
    (file,) = tmp_path.glob("*.json")
    whole = file.read_text()
    file.write_text(whole.replace(KEY, OTHER))
    assert store.load(KEY) is None
    file.write_text(whole[:10])
    assert store.load(KEY) is None


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_text("x")
    with pytest.raises(ValueError, match="folder"):
        Store(file)
