"""What a cell's key says of the code: all that runs is in it, and an edit of what does not run leaves it as it is."""

from __future__ import annotations

import importlib
import inspect
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from studies.cli import function_of
from studies.reached import _is_own, code_reached, reached
from studies.study import Cell, Study

ROOT = Path(__file__).parent.parent.parent
FILES = {
    "helper.py": """
FACTOR = 2.0
NAMES = ("first", "second")


def used(x):
    '''Say what it does.'''
    return FACTOR * x  # a remark


def unused(x):
    return x


class Base:
    def first(self):
        return used(1.0)

    def third(self):
        return unused(3.0)


class Kind(Base):
    def second(self):
        return sum(k for k in range(3))
""",
    "mine.py": """
from functools import cache, partial

import helper


def measure(kind, by="first"):
    from helper import NAMES

    return [getattr(kind, name)() for name in NAMES] + [kept(2.0)]


@cache
def kept(x):
    return helper.used(x)


bound = partial(measure, helper.Kind())
""",
}
CHANGES = {  # file, what is replaced, by what, whether it counts
    "a constant": ("helper.py", "FACTOR = 2.0", "FACTOR = 2.1", True),
    "a sign": ("helper.py", "return FACTOR * x", "return -FACTOR * x", True),
    "a number in a generator": ("helper.py", "range(3)", "range(4)", True),
    "a member that is called by its name": ("helper.py", "used(1.0)", "used(1.5)", True),
    "a default": ("mine.py", 'by="first"', 'by="second"', True),
    "a function in a cache": ("mine.py", "helper.used(x)", "helper.used(x + 1)", True),
    "a base": (
        "helper.py",
        "class Kind(Base)",
        "class Middle(Base):\n    pass\n\n\nclass Kind(Middle)",
        True,
    ),
    "what is not called": ("helper.py", "return x\n", "return x + 1\n", False),
    "a member that nobody names": ("helper.py", "unused(3.0)", "unused(4.0)", False),
    "a remark": ("helper.py", "# a remark", "# another", False),
    "a docstring": ("helper.py", "Say what", "Tell what", False),
    "where it stands": ("helper.py", "def used", "\n\n\ndef used", False),
}


def key_of_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    for name in ("helper", "mine"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    importlib.invalidate_caches()
    return code_reached(importlib.import_module("mine").bound)


@pytest.mark.parametrize("name", CHANGES)
def test_an_edit_counts_where_it_is_reached(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.syspath_prepend(str(tmp_path))
    for file, text in FILES.items():
        (tmp_path / file).write_text(text)
    before = key_of_files(tmp_path, monkeypatch)
    assert key_of_files(tmp_path, monkeypatch) == before
    file, old, new, counts = CHANGES[name]
    assert FILES[file].count(old) == 1
    (tmp_path / file).write_text(FILES[file].replace(old, new))
    assert (key_of_files(tmp_path, monkeypatch) != before) is counts


def cells_of(verb: str, options: Mapping[str, Any]) -> list[tuple[Study[Any], Cell[Any]]]:
    build = inspect.unwrap(function_of(verb))
    defaults = {name: p.default for name, p in inspect.signature(build).parameters.items()}
    made = build(**(defaults | dict(options)))
    return [(study, cell) for study in (made if isinstance(made, list) else [made]) for cell in study.cells()]


def called_by(cell: Cell[Any]) -> set[str]:
    """Functions of ours that run while a cell is measured, those within others by the outermost."""
    called = set()

    def note(frame: Any, event: str, _: Any) -> None:
        module, code = str(frame.f_globals.get("__name__")), frame.f_code
        name = code.co_qualname.split(".<locals>")[0]
        if (
            event == "call"
            and _is_own(module)
            and not module.startswith("tests")
            and code.co_filename != "<string>"
            and name[0] != "<"
        ):
            called.add(f"{module}.{name}")

    sys.setprofile(note)
    try:
        list(cell.measure())
    finally:
        sys.setprofile(None)
    return called


def not_reached(verb: str, options: Mapping[str, Any], most: int = 4) -> set[str]:
    missed = set()
    for study, cell in cells_of(verb, options)[:most]:
        called = called_by(cell)
        assert len(called) > 10
        missed |= called - reached(cell.measure, cell.given, study.record)
    return missed


QUICK = {
    "order": {"methods": ["heun", "ddpm"], "limit": 32},
    "compare": {"methods": ["unipc"], "targets": ["pair-2d", "gaussian-1d"], "samples": 200, "nfe": [8]},
    "gap": {"studies": ["pulse"], "steps": 4},
    "mixing": {"methods": ["ula", "ubu"], "dims": [10], "conditions": [1], "budgets": [16]},
    "mixed": {"studies": ["copies", "split"]},
    "pictures": {"methods": ["euler"], "samples": 10},
    "scaling": {"methods": ["euler"], "against": ["epsilon"], "limit": 64, "line_limit": 32},
    "verify": {"sampler": "heun"},
}
SLOW = {
    "guidance": {
        "studies": ["posterior", "composed"],
        "deviations": [0.5],
        "powers": [1.0],
        "steps": [3],
        "samples": 1000,
    },
    "budget": {"methods": ["heun"], "targets": ["easy-1d"], "samples": 100, "steps": [4]},
    "likelihood": {"methods": ["heun"], "targets": ["easy-1d"]},
    "schedules": {"methods": ["heun"], "studies": ["grids", "optimised"], "targets": ["gaussian-1d"]},
}


@pytest.mark.parametrize("verb", QUICK)
def test_all_that_runs_is_reached(verb: str) -> None:
    assert not_reached(verb, QUICK[verb]) == set()
    assert not_reached("order", {"methods": ["tau-leaping"], "limit": 32}, 1) == set()


@pytest.mark.slow
@pytest.mark.parametrize("verb", SLOW)
def test_all_that_runs_longer_is_reached(verb: str) -> None:
    assert not_reached(verb, SLOW[verb], 40 if verb == "guidance" else 4) == set()


@pytest.mark.slow
def test_all_that_runs_is_reached_within_compiled_code_too() -> None:
    code = (
        "from tests.studies.test_reached import not_reached\n"
        "assert not not_reached('compare', {'methods': ['heun', 'ddpm'], 'targets': ['pair-2d', 'gaussian-1d'],"
        " 'samples': 100, 'nfe': [4]})\n"
        "assert not not_reached('order', {'methods': ['tau-leaping'], 'targets': ['smooth'], 'limit': 16}, 1)\n"
    )
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, cwd=ROOT)


def test_methods_do_not_share_their_keys() -> None:
    keys = {
        code_reached(cell.measure, cell.given, study.record)
        for study, cell in cells_of(
            "order", {"methods": ["heun", "unipc", "ddpm"], "targets": ["gaussian-1d"]}
        )
    }
    assert len(keys) == 3


class First:
    pass


class Second:
    pass


class Third:
    pass


def test_a_key_is_the_same_however_often_it_is_asked() -> None:
    """Each time new objects are made of the same classes, whose addresses are those of others that are gone."""
    words = set()
    for count in range(200):
        held = [partial(partial(len, First()), [Second(), "x" * count]), {"a": partial(len, Third())}]
        words.add(code_reached(held))
    assert len(words) == 1
