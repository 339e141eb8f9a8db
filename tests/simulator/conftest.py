"""Kernels interpreted thread by thread: tests for a process of their own, in which the CUDA simulator is on."""

from __future__ import annotations

import os

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"

# without the simulator the tests here are not even read
collect_ignore_glob = [] if SIMULATED else ["test_*.py"]
