"""A run that is killed at any moment loses nothing that was finished, and another one ends as if nothing had happened.

Moments are drawn with a fixed seed over the time that an uninterrupted run takes. A finished cell is a file of its own,
put in place by a rename: a cell that was measured twice would be another file.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent.parent
KILLS = {"order": 2}  # at so many moments, else at one
MADE_UP = (
    "import typer\nfrom studies.command import verb\nfrom tests.studies.made_up import Pi\n"
    "@verb(methods=False)\n"
    "def pi():\n"
    "    'Sum slowly.'\n"
    "    return [Pi(wait=0.1), Pi(terms=(64, 128, 256, 512), wait=0.1)]\n"
    "if __name__ == '__main__':\n"
    "    app = typer.Typer()\n    app.command()(pi)\n    app()\n"
)
VERBS = {
    "order": ("euler", "ddpm", "tau-leaping", "--limit", "32"),
    "gap": ("--study", "pulse", "--steps", "4"),
    "budget": ("euler", "ddpm", "--target", "gaussian-1d", "--samples", "500"),
    "scaling": ("euler", "heun", "--against", "epsilon", "--line-limit", "32"),
    "schedules": ("euler", "heun", "--study", "time", "--target", "gaussian-1d"),
    "likelihood": ("heun", "midpoint", "--target", "easy-1d"),
    "pictures": ("euler", "ddpm", "--samples", "40"),
    "compare": ("euler", "heun", "--target", "gaussian-1d", "--target", "easy-1d"),
    "verify": ("heun",),
    "draws": (
        "--draw",
        "gumbel-float32",
        "--draw",
        "inverse-cdf-float32",
        "--draw",
        "exponential-race-float32",
        "--bits",
        "8",
    ),
}


def started(command: Sequence[str | Path], out: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*command, "--out", out, "--jobs", "2"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def finished(out: Path) -> dict[str, tuple[int, int]]:
    """What tells the files of finished cells apart from others of the same names: inode and time of writing."""
    files = (file.stat() for file in (out / "finished").glob("*.json"))
    names = (file.name for file in (out / "finished").glob("*.json"))
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in zip(names, files, strict=True)}


def children(pid: int) -> set[str]:
    """Processes that this one started, as the system names them with their start."""
    found = subprocess.run(
        ["ps", "-o", "pid=,lstart=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    return set(found.stdout.splitlines())


def alive(process: str) -> bool:
    pid, _, start = process.strip().partition(" ")
    found = subprocess.run(["ps", "-o", "lstart=", "-p", pid], capture_output=True, text=True, check=False)
    return found.stdout.strip() == start.strip()


def survives(command: Sequence[str | Path], folder: Path, kills: int, seed: int) -> None:
    """Kill a command `kills` times, let it end, and hold what it wrote against an uninterrupted run's."""
    whole, out = folder / "whole", folder / "killed"
    began = time.monotonic()
    assert started(command, whole).wait(timeout=600) == 0
    spent = time.monotonic() - began
    seen: dict[str, tuple[int, int]] = {}
    counts = []
    for moment in np.random.default_rng(seed).uniform(0, spent, kills):
        process = started(command, out)
        time.sleep(float(moment))
        others = children(process.pid)
        process.kill()
        process.wait()
        until = time.monotonic() + 20
        while any(map(alive, others)):  # they end with the process that started them
            assert time.monotonic() < until
            time.sleep(0.05)
        now = finished(out)
        assert seen.items() <= now.items()
        seen = now
        counts.append(len(seen))
    assert started(command, out).wait(timeout=600) == 0
    assert seen.items() <= finished(out).items()
    assert finished(out).keys() == finished(whole).keys()
    assert sum(counts) > 0  # some moment came after the first cell
    tables = [file for file in whole.iterdir() if file.suffix in (".csv", ".md")]
    assert tables
    for file in tables:
        assert (out / file.name).read_bytes() == file.read_bytes(), file.name


def test_a_killed_run_of_two_studies_goes_on_where_it_was(tmp_path: Path) -> None:
    script = tmp_path / "sum.py"
    script.write_text(MADE_UP)
    survives([sys.executable, script], tmp_path, 3, 1)


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_goes_on_where_it_was_killed(verb: str, tmp_path: Path) -> None:
    survives(
        [sys.executable, "-c", "from studies.cli import main; main()", verb, *VERBS[verb]],
        tmp_path,
        KILLS.get(verb, 1),
        7,
    )
