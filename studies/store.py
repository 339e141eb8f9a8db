"""Finished work on disk, one file each, so that a killed run loses nothing it had finished."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .output.files import write_whole


class Store:
    """Results by the key of what made them (`fingerprints.fingerprint`).

    Parameters
    ----------
    folder : path
        Made if missing. Raises ValueError if it is a file.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if self.folder.exists() and not self.folder.is_dir():
            raise ValueError(f"folder is '{folder}', which is a file: give a folder")
        self.folder.mkdir(parents=True, exist_ok=True)

    def _file(self, key: str) -> Path:
        return self.folder / f"{key[:32]}.json"

    def load(self, key: str) -> Any:
        """Return what was saved under a key, or None."""
        try:
            content = json.loads(self._file(key).read_text("utf-8"))
        except (FileNotFoundError, json.JSONDecodeError, UnicodeDecodeError):
            return None
        return content.get("result") if isinstance(content, dict) and content.get("key") == key else None

    def save(self, key: str, result: Any, about: Mapping[str, Any] | None = None) -> None:
        """Save a result that JSON can hold, whole or not at all; `about` tells a reader of the file what it is."""
        content = json.dumps({"about": dict(about or {}), "key": key, "result": result}, default=str)
        write_whole(self._file(key), content.encode())
