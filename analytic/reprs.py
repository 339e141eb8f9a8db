"""Objects in one line: what they hold by name, arrays by their type and shape."""

from __future__ import annotations

from typing import Any

import numpy as np

MOST = 180  # characters
EACH = 60


def brief(self: Any) -> str:
    """Return Name(attribute=value, ...) of at most `MOST` characters; set as `__repr__` in a class that holds arrays.

    Arrays are dtype[shape], long collections their length, private attributes left out.
    """
    held = vars(self).items() if hasattr(self, "__dict__") else ()
    text = ", ".join(f"{name}={_short(value)}" for name, value in held if not name.startswith("_"))
    text = text if len(text) <= MOST - 30 else f"{text[: MOST - 33]}..."
    return f"{type(self).__name__}({text})"


def _short(value: Any) -> str:
    if isinstance(value, np.ndarray) or (hasattr(value, "shape") and hasattr(value, "dtype")):
        return f"{value.dtype}[{', '.join(map(str, value.shape))}]"
    if isinstance(value, tuple | list | dict | set) and len(value) > 2:
        return f"<{len(value)}>"
    if isinstance(value, tuple | list):
        inner = ", ".join(map(_short, value))
        return f"({inner})" if isinstance(value, tuple) else f"[{inner}]"
    if callable(value) and hasattr(value, "__name__"):
        return str(value.__name__)
    text = repr(value)
    return text if len(text) <= EACH else f"{text[: EACH - 3]}..."
