"""Workers of one test run share the cores: each keeps compiled loops and products of matrices to one thread.

The longest tests are taken up first. And compiled code that was kept under the name of a class which is gone since is
compiled again.
"""

from __future__ import annotations

import os
from typing import Any

import numba
from numba.core.caching import IndexDataCacheFile
from threadpoolctl import threadpool_limits

if "PYTEST_XDIST_WORKER" in os.environ:
    numba.set_num_threads(1)
    threadpool_limits(1)

# Taken up first, so that no worker is left with one of them when the others have ended.
LONGEST = ("test_readme.py", "test_killed.py", "test_learned_gap.py", "test_discrete_guided.py")


def pytest_collection_modifyitems(items: list[Any]) -> None:
    """Put the longest tests first, in the order of `LONGEST`."""
    rank = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(rank)))


_load = IndexDataCacheFile._load_index


def _load_what_is_still_known(file: Any) -> Any:
    try:
        return _load(file)
    except AttributeError:  # numba looks at the classes before it looks at the file's age
        return {}


IndexDataCacheFile._load_index = _load_what_is_still_known
