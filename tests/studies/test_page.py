"""The page of a run: whole in itself, what stands in it is what was found, and its controls do what they say."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import altair as alt
import pandas as pd
import pytest

from studies.output.page import Head, page
from studies.output.report import Report
from tests.studies.test_cli import Run, assay  # noqa: F401

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
MADE = {
    "assay": "0.1",
    "commit": "abc",
    "python": "3.11",
    "versions": {"numpy": "2"},
    "system": "Linux",
    "processor": "a chip",
    "cores": 2,
    "machine": "f00",
}
METHODS = [f"m{i}" for i in range(10)]
CURVES = pd.DataFrame(
    [
        {
            "method": m,
            "metric": metric,
            "target": target,
            "nfe": n,
            "steps": n // 2,
            "error": (i + 1) / n,
            "uncertainty": 0.01,
        }
        for i, m in enumerate(METHODS)
        for metric, target in (("TV", "line"), ("W2", "plane"), ("W2", "line"))
        for n in (4, 8)
    ]
)
TABLE = pd.DataFrame(
    {
        "method": METHODS,
        "NFE 8": [f"{(7 * i) % 10 + 1:.1f}{' *' if i == 0 else ''}" for i in range(9)] + ["unstable"],
        "verdict": ["confirmed"] * 8 + ["refuted", "unresolved"],
    }
)


def made(title: str = "A <run> & more") -> str:
    report = Report(
        "t", "W2 of x", TABLE, ["Recommended: `m0`"], reasons=["m8: 1 < 2"], everything={"e": CURVES}
    )
    chart = alt.Chart(CURVES).mark_line(color="#462eb9").encode(x="nfe:Q", y="error:Q")
    head = Head(title, "About.", "0123456789ab", [MADE])
    return page(head, [report], {"c": chart}, {"e": CURVES}, ["m9: died"], [("x", "why")])


class Links(HTMLParser):
    """Collects what a page would fetch, its ids, and the anchors it points at."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.ids: list[str] = []
        self.anchors: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag not in ("meta", "input", "br"):
            self.open.append(tag)
        if tag in ("script", "img", "link", "iframe"):
            self.fetched += [str(v) for k, v in attrs if k in ("src", "href")]
        self.ids += [str(values["id"])] if "id" in values else []
        if tag == "a" and str(values.get("href", "")).startswith("#"):
            self.anchors.append(str(values["href"])[1:])

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_page_is_whole_and_well_formed() -> None:
    text = made()
    links = Links()
    links.feed(text)
    assert links.open == []
    assert links.fetched == []
    assert len(set(links.ids)) == len(links.ids)
    assert set(links.anchors) <= set(links.ids)
    assert "A &lt;run&gt; &amp; more" in text
    assert "<code>m0</code>" in text
    assert "8 confirmed, 1 refuted, 1 unresolved" in text
    assert "m9: died" in text
    assert "0123456789ab" in text
    assert "a chip, 2 cores" in text


def test_what_is_drawn_is_in_the_page_for_both_grounds() -> None:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', made(), re.DOTALL)
    assert found is not None
    data = json.loads(found[1])
    assert len(data["explorers"]["e"]) == 60
    assert data["explorers"]["e"][0].keys() >= {
        "method",
        "metric",
        "target",
        "NFE",
        "steps",
        "error",
        "low",
        "high",
    }
    first = data["explorers"]["e"][0]
    assert (first["low"], first["high"]) == pytest.approx((first["error"] - 0.01, first["error"] + 0.01))
    assert data["charts"]["c"]["light"]["mark"]["color"] == "#462eb9"
    assert data["charts"]["c"]["dark"]["mark"]["color"] != "#462eb9"
    assert "config" not in data["charts"]["c"]["dark"]


DRIVE = """
<script>
const out = {};
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const rows = () => [...document.querySelectorAll("#t tbody tr")].filter((r) => !r.hidden);
const first = () => rows().map((r) => r.cells[0].textContent);
const drawn = () => Number(document.documentElement.dataset.drawn || 0);
const drawnUntil = async (n) => { for (let i = 0; i < 80 && drawn() < n; i++) await wait(50); };
const paths = () => document.querySelectorAll("[data-explorer] svg .mark-line path").length;
const axis = () => document.querySelector("[data-explorer] svg").textContent;
(async () => {
  await drawnUntil(1);
  out.curves = paths();
  const heads = document.querySelectorAll("#t thead th"), sort = heads[1].querySelector("button");
  sort.focus(); out.focused = document.activeElement === sort;
  sort.click(); out.up = first(); out.upward = heads[1].getAttribute("aria-sort");
  sort.click(); out.down = first();
  sort.click(); out.back = first();
  const field = document.querySelector("#t .filter");
  field.value = "refuted m8"; field.dispatchEvent(new Event("input"));
  out.filtered = first(); out.count = document.querySelector("#t .count").textContent;
  field.value = ""; field.dispatchEvent(new Event("input")); out.all = first().length;
  const select = (name) => document.querySelector(`[data-explorer] select[name=${name}]`);
  const choose = async (element, set) => {
    const before = Number(document.documentElement.dataset.drawn); set(element);
    element.dispatchEvent(new Event("change", { bubbles: true })); await drawnUntil(before + 1);
  };
  out.targets = [...select("target").options].map((o) => o.value);
  await choose(select("metric"), (e) => { e.value = "W2"; });
  out.targetsOfW2 = [...select("target").options].map((o) => o.value);
  out.metric = axis().includes("W2");
  await choose(select("against"), (e) => { e.value = "steps"; });
  out.steps = axis().includes("steps") && !axis().includes("NFE");
  const boxes = [...document.querySelectorAll("[data-explorer] input[type=checkbox]")];
  out.boxes = boxes.filter((b) => b.checked).length;
  for (const box of boxes.slice(0, 7)) box.checked = false;
  await choose(boxes[7], () => {});
  out.left = paths();
  const ground = () => getComputedStyle(document.body).backgroundColor;
  const before = ground(), n = Number(document.documentElement.dataset.drawn);
  document.getElementById("ground").click(); await drawnUntil(n + 1);
  out.grounds = [before, ground()];
  out.wide = document.documentElement.scrollWidth <= window.innerWidth;
  document.body.innerHTML = `<pre id="out">${JSON.stringify(out)}</pre>`;
})().catch((error) => { document.body.innerHTML = `<pre id="out">${JSON.stringify(String(error.stack))}</pre>`; });
</script>
"""


def driven(text: str, folder: Path, width: int = 1200) -> dict:
    file = folder / "page.html"
    before, after = text.rsplit("</body>", 1)  # Vega has the word too
    file.write_text(f"{before}{DRIVE}</body>{after}")
    command = [
        str(CHROMIUM),
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={folder / 'profile'}",
    ]
    command += [
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--virtual-time-budget=20000",
        f"--window-size={width},900",
    ]
    done = subprocess.run(
        [*command, "--dump-dom", file.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    found = re.search(r'<pre id="out">(.*?)</pre>', done.stdout, re.DOTALL)
    assert found is not None, done.stdout[-500:]
    return json.loads(found[1])


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
@pytest.mark.parametrize("width", [1200, 390])
def test_its_controls_work_in_a_browser_without_a_network(width: int, tmp_path: Path) -> None:
    found = driven(made(), tmp_path, width)
    by = {m: (7 * i) % 10 + 1 for i, m in enumerate(METHODS[:9])}
    upward = sorted(by, key=lambda m: by[m])
    assert found["focused"]
    assert found["upward"] == "ascending"
    assert found["up"] == [*upward, "m9"]  # words below numbers
    assert found["down"] == [*upward[::-1], "m9"]
    assert found["back"] == METHODS
    assert (found["filtered"], found["count"], found["all"]) == (["m8"], "1 of 10 rows", 10)
    assert (found["boxes"], found["curves"], found["left"]) == (8, 8, 1)
    assert found["targets"] == ["line"]
    assert found["targetsOfW2"] == ["plane", "line"]
    assert found["metric"]
    assert found["steps"]
    assert found["grounds"] == ["rgb(255, 255, 255)", "rgb(22, 24, 29)"]
    assert found["wide"]


def test_a_run_has_its_page_and_figures(assay: Run, tmp_path: Path) -> None:  # noqa: F811
    study = tmp_path / "s.toml"
    study.write_text(
        'title = "Two"\nverb = "compare"\nmethods = ["heun", "euler"]\ntargets = ["gaussian-1d"]\nnfe = [4, 8]\n'
    )
    out = tmp_path / "r"
    assert assay("run", str(study), "--out", str(out), "--jobs", "1")[0] == 0
    names = {file.name for file in out.iterdir()}
    table = "compare-gaussian-1d"
    assert names == {
        *(f"compare.{end}" for end in ("csv", "png", "svg", "pdf")),
        *(f"{table}.{end}" for end in ("md", "tex")),
        *("finished", "report.html", "run.json", "study.toml"),
    }
    first = (out / "report.html").read_text()
    assert "<h1>Two</h1>" in first
    assert assay("report", str(out))[0] == 0
    assert (out / "report.html").read_text() == first


def test_several_runs_have_an_index(assay: Run, tmp_path: Path) -> None:  # noqa: F811
    for name in ("a", "b"):
        study = tmp_path / f"{name}.toml"
        asked = 'verb = "compare"\nmethods = ["heun"]\ntargets = ["gaussian-1d"]\nnfe = [4]\n'
        study.write_text(f'title = "Study {name}"\n{asked}')
        assert assay("run", str(study), "--out", str(tmp_path / "all" / name), "--jobs", "1")[0] == 0
    code, _, said = assay("report", str(tmp_path / "all" / "a"), str(tmp_path / "all" / "b"))
    assert code == 0
    index = tmp_path / "all" / "index.html"
    assert str(index) in said
    text = index.read_text()
    assert text.count("Recommended: heun") == 2
    for place in re.findall(r'href="([^"]+)"', text):
        assert (tmp_path / "all" / place).is_file()


def test_errors_are_drawn_against_time_where_it_was_measured_on_one_machine() -> None:
    frame = CURVES.assign(path="VP", grid="uniform")
    times = (
        frame[["method", "target", "path", "grid", "steps"]]
        .drop_duplicates()
        .assign(seconds=2e-6, machine="m")
    )
    rows = explored({"e": frame, "time": times})
    assert {row["time"] for row in rows} == {2.0}
    mixed = times.assign(machine=["m", "n"] * (len(times) // 2))
    assert not any("time" in row for row in explored({"e": frame, "time": mixed}))


def explored(tables: dict[str, pd.DataFrame]) -> list[dict[str, float]]:
    text = page(Head("t"), [], {}, tables)
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    rows: list[dict[str, float]] = json.loads(found[1])["explorers"]["e"]
    return rows
