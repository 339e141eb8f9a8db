"""Finished work on disk, one file each, so that a killed run loses nothing it had finished."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import analytic
import solvers

from .output.files import write_whole


@cache
def fingerprint() -> str:
    """Hash of the source of `analytic`, `solvers` and `studies`: results of other code are stale."""
    digest = hashlib.sha256()
    folders = [Path(str(package.__file__)).parent for package in (analytic, solvers)] + [
        Path(__file__).parent
    ]
    for folder in folders:
        for file in sorted(folder.rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()


class Store:
    """Results by what made them.

    Parameters
    ----------
    folder : path
        Made if missing.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if self.folder.exists() and not self.folder.is_dir():
            raise ValueError(f"folder is '{folder}', which is a file: give a folder")
        self.folder.mkdir(parents=True, exist_ok=True)

    def _file(self, key: dict[str, Any]) -> Path:
        text = json.dumps(key | {"code": fingerprint()}, sort_keys=True, default=repr)
        return self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.json"

    def load(self, key: dict[str, Any]) -> Any:
        """Return what was saved under this key by this code, or None."""
        try:
            return json.loads(self._file(key).read_text())["result"]
        except (FileNotFoundError, json.JSONDecodeError, KeyError):
            return None

    def save(self, key: dict[str, Any], result: Any) -> None:
        """Save a result that JSON can hold, whole or not at all."""
        content = json.dumps({"key": key, "result": result}, default=repr)
        write_whole(self._file(key), content.encode())
