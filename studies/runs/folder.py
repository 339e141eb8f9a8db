"""A run's folder: what was declared, the keys of its last run, and everything that is finished."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..fingerprints import fingerprint
from ..output.files import write_whole
from ..store import Kept, Store
from ..study import Failure, Found, Study, Work, restored
from .declared import Declared, parsed

if TYPE_CHECKING:
    from ..output.page import Head

DECLARED, KEYS, FINISHED = "study.toml", "run.json", "finished"


class RunFolder:
    """A folder of results.

    Parameters
    ----------
    folder : path
        Of an earlier run, or one that is to be made.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    @classmethod
    def existing(cls, folder: str | Path) -> RunFolder:
        """Return a folder that has a run; ValueError if it has none."""
        found = cls(folder)
        if not (found.folder / DECLARED).is_file():
            raise ValueError(
                f"folder is '{folder}', in which there is no {DECLARED}: give the --out of a run, or of a verb"
            )
        return found

    @property
    def store(self) -> Store:
        """What is finished."""
        return Store(self.folder / FINISHED)

    def declared(self) -> Declared:
        """Return what was run; ValueError if it can no longer be read."""
        file = self.folder / DECLARED
        return parsed(file.read_text("utf-8"), str(file))

    def begin(self, declared: Declared, studies: Sequence[Study[Any]]) -> None:
        """Write what is run, before anything is measured."""
        store = self.store  # makes the folder
        tasks = Work(studies, store).tasks()
        keys = [[task.key for task in tasks if task.number == number] for number in range(len(studies))]
        write_whole(self.folder / DECLARED, declared.text().encode())
        content = {"studies": [{"name": s.name, "keys": k} for s, k in zip(studies, keys, strict=True)]}
        write_whole(self.folder / KEYS, json.dumps(content).encode())

    def keys(self) -> list[list[str]]:
        """Return the keys of the last run, of each study in the order of its cells."""
        content = json.loads((self.folder / KEYS).read_text("utf-8"))
        return [study["keys"] for study in content["studies"]]

    def records(self) -> list[list[Kept]]:
        """Return what the last run found, as far as it came, whatever the code is now."""
        store = self.store
        return [[kept for key in keys if (kept := store.load(key)) is not None] for keys in self.keys()]

    def head(self) -> Head:
        """Return what a page says of the last run."""
        from ..output.page import Head

        declared, records = self.declared(), self.records()
        known = self.store.provenance()
        words = dict.fromkeys(record.made for study in records for record in study)
        keys = [record.key for study in records for record in study]
        title = declared.title or ", ".join(f"assay {ask.verb}" for ask in declared.asks)
        made = [known[word] for word in words if word in known]
        return Head(title, declared.about, fingerprint(sorted(keys))[:12], made)

    def found(self, studies: Sequence[Study[Any]]) -> list[Found[Any]]:
        """Return what the last run found, of each study.

        Raises ValueError where records no longer are what the code writes.
        """
        out = []
        for study, kept in zip(studies, self.records(), strict=True):
            one: Found[Any] = Found()
            for record in kept:
                if record.failure is not None:
                    axes = {name: value for name, value in record.about.items() if name != "study"}
                    one.failures.append(Failure(axes, record.failure["kind"], record.failure["reason"]))
                    continue
                try:
                    one.records += restored(study, record.result)
                except ValueError:
                    raise ValueError(
                        f"folder is '{self.folder}', whose records of {study.name} were written by other code: run it "
                        "again"
                    ) from None
            out.append(one)
        return out
