"""The layout holds: what may import what, what an addition must bring, and no file knows one machine."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import analytic
from analytic import paths
from solvers import catalogue

ROOT = Path(__file__).parent.parent
PACKAGES = ("analytic", "solvers", "studies")
# A home or working folder of some machine, at the start of a word.
MACHINE_PATH = re.compile(r"(?<![\w.~/:-])/(?:home|root|work|Users|mnt|opt)/\w")


def imports(source: str, package: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield each import as (absolute module, names taken from it)."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.rsplit(".", node.level - 1)[0] + "." if node.level else ""
            yield (base + (node.module or "")).rstrip("."), tuple(alias.name for alias in node.names)


def trespasses(source: str, package: str) -> list[str]:
    """Return the imports that a module of `package` must not have."""
    top = package.split(".")[0]
    found = []
    for module, names in imports(source, package):
        target, *inside = module.split(".")
        if target == top or target not in PACKAGES or top == "studies":
            continue
        public = target == "analytic" and top == "solvers" and not inside
        if not public or not set(names) <= set(analytic.__all__):
            found.append(f"{module}: {', '.join(names)}")
    return found


def package_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).parent.parts)


@pytest.mark.parametrize("package", ["analytic", "solvers"])
def test_lower_packages_never_import_studies_nor_each_others_insides(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    found = {
        str(file.relative_to(ROOT)): trespasses(file.read_text("utf-8"), package_of(file)) for file in files
    }
    assert {file: what for file, what in found.items() if what} == {}


@pytest.mark.parametrize(
    ("package", "source", "allowed"),
    [
        ("analytic", "import numpy", True),
        ("analytic", "from analytic.data import read", True),
        ("analytic", "import solvers", False),
        ("analytic", "def late():\n    from solvers.law import law", False),
        ("solvers.methods", "from ..tableau import Tableau", True),
        ("solvers", "from analytic import GaussianMixture", True),
        ("solvers", "from analytic import gaussian_mixture", False),
        ("solvers", "from analytic.paths import VP", False),
        ("solvers", "import analytic.paths", False),
        ("solvers", "if TYPE_CHECKING:\n    from studies import order", False),
        ("studies", "from solvers.law import law", True),
    ],
)
def test_import_rule_tells_allowed_from_forbidden(package: str, source: str, allowed: bool) -> None:
    assert (trespasses(source, package) == []) is allowed


def circle(sources: Mapping[str, str]) -> list[str]:
    """Return modules that import one another in a circle, by name; none if there is no circle.

    Keys are modules; a package's own is `package.__init__`. Imports inside functions count as all others do.
    """
    known = {module.removesuffix(".__init__"): module for module in sources}
    graph: dict[str, set[str]] = {}
    for module, source in sources.items():
        taken = {
            f"{base}.{name}" if f"{base}.{name}" in known else base
            for base, names in imports(source, module.rpartition(".")[0])
            for name in names or [""]
        }
        graph[module] = {known[name] for name in taken if name in known} - {module}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_modules_import_one_another_in_a_circle() -> None:
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
    assert len(files) > 200
    assert circle({f"{package_of(file)}.{file.stem}": file.read_text("utf-8") for file in files}) == []


@pytest.mark.parametrize(
    ("second", "third", "closed"),
    [
        ("from .c import there", "import q", False),
        ("from . import c", "from .a import here", True),
        ("from p.c import there", "def late():\n    from . import a", True),
        ("import p.c", "from p import something", True),  # of p itself, which imports a
    ],
)
def test_circles_are_found_wherever_they_close(second: str, third: str, closed: bool) -> None:
    sources = {"p.__init__": "from .a import here", "p.a": "from . import b", "p.b": second, "p.c": third}
    found = circle(sources)
    assert bool(found) is closed
    assert {"p.a", "p.b", "p.c"} <= set(found) or not closed


def test_every_module_of_methods_registers_one_or_serves_one_that_does() -> None:
    files = [file for file in (ROOT / "solvers" / "methods").rglob("*.py") if file.stem != "__init__"]
    modules = {f"{package_of(file)}.{file.stem}": file for file in files}
    registering = {method.build.__module__ for method in catalogue.values()} & set(modules)
    served = {
        module
        for name in registering
        for module, _ in imports(modules[name].read_text("utf-8"), name.rpartition(".")[0])
    }
    assert registering
    assert set(modules) - registering - served == set()


def test_every_path_has_a_reference_of_its_own() -> None:
    tests = ast.parse((ROOT / "tests" / "analytic" / "test_paths.py").read_text("utf-8"))
    (references,) = (n for n in tests.body if isinstance(n, ast.FunctionDef) and n.name == "references")
    called = {
        node.func.attr
        for node in ast.walk(references)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    # a user's own alpha and sigma, tested against the named paths; a table, which has tests of its own
    # and processes that have no noise level for a clock or a second variable, with tests of their own
    # or a second point
    own = {"CLD", "Gaussian", "Langevin", "PSLD", "Prior", "Discrete", "discrete_betas", "zero_terminal_snr"}
    own |= {"Bridge", "MeanReverting"}
    own |= {"EncodingDecoding", "Interpolant", "Multimarginal", "Transport"}
    own |= {"Dirichlet", "FisherRao", "Straight"}
    assert set(paths.__all__) - own - called == set()


def project_files() -> Iterator[Path]:
    """Yield the project's files, without what tools and runs leave behind."""
    for folder, below, names in os.walk(ROOT):
        below[:] = [
            name
            for name in below
            if name not in ("__pycache__", "build", "dist", "results")
            and not name.endswith(".egg-info")
            and (not name.startswith(".") or name in (".ci", ".github"))
        ]
        # A linked worktree has a file .git with the path of its repository.
        yield from (Path(folder, name) for name in names if name != ".git")


def test_no_file_mentions_the_paths_of_a_machine() -> None:
    found = []
    for file in project_files():
        try:
            text = file.read_text("utf-8")
        except UnicodeDecodeError:
            continue  # a picture or a table in binary form
        found += [f"{file.relative_to(ROOT)}: {m.group()}" for m in MACHINE_PATH.finditer(text)]
    assert found == []


@pytest.mark.parametrize(
    ("text", "caught"),
    [
        ("open('/" + "home/ann/x.csv')", True),
        ("cd /" + "root/project", True),
        ("https://example.org/home/page", False),
        ("work/precision and ~/" + "work/x", False),
    ],
)
def test_machine_path_pattern_tells_paths_from_words(text: str, caught: bool) -> None:
    assert bool(MACHINE_PATH.search(text)) is caught


def test_importing_solvers_loads_no_part_of_scipy() -> None:
    """They take longer than all else together, and are loaded where they are used."""
    said = "import sys, solvers; print(*(m for m in sys.modules if m in %r))"
    slow = (
        "scipy.special",
        "scipy.interpolate",
        "scipy.optimize",
        "scipy.stats",
        "scipy.fft",
        "torch",
        "pandas",
    )
    done = subprocess.run(
        [sys.executable, "-c", said % (slow,)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []
