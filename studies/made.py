"""With what and where results are made: versions, commit and machine."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
import subprocess
import uuid
from functools import cache
from pathlib import Path
from typing import Any

from .fingerprints import fingerprint
from .reached import COMPUTING


@cache
def made() -> dict[str, Any]:
    """Return the versions of what computes, the commit if the project is a checkout, and the machine."""
    versions = {name: importlib.metadata.version(name) for name in COMPUTING}
    machine = f"{uuid.getnode()} {platform.node()} {_processor()} {os.cpu_count()}"
    return {
        "assay": _version(),
        "commit": _commit(),
        "python": platform.python_version(),
        "versions": versions,
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "machine": hashlib.sha256(machine.encode()).hexdigest()[:12],
    }


@cache
def made_word() -> str:
    """Return a short word for all that `made` says."""
    return fingerprint(made())[:12]


def _version() -> str:
    try:
        return importlib.metadata.version("assay")
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    """Return the commit of a checkout, with a mark if files differ from it, or nothing."""
    folder = Path(__file__).parent.parent
    if not (folder / ".git").exists():
        return ""
    try:
        told = [
            subprocess.run(
                ["git", "-C", folder, *words], capture_output=True, text=True, timeout=10, check=True
            ).stdout.strip()
            for words in (("rev-parse", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))
        ]
    except (OSError, subprocess.SubprocessError):
        return ""
    return told[0] + (" with changes" if told[1] else "")


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
