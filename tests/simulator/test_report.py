"""The report of a GPU, run through on the simulator: only the device itself is untried."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba import cuda

from solvers.numerics import philox
from studies.gpu import report, speeds
from studies.gpu.report import TINY, Check, checks, main

pytestmark = pytest.mark.simulator


def test_the_report_runs_through(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "report.md"
    assert main(["--out", str(file)]) == 0
    text = file.read_text()
    assert "kernels interpreted, times mean nothing" in text
    assert text.count("| yes") == len(list(checks(TINY)))
    assert text in capsys.readouterr().out


def test_a_failing_check_fails_the_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(report, "checks", lambda sizes: iter([Check("planted", np.nan, 1.0, "ulp")]))
    monkeypatch.setattr(speeds, "speeds", lambda sizes: (report.pd.DataFrame({"x": [1]}), {}))
    assert main([]) == 1
    assert "NO" in capsys.readouterr().out


def test_a_library_that_fails_is_named_and_costs_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("no such compiler\nand more")

    monkeypatch.setattr(speeds, "METHODS", ("heun",))
    monkeypatch.setattr(speeds.libraries, "diffrax_heun", broken)
    monkeypatch.setattr(speeds.peers, "torch_loop", lambda *_: broken)  # as it is first called
    times, missing = speeds.speeds(speeds.TINY)
    said = "RuntimeError: no such compiler"
    assert missing == {"torch": said, "torch.compile": said, "diffrax": said}
    ways = [name for name in times if "/kernel" in name]
    assert ways == ["CPU/kernel", "run on CuPy/kernel", "run on torch/kernel"]


def _with_a_wrong_seed(arguments: Any) -> None:
    seed, first, words, scratch = arguments
    i = cuda.grid(1)
    if i < words.shape[1]:
        philox.fill_words(seed + np.uint64(1), first + i, 11, 4, 2, scratch[:, i : i + 1])
        words[0, i], words[1, i] = scratch[0, i], scratch[1, i]


def test_a_wrong_seed_on_the_device_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_words", _with_a_wrong_seed)
    first = next(checks(TINY))
    assert not first.holds
    assert first.measured > 0
