"""Compiled functions that are kept are made again when something they call was edited, in another file too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from solvers.continuous.executors import fused
from solvers.numerics import caches

ROOT = Path(__file__).parents[2]
FILES = {
    "mine/__init__.py": "",
    "mine/low.py": "from numba import njit\nfrom .number import N\n@njit\ndef low(x):\n    return x + N\n",
    "mine/number.py": "N = 1\n",
    "mine/high.py": (
        "from numba import njit\nfrom solvers.numerics.jit import COMPILED\n"
        "from . import (\n    low as lower,  # by another name\n)\nlow = lower.low\n"
        "@njit(**COMPILED)\ndef high(x):\n    return 2 * low(x)\n"
    ),
    "mine/other.py": "",
}


def run(folder: Path) -> tuple[str, int]:
    """Return what the function gives in a process of its own, and how often it was taken from what is kept."""
    code = "from mine.high import high; print(high(1), sum(high.stats.cache_hits.values()))"
    paths = os.pathsep.join([str(folder), str(ROOT)])
    environment = os.environ | {"PYTHONPATH": paths, "NUMBA_CACHE_DIR": str(folder / "kept")}
    done = subprocess.run(
        [sys.executable, "-B", "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    value, hits = done.stdout.split()
    return value, int(hits)


@pytest.mark.parametrize(
    ("file", "old", "new", "value"),
    [("low.py", "x + N", "x + N + 10", "24"), ("number.py", "N = 1", "N = 5", "12")],
)
def test_an_edit_of_what_is_called_is_seen(tmp_path: Path, file: str, old: str, new: str, value: str) -> None:
    (tmp_path / "mine").mkdir()
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    assert run(tmp_path) == ("4", 0)
    assert run(tmp_path) == ("4", 1)
    (tmp_path / "mine" / "other.py").write_text("# which nothing imports\n")
    assert run(tmp_path) == ("4", 1)
    edited = tmp_path / "mine" / file
    edited.write_text(edited.read_text().replace(old, new))
    assert run(tmp_path) == (value, 0)


def test_samples_depend_on_what_they_are_made_of() -> None:
    names = {str(file.relative_to(ROOT)) for file in caches.sources(Path(fused.__file__))}
    assert {
        "solvers/numerics/primitives.py",
        "solvers/numerics/lanes.py",
        "solvers/numerics/philox.py",
    } <= names
    assert "solvers/continuous/executors/mixture_products.py" in names
    assert "solvers/discrete/moves/site.py" not in names
