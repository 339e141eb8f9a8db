"""Asking for a GPU where something is missing gives one clear error."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from analytic import GaussianMixture, chains, paths, sequences
from solvers import catalogue, grids, sample
from solvers.cuda import device as devices
from solvers.cuda.device import Device

TARGET = GaussianMixture([0.3, 0.7], [[-1.0], [2.0]], [0.1, 0.3])
TABLEAU = catalogue["ddpm"].tableau(paths.VP(), grids.log_snr(paths.VP(), 4))


class DriverError(Exception):
    """What CuPy raises where there is no driver."""


def cupy_like(count: int | None = 2, free: int = 1 << 30) -> Any:
    """Stand in for CuPy on a machine with so many GPUs, None for no driver, and so much free memory."""

    def devices_there() -> int:
        if count is None:
            raise DriverError("no CUDA-capable device is detected")
        return count

    runtime = SimpleNamespace(
        getDeviceCount=devices_there, CUDARuntimeError=DriverError, memGetInfo=lambda: (free, 2 * free)
    )
    return SimpleNamespace(
        cuda=SimpleNamespace(runtime=runtime, Device=lambda: SimpleNamespace(id=0)),
        get_default_memory_pool=lambda: SimpleNamespace(free_bytes=lambda: 1000),
    )


def test_without_a_gpu_both_halves_say_so() -> None:
    if _gpus():
        pytest.skip("there is a GPU")
    says = r"^device is 'cuda', but no (NVIDIA driver and GPU were found|GPU is visible).*use device='cpu'$"
    with pytest.raises(RuntimeError, match=says):
        sample(TABLEAU, TARGET, 3, device="cuda")
    noise = chains.Absorbing(vocabulary=2)
    kernel = catalogue["tau-leaping"].kernel(noise, grids.uniform(noise, steps=2))
    data = sequences.MarkovSequence(np.full(2, 0.5), np.full((2, 2), 0.5), 3)
    with pytest.raises(RuntimeError, match=says):
        sample(kernel, data, 3, device="cuda")


def _gpus() -> int:
    try:
        import cupy

        return int(cupy.cuda.runtime.getDeviceCount())
    except Exception:
        return 0


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:-1", "cuda:x", "CUDA", 0])
def test_a_device_of_another_name_is_refused(name: Any) -> None:
    with pytest.raises(ValueError, match=r"device is .*: use 'cpu', 'cuda' or 'cuda:0'"):
        sample(TABLEAU, TARGET, 3, device=name)


@pytest.mark.parametrize("package", ["cupy", "numba_cuda"])
def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    says = rf"device is 'cuda', which needs .*{package}.*: pip install 'assay\[gpu\]', or use device='cpu'"
    with pytest.raises(RuntimeError, match=says):
        Device("cuda")


def test_no_driver_no_device_and_too_large_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    for count, name, error, says in (
        (None, "cuda", RuntimeError, "no NVIDIA driver and GPU were found .*no CUDA-capable"),
        (0, "cuda:0", RuntimeError, "no GPU is visible: see CUDA_VISIBLE_DEVICES"),
        (2, "cuda:2", ValueError, "device is 'cuda:2', but there are 2: use 'cuda:0' to 'cuda:1'"),
    ):
        monkeypatch.setattr(devices, "_cupy", lambda name, count=count: cupy_like(count))
        with pytest.raises(error, match=says):
            Device(name)
    assert Device("cuda:1").name == "cuda:1"


def test_too_little_memory_is_found_before_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_cupy", lambda name: cupy_like(free=5_000))
    device = Device("cuda")
    assert device.free() == 6_000
    device.check_room(6_000, "")
    with pytest.raises(
        MemoryError, match=r"device 'cuda' has 0.00 GB free and this takes 3.00 GB: draw fewer"
    ):
        device.check_room(3_000_000_000, "draw fewer")


def test_nothing_of_cuda_is_imported_before_it_is_asked_for() -> None:
    code = (
        "import sys, solvers, studies.cli; "
        "print([m for m in sys.modules if m.split('.')[0] in ('cupy', 'numba_cuda') or m == 'solvers.cuda.device'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
