"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const root = document.documentElement;
const darkly = matchMedia("(prefers-color-scheme: dark)");
const ground = () => root.dataset.ground;

// Tables: a click on a head sorts, words in the field filter.
const asNumber = (text) => {
  const found = /^[<≤~≈]?\s*(-?\d[\d.]*(?:e[+-]?\d+)?)/i.exec(text.trim());
  return found ? Number(found[1]) : text.trim() === "exact" ? Infinity : NaN;
};
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const original = [...body.rows];
  heads.forEach((head, column) => {
    head.querySelector(".sort").addEventListener("click", () => {
      const before = head.getAttribute("aria-sort");
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      let rows = [...original];
      if (before !== "descending") {
        const sign = before === "ascending" ? -1 : 1;
        head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
        const text = (row) => row.cells[column].textContent;
        rows.sort((a, b) => {
          const x = asNumber(text(a)), y = asNumber(text(b));
          if (Number.isNaN(x) !== Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1;  // words below numbers
          return sign * (Number.isNaN(x) ? text(a).localeCompare(text(b)) : x === y ? 0 : x < y ? -1 : 1);
        });
      }
      body.append(...rows);
    });
  });
  const field = table.closest("section").querySelector(".filter");
  if (!field) continue;
  const count = table.closest("section").querySelector(".count");
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of original) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      shown += row.hidden ? 0 : 1;
    }
    count.textContent = words.length ? `${shown} of ${original.length} rows` : "";
  });
}

// Charts: those of the study as they are, and one of errors that a reader chooses.
const embedded = [];
const options = () => ({ actions: { export: true, source: false, compiled: false, editor: false }, config: data.config[ground()], renderer: "svg" });
const AXES = ["NFE", "steps", "time"];
const AXIS_TITLES = { NFE: "evaluations of the model (NFE)", steps: "steps", time: "microseconds of processor time a sample, on one thread" };
const draw = (place, specification) => window.vegaEmbed(place, specification, options());
const unique = (rows, name) => [...new Set(rows.map((row) => row[name]).filter((value) => value !== undefined))];

function explorer(figure) {
  const rows = data.explorers[figure.dataset.explorer];
  const form = figure.querySelector("form");
  const place = figure.querySelector(".chart");
  const choices = ["metric", "target", "path", "grid", "start"].filter((name) => unique(rows, name).length > 1);
  const selects = {};
  for (const [name, values] of [...choices.map((name) => [name, unique(rows, name)]), ["against", AXES.filter((axis) => rows.some((row) => row[axis]))]]) {
    if (name === "against" && values.length < 2) continue;
    const label = document.createElement("label");
    const select = document.createElement("select");
    select.name = name;
    for (const value of values) select.add(new Option(value, value));
    label.append(`${name} `, select);
    form.append(label);
    selects[name] = select;
  }
  // what a choice leaves for those after it
  const narrow = () => {
    let left = rows;
    for (const name of choices) {
      const values = unique(left, name), before = selects[name].value;
      selects[name].replaceChildren(...values.map((value) => new Option(value, value)));
      selects[name].value = values.includes(before) ? before : values[0];
      left = left.filter((row) => row[name] === selects[name].value);
    }
  };
  narrow();
  const chosen = () => rows.filter((row) => choices.every((name) => row[name] === selects[name].value));
  const methods = unique(rows, "method");
  const group = document.createElement("fieldset");
  const legend = document.createElement("legend");
  legend.textContent = "methods";
  group.append(legend);
  const least = new Map(methods.map((method) => [method, Math.min(...rows.filter((row) => row.method === method).map((row) => row.error))]));
  const first = new Set([...methods].sort((a, b) => least.get(a) - least.get(b)).slice(0, data.first));
  for (const method of methods) {
    const label = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.name = "method";
    box.value = method;
    box.checked = first.has(method);
    label.append(box, ` ${method}`);
    group.append(label);
  }
  form.append(group);
  const show = () => {
    const against = selects.against ? selects.against.value : "NFE";
    const on = new Set([...form.querySelectorAll("input:checked")].map((box) => box.value));
    const here = chosen().filter((row) => on.has(row.method) && row[against]);
    const shown = methods.filter((method) => here.some((row) => row.method === method));
    const colours = data.colours[ground()];
    const scale = (values) => ({ domain: shown, range: shown.map((method) => values[methods.indexOf(method) % values.length]) });
    const legend = { title: null, orient: "bottom", columns: place.clientWidth < 520 ? 1 : 3, labelLimit: 0 };
    const colour = { field: "method", type: "nominal", scale: scale(colours), legend };
    const x = { field: against, type: "quantitative", scale: { type: "log", nice: false, padding: 12 }, axis: { format: "~r", labelOverlap: true, title: AXIS_TITLES[against] } };
    const metric = selects.metric ? selects.metric.value : (here[0] || {}).metric || "error";
    const y = { field: "error", type: "quantitative", scale: { type: "log", nice: false, padding: 12 }, axis: { format: ".0~e", title: metric, tickCount: 6 } };
    const floors = here.filter((row) => row.floor).map((row) => row.floor).sort((a, b) => a - b);
    const layers = [
      { mark: { type: "line", strokeWidth: 1.7 }, encoding: { x, y, color: colour } },
      { transform: [{ filter: "isValid(datum.low)" }], mark: { type: "rule", strokeWidth: 1.2 }, encoding: { x, y: { ...y, field: "low" }, y2: { field: "high" }, color: colour } },
      { mark: { type: "point", filled: true, size: 65, opacity: 1 }, encoding: { x, y, color: colour, shape: { field: "method", type: "nominal", scale: scale(data.shapes), legend }, tooltip: [{ field: "method" }, { field: "NFE" }, { field: "steps" }, { field: "error", format: ".4g" }] } },
    ];
    if (floors.length) layers.push({ data: { values: [{ error: floors[floors.length >> 1] }] }, mark: { type: "rule", strokeDash: [5, 4], color: "#868e96" }, encoding: { y } });
    const width = Math.max(240, place.clientWidth - 38);
    return draw(place, { data: { values: here }, width, height: 380, autosize: { type: "fit-x", contains: "padding" }, layer: layers });
  };
  form.addEventListener("change", () => { narrow(); redraw(); });
  form.addEventListener("submit", (event) => event.preventDefault());
  return show;
}
for (const figure of document.querySelectorAll("[data-explorer]")) embedded.push(explorer(figure));
for (const place of document.querySelectorAll("[data-chart]")) embedded.push(() => draw(place, data.charts[place.dataset.chart][ground()]));
const redraw = () => Promise.all(embedded.map((show) => show())).then(() => { root.dataset.drawn = String(Number(root.dataset.drawn || 0) + 1); });
if (window.vegaEmbed) redraw();
else document.addEventListener("vega", redraw);

const switchTo = (value) => { root.dataset.ground = value; if (window.vegaEmbed) redraw(); };
document.getElementById("ground").addEventListener("click", () => switchTo(ground() === "dark" ? "light" : "dark"));
darkly.addEventListener("change", (event) => switchTo(event.matches ? "dark" : "light"));
