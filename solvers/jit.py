"""The options every compiled function shares, in one place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numba

# Contraction to fused multiply-add is left out on purpose: it would let thread and lane layout change bits.
# (discrete/chain_model.py, whose blocks are always full, contracts its products.)
COMPILED: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}
PARALLEL: dict[str, Any] = {**COMPILED, "parallel": True}


@contextmanager
def using_threads(count: int | None) -> Iterator[None]:
    """Run compiled parallel code on so many threads inside; None leaves their number alone."""
    before = numba.get_num_threads()
    numba.set_num_threads(count or before)
    try:
        yield
    finally:
        numba.set_num_threads(before)
