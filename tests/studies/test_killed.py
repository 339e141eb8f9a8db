"""A run that is killed at any moment loses nothing that was finished, and another one ends as if nothing had happened.

Moments are drawn with a fixed seed: after so many cells of those that are left, and then within the time of a cell, so
that a run is killed while it measures, however long it takes to start. A finished cell is a file of its own, put in
place by a rename: a cell that was measured twice would be another file.
"""

from __future__ import annotations

import contextlib
import os
import signal
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
# Several studies at once, samples, token laws and long cells; what runs and keeps them is the same for all verbs.
VERBS = {
    "order": ("euler", "ddpm", "tau-leaping", "--limit", "32"),
    "gap": ("--study", "pulse", "--steps", "4"),
    "compare": ("euler", "heun", "--target", "gaussian-1d", "--target", "easy-1d", "--target", "pair-2d"),
    "verify": ("heun",),
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


def survives(
    command: Sequence[str | Path], folder: Path, kills: int, seed: int, workers_too: bool = False
) -> None:
    """Kill a command `kills` times, let it end, and hold what it wrote against an uninterrupted run's.

    With `workers_too` a process that it started is killed first, every other time.
    """
    whole, out = folder / "whole", folder / "killed"
    assert started(command, whole).wait(timeout=600) == 0
    written = sorted(when for _, when in finished(whole).values())
    a_cell = (written[-1] - written[0]) / 1e9 / len(written)
    seen: dict[str, tuple[int, int]] = {}
    in_the_middle, rng = 0, np.random.default_rng(seed)
    for kill in range(kills):
        before = len(finished(out))
        aim = before + 1 + int(rng.integers(max(1, (len(written) - before) // (kills - kill + 1))))
        process = started(command, out)
        while process.poll() is None and len(finished(out)) < aim:
            time.sleep(0.02)
        time.sleep(float(rng.uniform(0, a_cell)))
        others = children(process.pid)
        if workers_too and kill % 2 and others:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(max(others).split()[0]), signal.SIGKILL)
            time.sleep(float(rng.uniform(0, a_cell)))
        in_the_middle += process.poll() is None
        process.kill()
        process.wait()
        until = time.monotonic() + 20
        while any(map(alive, others)):  # they end with the process that started them
            assert time.monotonic() < until
            time.sleep(0.05)
        now = finished(out)
        assert seen.items() <= now.items()
        seen = now
    assert started(command, out).wait(timeout=600) == 0
    assert seen.items() <= finished(out).items()
    assert finished(out).keys() == finished(whole).keys()
    assert seen
    assert in_the_middle
    for record in (whole / "finished").glob("*.json"):
        assert (out / "finished" / record.name).read_bytes() == record.read_bytes()
    tables = [file for file in whole.iterdir() if file.suffix in (".csv", ".md")]
    assert tables
    for file in tables:
        assert (out / file.name).read_bytes() == file.read_bytes(), file.name


def test_a_killed_run_of_two_studies_goes_on_where_it_was(tmp_path: Path) -> None:
    script = tmp_path / "sum.py"
    script.write_text(MADE_UP)
    survives([sys.executable, script], tmp_path, 2, 1)


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_goes_on_where_it_was_killed(verb: str, tmp_path: Path) -> None:
    survives(
        [sys.executable, "-c", "from studies.cli import main; main()", verb, *VERBS[verb]],
        tmp_path,
        KILLS.get(verb, 1),
        7,
    )


KILLED = """
load = ["{folder}/slow.py"]
[[study]]
verb = "compare"
methods = ["slow-euler", "slow-heun"]
targets = ["gaussian-1d", "easy-1d"]
nfe = [4, 6, 8, 10, 12]
"""
SLOW = """
import time
from solvers import catalogue
for name in ("euler", "heun"):
    @catalogue.method(f"slow-{name}", claims=[], source="ours")
    def slow(path, grid, of=name):
        "Wait."
        time.sleep(0.05)
        return catalogue[of].tableau(path, grid)
"""


@pytest.mark.slow
@pytest.mark.parametrize("where", [(), ("--cluster", "local")], ids=["processes", "dask"])
def test_a_study_that_is_killed_with_its_workers_ends_as_if_nothing_had_been(
    where: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    file = tmp_path / "s.toml"
    file.write_text(KILLED.format(folder=tmp_path))
    survives([sys.executable, "-m", "assay", "run", str(file), *where], tmp_path, 3, 3, workers_too=True)
