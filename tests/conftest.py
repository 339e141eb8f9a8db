"""Workers of one test run share the cores: each keeps compiled loops and products of matrices to one thread."""

from __future__ import annotations

import os

import numba
from threadpoolctl import threadpool_limits

if "PYTEST_XDIST_WORKER" in os.environ:
    numba.set_num_threads(1)
    threadpool_limits(1)
