"""Workers of one test run share the cores: each keeps compiled loops and products of matrices to one thread.

And compiled code that was kept under the name of a class which is gone since is compiled again.
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

_load = IndexDataCacheFile._load_index


def _load_what_is_still_known(file: Any) -> Any:
    try:
        return _load(file)
    except AttributeError:  # numba looks at the classes before it looks at the file's age
        return {}


IndexDataCacheFile._load_index = _load_what_is_still_known
