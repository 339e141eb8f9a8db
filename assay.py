"""Where the command starts: the three packages are found, beside each other, before any of them is imported.

In Python and in notebooks its questions are functions, as `assay.compare("heun", "unipc", nfe=[10])`, which take what a
study's file takes and return a `studies.results.Result`.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

PACKAGES = ("analytic", "solvers", "studies")


def shadowed(beside: Path) -> str | None:
    """Return what is wrong if one of the packages would be imported from elsewhere than this folder, or None.

    Their names are common: a folder of a user's, or another distribution, may have one of them and come first.
    """
    for name in PACKAGES:
        found = importlib.util.find_spec(name)
        places = (
            []
            if found is None
            else [Path(place).resolve() for place in found.submodule_search_locations or ()]
        )
        if beside / name not in places[:1]:
            where = found.origin or ", ".join(map(str, places)) if found else "nowhere"
            return (
                f"the package {name!r} is found in {where} and not beside {beside / 'assay.py'}: start in another "
                "folder, take that one off PYTHONPATH, or uninstall what brought it"
            )
    return None


def pytest_configure(config: Any) -> None:
    """Tell pytest, of which this file is a plugin, the mark of `studies.verify.parametrize_with_checks`."""
    config.addinivalue_line("markers", "verify: a check of assay's of one sampler")


def __getattr__(name: str) -> Any:
    """Return a question of the command as a function."""
    from studies.cli import ASKING

    if name not in ASKING:
        raise AttributeError(f"module 'assay' has no {name!r}: it has {', '.join(ASKING)}")
    from functools import partial

    from studies.results import ask

    return partial(ask, name)


def __dir__() -> list[str]:
    from studies.cli import ASKING

    return [*globals(), *ASKING]


def main() -> None:
    """Run the command, or say in one line why it cannot be."""
    wrong = shadowed(Path(__file__).resolve().parent)
    if wrong is not None:
        print(f"assay: error: {wrong}", file=sys.stderr)
        sys.exit(2)
    from studies.cli import main as command

    command()


if __name__ == "__main__":
    main()
