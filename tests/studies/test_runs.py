"""Studies in files: what they declare, what a folder tells of its run, and what two runs tell of each other."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from studies.budget.parts import Budget, Part
from studies.cli import ASKING
from studies.gap.gaps import Gap
from studies.gap.study import Gaps
from studies.inference import NOT_FITTED
from studies.kernels.measured import AtWalls
from studies.ladder import Measurement
from studies.numbers import Number, numbers_of
from studies.runs.declared import CATALOG, Ask, Declared, parsed, read
from studies.runs.difference import differences
from studies.runs.folder import RunFolder
from studies.runs.plan import Like, plan, told
from studies.scaling.needs import Growth, Need
from studies.store import Store
from studies.verify.contract import Finding
from studies.verify.study import Verification
from tests.studies.made_up import Pi
from tests.studies.test_cli import Run, assay  # noqa: F401
from tests.studies.test_killed import finished

ROOT = Path(__file__).parent.parent.parent
STUDY = """
title = "A try"
[[study]]
verb = "compare"
methods = ["heun", "euler"]
targets = ["gaussian-1d", "pair-2d"]
nfe = [8]
samples = 2000
[[study]]
verb = "order"
methods = ["heun"]
targets = ["gaussian-1d"]
limit = 32
"""

MALFORMED = {
    "no TOML": ('title = "x', "s.toml is no TOML"),
    "nothing": ("", "s.toml declares no study: begin one with [[study]]"),
    "no table": ('study = "compare"', "declares no study"),
    "an empty list": ("study = []", "declares no study"),
    "a top key": (
        'titel = "x"\n[[study]]\nverb = "order"',
        "key is 'titel', which is not known: did you mean ti",
    ),
    "a title of another kind": ('title = 5\n[[study]]\nverb = "order"', "s.toml: title is 5: give a string"),
    "a load of another kind": (
        'load = "a.py"\n[[study]]\nverb = "order"',
        "s.toml: load is 'a.py': give a list",
    ),
    "no verb": ('[[study]]\nmethods = ["heun"]', "s.toml: study[1] has no verb: add one of order, compare"),
    "a verb that is none": (
        '[[study]]\nverb = "compair"',
        "study[1]: verb is 'compair', which is not known: did you",
    ),
    "a verb of folders": ('[[study]]\nverb = "merge"', "study[1]: verb is 'merge'"),
    "a verb of another kind": ("[[study]]\nverb = 3", "study[1].verb is 3: give a string"),
    "a key": (
        '[[study]]\nverb = "order"\nmetods = []',
        "key is 'metods', which is not known: did you mean methods",
    ),
    "a key of the second": (
        '[[study]]\nverb = "order"\n[[study]]\nverb = "gap"\nodd = 1',
        "s.toml: study[2]: key is 'odd'",
    ),
    "a key in the singular": ('[[study]]\nverb = "order"\ntarget = ["a"]', "did you mean targets"),
    "no list": ('[[study]]\nverb = "order"\nmethods = "heun"', "study[1].methods is 'heun': give a list"),
    "an item of another kind": (
        '[[study]]\nverb = "compare"\nnfe = [5, "ten"]',
        "study[1].nfe[2] is 'ten': give a whole",
    ),
    "a fraction": ('[[study]]\nverb = "compare"\nnfe = [5.5]', "study[1].nfe[1] is 5.5: give a whole number"),
    "no number": ('[[study]]\nverb = "compare"\nbegin = "now"', "study[1].begin is 'now': give a number"),
    "no truth": ('[[study]]\nverb = "order"\nwhole = "yes"', "study[1].whole is 'yes': give true or false"),
    "what is missing": ('[[study]]\nverb = "verify"', "study[1] has no sampler, which verify needs: add it"),
    "a method": (
        '[[study]]\nverb = "order"\nmethods = ["hoin"]',
        "s.toml, study[1] (order): method is 'hoin'",
    ),
    "a target": ('verb = "compare"\ntargets = ["esy-1d"]', "study[1] (compare): target is 'esy-1d'"),
    "a path": (
        'verb = "compare"\npaths = ["VQ"]',
        "study[1] (compare): path is 'VQ', which is not known: did you mean",
    ),
    "an option": ('verb = "gap"\nsteps = 1', "study[1] (gap): steps is 1: give at least 4"),
    "a file": (
        'load = ["none.py"]\n[[study]]\nverb = "order"',
        "s.toml: load is 'none.py': give an existing .py file",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_file_is_one_error_that_names_file_and_key(case: str) -> None:
    text, said = MALFORMED[case]
    with pytest.raises(ValueError, match=r"^s\.toml") as problem:
        parsed(text, "s.toml").studies()
    assert said in str(problem.value)
    assert "\n" not in str(problem.value) or case == "no TOML"


def test_a_file_that_is_none_is_said_with_near_names() -> None:
    with pytest.raises(ValueError, match="did you mean small-budgets"):
        read("small-budget")
    with pytest.raises(ValueError, match="cannot be read"):
        read("nowhere/none.toml")


@pytest.mark.parametrize("file", sorted(CATALOG.glob("*.toml")), ids=lambda file: file.stem)
def test_the_studies_of_the_project_are_declared_as_anyones(file: Path) -> None:
    declared = read(file.stem)
    assert declared.title
    assert declared.about
    assert parsed(declared.text(), "again").asks == declared.asks
    assert declared.studies()


def test_every_verb_that_asks_has_a_study_in_the_project() -> None:
    asked = {ask.verb for file in CATALOG.glob("*.toml") for ask in read(file.stem).asks}
    assert asked | {"verify"} == set(ASKING)  # of one's own sampler


def test_what_is_declared_is_written_as_it_is_read() -> None:
    declared = Declared(
        [Ask("compare", {"methods": ["unipc(order=3)"], "nfe": [5], "begin": 1e-6})], 'A "t"', load=("é.py",)
    )
    again = parsed(declared.text(), "")
    assert again == replace(declared, load=["é.py"])


def test_a_run_is_planned_run_told_and_run_no_second_time(
    assay: Run,  # noqa: F811
    tmp_path: Path,
) -> None:
    file, out = tmp_path / "try.toml", tmp_path / "r"
    file.write_text(STUDY)
    words = ("run", str(file), "--out", str(out), "--jobs", "1")
    code, planned, _ = assay(*words, "--plan")
    assert code == 0
    assert "compare: 4 cells, 0 done, 4 to do; none was timed on this machine so far" in planned
    assert not out.exists()
    code, printed, _ = assay(*words, "--pack")
    assert code == 0
    assert "sliced W2 on pair-2d" in printed
    assert "Claimed and measured order" in printed
    before = finished(out)
    assert len(before) == 5
    assert (
        pd.read_parquet(out / "compare.parquet")["error"].tolist()
        == pd.read_csv(out / "compare.csv")["error"].tolist()
    )
    code, again, _ = assay(*words)
    assert (code, again) == (0, printed)
    assert finished(out) == before
    code, state, _ = assay("status", str(out))
    assert "compare: 4 cells, 4 done, 0 to do" in state
    assert "to go on" not in state
    compared = [f for f in (out / "finished").glob("*.json") if "sliced W2" in f.read_text()]
    compared[0].unlink()  # of the study that has others, by whose times it is estimated
    code, state, _ = assay("status", str(out), "--jobs", "1")
    assert re.search(r"1 to do; about \d+ s to", state)
    assert f"to go on: assay run {out / 'study.toml'} --out {out}" in state
    code, printed, _ = assay("report", str(out), "--format", "markdown")  # as far as it came
    assert code == 0


FAILING = """
from solvers import catalogue
@catalogue.method("sometimes", claims=[], source="ours")
def sometimes(path, grid):
    "Euler, but not in eight steps."
    if len(grid) == 9:
        raise RuntimeError("eight is too many")
    return catalogue["euler"].tableau(path, grid)
"""


def test_a_cell_that_raises_is_told_by_the_run_its_status_and_its_page(
    assay: Run,  # noqa: F811
    tmp_path: Path,
) -> None:
    (tmp_path / "mine.py").write_text(FAILING)
    file, out = tmp_path / "s.toml", tmp_path / "r"
    file.write_text(
        f'load = ["{tmp_path / "mine.py"}"]\n[[study]]\nverb = "compare"\nmethods = ["sometimes"]\n'
        'targets = ["gaussian-1d"]\nsteps = [4, 8]\n'
    )
    said = "sometimes, gaussian-1d, VP, log-snr, 8: RuntimeError: eight is too many"
    code, printed, err = assay("run", str(file), "--out", str(out), "--jobs", "1")
    assert code == 1
    assert "4 steps" in printed
    assert f"assay: failed: {said}" in err
    state = assay("status", str(out))[1]
    assert "compare: 2 cells, 1 done, 1 failed, 0 to do" in state
    assert f"failed: {said}" in state
    assert said in (out / "report.html").read_text()
    assert assay("report", str(out))[0] == 1


def test_a_verb_s_folder_tells_as_much(assay: Run, tmp_path: Path) -> None:  # noqa: F811
    out = str(tmp_path / "r")
    code, printed, _ = assay(
        "order", "heun", "--limit", "32", "--target", "gaussian-1d", "--out", out, "--jobs", "1"
    )
    assert code == 0
    code, again, _ = assay("report", out)
    assert (code, again) == (0, printed)
    assert RunFolder(out).declared().asks == [
        Ask("order", {"methods": ["heun"], "limit": 32, "targets": ["gaussian-1d"]})
    ]


def test_estimates_are_of_like_cells(tmp_path: Path) -> None:
    from studies.study import Work

    store = Store(tmp_path)
    study = Pi(terms=(4, 8, 16))
    for task in Work([study], store).tasks()[:4]:
        slow = task.cell.of["series"] == "euler"
        store.save(task.key, [], {"study": "pi", **task.cell.of}, seconds=200.0 if slow else 10.0)
    (part,) = plan([study], store)
    assert (part.done, part.missing) == (4, 2)
    assert part.seconds == (400.0, 400.0)  # those missing are of euler
    assert told([part], 2) == ["pi: 6 cells, 4 done, 2 to do; about 3 min to 3 min on 2 processes"]


def test_like_cells_share_the_first_axes_that_any_shares() -> None:
    rng = np.random.default_rng(0)
    axes = ("method", "target", "steps")
    known = [({a: int(v) for a, v in zip(axes, rng.integers(4, size=3), strict=True)}, t) for t in range(30)]
    for _ in range(200):
        asked = dict(zip(axes, rng.integers(5, size=3).tolist(), strict=True))
        shared = [tuple(of[a] == asked[a] for a in axes) for of, _ in known]
        best = [seconds for (_, seconds), same in zip(known, shared, strict=True) if same == max(shared)]
        like = Like(known)
        for axis, value in asked.items():
            like = like.sharing(axis, value)
        assert like.middle == pytest.approx(tuple(np.quantile(best, (0.25, 0.75))))


def test_two_folders_become_one_that_goes_on(assay: Run, tmp_path: Path) -> None:  # noqa: F811
    file = tmp_path / "try.toml"
    file.write_text(STUDY)
    whole, half = tmp_path / "whole", tmp_path / "half"
    assert assay("run", str(file), "--out", str(whole), "--jobs", "1")[0] == 0
    shutil.copytree(whole, half)
    for record in sorted((half / "finished").glob("*.json"))[:3]:
        record.unlink()
    code, said, _ = assay("merge", str(tmp_path / "all"), str(half), str(whole))
    assert (code, said) == (0, f"{half}: 2 records taken\n{whole}: 3 records taken\n")
    code, said, _ = assay("diff", str(whole), str(tmp_path / "all"), "--fail-on", "changed")
    assert code == 0
    assert "numbers: " in said
    assert "worse" not in said
    record = next((half / "finished").glob("*.json"))
    content = json.loads(record.read_text())
    content["result"][0]["method"] = "other"
    record.write_text(json.dumps(content))
    code, said, _ = assay("merge", str(tmp_path / "all"), str(half))
    assert code == 1
    assert "not reproducible" in said


WORSE = """
from dataclasses import replace
from solvers import catalogue
@catalogue.method("mine", claims=[], source="ours")
def mine(path, grid):
    "Euler, some of whose steps are {size} too long."
    tableau = catalogue["euler"].tableau(path, grid)
    return replace(tableau, blocks=tuple(replace(b, B={scale} * b.B) for b in tableau.blocks))
"""


@pytest.mark.slow
def test_diff_tells_a_worse_method_from_noise_and_exits_with_one(
    assay: Run,  # noqa: F811
    tmp_path: Path,
) -> None:
    """The same method with other seeds is alike; with a coefficient off it is worse, where samples alone tell."""
    file, method = tmp_path / "try.toml", tmp_path / "mine.py"

    def run(name: str, scale: float, seeds: list[int]) -> str:
        method.write_text(WORSE.format(size="much", scale=scale))
        file.write_text(
            f'load = ["{method}"]\n[[study]]\nverb = "compare"\nmethods = ["mine", "heun"]\ntargets = ["pair-2d", '
            f'"gaussian-1d"]\nnfe = [20, 40]\nsamples = 4000\nseeds = {seeds}\n'
        )
        code = subprocess.run(
            [sys.executable, "-m", "assay", "run", file, "--out", tmp_path / name, "--jobs", "1"],
            capture_output=True,
        ).returncode
        assert code == 0
        return str(tmp_path / name)

    before, other_seeds = run("before", 1.0, [0, 1]), run("seeds", 1.0, [2, 3])
    code, said, _ = assay("diff", before, other_seeds, "--fail-on", "worse")
    assert code == 0
    assert "8 numbers: 4 alike, 4 same" in said
    code, said, _ = assay("diff", before, run("worse", 1.15, [0, 1]), "--fail-on", "worse")
    assert code == 1
    worse = [line for line in said.splitlines() if line.startswith("worse")]
    assert all("mine" in line for line in worse)
    assert {word for line in worse for word in ("pair-2d", "gaussian-1d") if word in line} == {
        "pair-2d",
        "gaussian-1d",
    }
    assert "4 same" in said  # heun


Numbers = dict[tuple[str, ...], Number]


def number(name: str, value: float, wide: float = 0.0, sampled: bool = True, **more: object) -> Numbers:
    return {(name,): replace(Number((name,), value, wide, sampled), **more)}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("a", "b", "verdict"),
    [
        (number("x", 1.0), number("x", 1.0), "same"),
        (number("x", 1.0, 0.2), number("x", 1.1, 0.2), "alike"),
        (number("x", 1.0, 0.2), number("x", 1.5, 0.2), "worse"),
        (number("x", 1.0, 0.2), number("x", 0.5, 0.2), "better"),
        (number("x", 1.0, 0.0, sampled=False), number("x", 1.01, sampled=False), "alike"),
        (number("x", 1.0, 0.0, sampled=False), number("x", 1.1, sampled=False), "worse"),
        (number("x", 1e-15, 1e-14, sampled=False), number("x", 4e-15, 1e-14, sampled=False), "alike"),
        (number("x", 1.0, error=False), number("x", 2.0, error=False), "other"),
        (number("x", 1.0), number("x", np.nan, status="unstable"), "worse"),
        (number("x", np.nan, status="unstable"), number("x", 1.0), "better"),
        (number("x", 1.0), number("x", 1.0, status="unstable"), "worse"),
        (number("x", 1.0, status="unstable"), number("x", 1.0), "better"),
        (number("x", 1.0), {}, "gone"),
        ({}, number("x", 1.0), "new"),
    ],
)
def test_a_difference_has_its_verdict(a: Numbers, b: Numbers, verdict: str) -> None:
    (found,) = differences(a, b)
    assert found.verdict == verdict


def test_chance_alone_calls_hardly_ever_one_of_many_numbers_different() -> None:
    rng = np.random.default_rng(0)
    told = 0
    for _ in range(200):
        values = 10 + 0.5 * rng.standard_normal((2, 100))
        half = 2.5758 * 0.5
        a, b = ({(str(i),): Number((str(i),), v, half, True) for i, v in enumerate(row)} for row in values)
        told += any(d.verdict != "alike" for d in differences(a, b))
    assert told <= 8  # 2 are expected


def test_numbers_of_a_ladder_are_its_errors() -> None:
    m = Measurement(
        "heun", "practical", "t", "w2", "law", (4, 8), (8, 16), (0.2, 0.1), (0.0, 1e-3), NOT_FITTED
    )
    found = numbers_of([m])
    assert [(n.of[-1], n.value, n.uncertainty, n.sampled) for n in found] == [
        ("4 steps", 0.2, 0.0, False),
        ("8 steps", 0.1, 1e-3, False),
    ]


def test_records_say_what_their_numbers_are_of_and_which_are_errors() -> None:
    gaps = [Gap("size", "t", "k", v, "ode", "truth", "TV", 0.5, 0.1, 0.02) for v in (0.1, 0.2)]
    own = [n for n in Gaps.numbers(None, gaps) if n.of[-1] == "gap"]  # type: ignore[arg-type]
    assert [(n.of[3], n.uncertainty, n.error) for n in own] == [("0.1", 0.02, True), ("0.2", 0.02, True)]
    nan = float("nan")
    needs = (Need(10.0, 0.1, 5.0, 11.0), Need(20.0, 0.05, nan, nan, "too many", "not reached"))
    growth = Growth("epsilon", "t", "heun", False, 2.0, "W2", needs, NOT_FITTED)
    assert [(n.of[-3:], n.error, n.status) for n in numbers_of([growth])[1:]] == [
        (("10", "0.1", "nfe"), True, "measured"),
        (("20", "0.05", "nfe"), True, "not reached"),
    ]
    walls = AtWalls("heun", "none", (8, 16), (0.2, 0.1), (0.02, 0.01), (0.0, 0.0))
    assert [n.value for n in numbers_of([walls]) if n.error] == [0.2, 0.1, 0.02, 0.01]
    part = Part("initial", 1.0, 0.5, 0.1)
    split = Budget("heun", "t", "samples", 8, 16, 1.0, (part,), 0.1, 0.1, 0.2)
    whole, share = numbers_of([split])
    assert (whole.error, whole.uncertainty) == (True, pytest.approx(2.5758 * 0.2, rel=1e-4))
    assert (share.of[-2:], share.error, share.sampled) == (("initial", "share"), False, True)


def test_a_check_that_no_longer_passes_is_worse() -> None:
    def numbers(result: str) -> Numbers:
        findings = [Finding("mine", "order, karras", result, "order 2")]
        return {n.of: n for n in Verification.numbers(None, findings)}  # type: ignore[arg-type]

    for before, after, verdict in (
        ("passed", "failed", "worse"),
        ("failed", "passed", "better"),
        ("passed",) * 2 + ("same",),
        ("failed", "unresolved", "other"),
    ):
        assert [d.verdict for d in differences(numbers(before), numbers(after))] == [verdict]


def test_what_a_file_asks_twice_is_held_against_itself(
    assay: Run,  # noqa: F811
    tmp_path: Path,
) -> None:
    one = '[[study]]\nverb = "compare"\nmethods = ["heun"]\ntargets = ["gaussian-1d"]\nnfe = [8]\n'
    (tmp_path / "s.toml").write_text(one + one + 'score = "widths(1.1)"\n')
    out = str(tmp_path / "r")
    assert assay("run", str(tmp_path / "s.toml"), "--out", out, "--jobs", "1")[0] == 0
    assert "2 numbers: 2 same" in assay("diff", out, out)[1]
    for name in ("compare-gaussian-1d", "compare-gaussian-1d-2"):
        assert (tmp_path / "r" / f"{name}.md").is_file()
    page = (tmp_path / "r" / "report.html").read_text()
    for name in ("compare", "compare-2"):
        assert (tmp_path / "r" / f"{name}.svg").is_file()
        assert f'data-chart="{name}"' in page
    assert page.count("Error against evaluations; a ring: no method has less with as little.") >= 2
