"""Finished work on disk, one file each, so that a killed run loses nothing it had finished.

A record is never changed: more precision is more records, and folders are merged by taking what both have. How long
cells took stands apart, since it says something of a machine and nothing of a method.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from .made import made, made_word
from .output.files import write_whole

TIMES, MADE = "times.jsonl", "made"


@dataclass(frozen=True)
class Kept:
    """A cell as it is kept.

    Attributes
    ----------
    key : str
        Fingerprint of all that the result depends on.
    about : mapping
        The study's name and the cell's axes, for a reader of the file.
    result : what JSON can hold, or None
        None where measuring failed.
    failure : mapping or None
        `kind` and `reason` of what was raised instead.
    made : str
        Of what the folder `made` says with which versions and on which machine.
    """

    key: str
    about: Mapping[str, Any]
    result: Any = None
    failure: Mapping[str, str] | None = None
    made: str = ""


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

    def load(self, key: str) -> Kept | None:
        """Return what was saved under a key, or None."""
        found = _read(self._file(key))
        return found if found is not None and found.key == key else None

    def save(
        self,
        key: str,
        result: Any = None,
        about: Mapping[str, Any] | None = None,
        *,
        failure: Mapping[str, str] | None = None,
        seconds: float | None = None,
    ) -> None:
        """Save a result that JSON can hold, or a failure: whole or not at all, and on the disk when this returns.

        What is there already stays, unless it is a failure.
        """
        before = self.load(key)
        if before is None or before.failure is not None:
            content = {"about": dict(about or {}), "key": key, "made": self._made, "result": result}
            content |= {} if failure is None else {"failure": dict(failure)}
            write_whole(self._file(key), json.dumps(content, default=str).encode(), lasting=True)
        if seconds is not None:
            line = {"key": key, "seconds": round(seconds, 4), "made": self._made}
            with (self.folder / TIMES).open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")  # one write: lines of several processes do not mix

    def __iter__(self) -> Iterator[Kept]:
        """Yield everything kept, in the order of the keys."""
        for file in sorted(self.folder.glob("*.json")):
            found = _read(file)
            if found is not None:
                yield found

    @cached_property
    def _made(self) -> str:
        word = made_word()
        file = self.folder / MADE / f"{word}.json"
        if not file.exists():
            file.parent.mkdir(exist_ok=True)
            write_whole(file, json.dumps(made(), indent=1).encode())
        return word

    def provenance(self) -> dict[str, dict[str, Any]]:
        """Return with which versions and on which machines the records were made, by the words they name it with."""
        return {
            file.stem: json.loads(file.read_text("utf-8"))
            for file in sorted((self.folder / MADE).glob("*.json"))
        }

    def seconds(self) -> dict[str, float]:
        """Return how long cells took on this machine, by their keys."""
        machine = made()["machine"]
        here = {word for word, about in self.provenance().items() if about.get("machine") == machine}
        found = {}
        try:
            lines = (self.folder / TIMES).read_text("utf-8").splitlines()
        except FileNotFoundError:
            return {}
        for line in lines:
            try:
                read = json.loads(line)
                if read["made"] in here:
                    found[read["key"]] = float(read["seconds"])
            except (ValueError, KeyError, TypeError):  # a line that a kill cut short
                continue
        return found

    def merge(self, other: Store) -> tuple[int, list[Kept]]:
        """Take what another store has and this one has not.

        Returns how many records were taken, and those whose numbers are others here under the same key: something that
        they depend on is in no key, or differs between two runs.
        """
        taken, otherwise = 0, []
        for record in other:
            own = self.load(record.key)
            if own is None or (own.failure is not None and record.failure is None):
                shutil.copyfile(other._file(record.key), self._file(record.key))
                taken += 1
            elif own.result != record.result and record.failure is None:
                otherwise.append(record)
        if (other.folder / MADE).is_dir():
            shutil.copytree(other.folder / MADE, self.folder / MADE, dirs_exist_ok=True)
        times = other.folder / TIMES
        if times.is_file():
            known = (
                set((self.folder / TIMES).read_text().splitlines())
                if (self.folder / TIMES).is_file()
                else set()
            )
            new = [line for line in times.read_text("utf-8").splitlines() if line not in known]
            with (self.folder / TIMES).open("a", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in new)
                os.fsync(file.fileno())
        return taken, otherwise


def _read(file: Path) -> Kept | None:
    try:
        content = json.loads(file.read_text("utf-8"))
        return Kept(
            content["key"],
            content.get("about", {}),
            content["result"],
            content.get("failure"),
            content.get("made", ""),
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return None  # cut short, or something else
