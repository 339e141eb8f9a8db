"""The options every compiled function shares, in one place."""

from __future__ import annotations

from typing import Any

# Contraction to fused multiply-add is left out on purpose: it would let thread and lane layout change bits.
COMPILED: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}
PARALLEL: dict[str, Any] = {**COMPILED, "parallel": True}
