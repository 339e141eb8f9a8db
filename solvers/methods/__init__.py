"""The methods, a family a file."""

import importlib
import pkgutil


def discover() -> None:
    """Import every module below this package, each of which registers its methods with the catalogue."""
    for module in pkgutil.walk_packages(__path__, f"{__name__}."):
        importlib.import_module(module.name)
