"use strict";
const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const plots = [];

/* Colours of the page's text and paper, so that a plot is legible in the light and in the dark. */
function theme(printing) {
  const [ink, grid, paper] = printing ? ["#000000", "#cccccc", "#ffffff"] : ["--ink", "--grid", "--panel"].map(css);
  const axis = { color: ink, gridcolor: grid, linecolor: ink, zerolinecolor: grid };
  return { ink, axis, hoverlabel: { bgcolor: paper, bordercolor: grid, font: { color: ink, size: 13 }, align: "left", namelength: -1 } };
}

function layout(spec, narrow, printing) {
  const now = theme(printing), heat = "rows" in spec;
  const axis = own => ({ automargin: true, ...now.axis, ...own, showgrid: !heat, ticks: "outside", zeroline: false,
    title: { ...own.title, standoff: 8, font: { size: 13 } } });
  return { autosize: true, showlegend: false, dragmode: narrow ? false : "zoom", hovermode: "closest",
    margin: { l: 10, r: 10, t: 10, b: 10 }, font: { color: now.ink, size: narrow ? 10 : 12, family: "system-ui, sans-serif" },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", hoverlabel: now.hoverlabel,
    xaxis: axis(spec.layout.xaxis), yaxis: axis(spec.layout.yaxis) };
}

/* Black and dark grey lines would be lost in the dark: they take the colour of the text. */
function inked(spec, narrow, printing) {
  const { ink } = theme(printing), dark = { "#000000": ink, "#666666": printing ? "#666666" : css("--soft") };
  return spec.data.map((trace, i) => {
    const own = { ...trace };
    for (const part of ["line", "marker"])
      if (trace[part]) own[part] = { ...trace[part], color: dark[trace[part].color] || trace[part].color };
    if (spec.shown) own.visible = spec.shown[i];
    if (narrow && trace.texttemplate && trace.x.length > 8) delete own.texttemplate;
    if (trace.colorbar) own.colorbar = { ...trace.colorbar, tickfont: { color: ink }, title: { ...trace.colorbar.title, font: { color: ink } } };
    return own;
  });
}

function show(plot, printing = false) {
  const narrow = plot.box.clientWidth < 480;
  return Plotly.react(plot.box, inked(plot.spec, narrow, printing), layout(plot.spec, narrow, printing),
    { responsive: true, displaylogo: false, displayModeBar: false, scrollZoom: false });
}

function swatch(series) {
  const dashes = { dash: "6 4", dot: "2 3", dashdot: "6 3 2 3", longdash: "10 4", longdashdot: "9 3 2 3" };
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const cross = !series.dash && series.marker === "x", shape = series.dash ? "line" : cross ? "path" : "circle";
  const mark = document.createElementNS(svg.namespaceURI, shape);
  const set = (node, values) => Object.entries(values).forEach(([name, value]) => node.setAttribute(name, value));
  const colour = { "#000000": "var(--ink)", "#666666": "var(--soft)" }[series.colour] || series.colour;
  set(svg, { width: 26, height: 8, "aria-hidden": "true" });
  set(mark, series.dash ? { x1: 0, x2: 26, y1: 4, y2: 4, "stroke-width": 3, "stroke-dasharray": dashes[series.dash] || "none" }
    : cross ? { d: "M10 1l6 6m0-6l-6 6", "stroke-width": 2 } : { cx: 13, cy: 4, r: 4 });
  mark.style[series.dash || cross ? "stroke" : "fill"] = colour;
  svg.append(mark);
  return svg;
}

function chooser(plot) {
  const field = document.createElement("fieldset"), boxes = [];
  field.className = "chooser";
  field.setAttribute("aria-label", "Series shown");
  const apply = () => {
    boxes.forEach((box, i) => plot.spec.series[i].traces.forEach(t => { plot.spec.shown[t] = box.checked; }));
    show(plot);
  };
  for (const series of plot.spec.series) {
    const label = document.createElement("label"), box = document.createElement("input");
    box.type = "checkbox";
    box.checked = series.shown;
    box.addEventListener("change", apply);
    boxes.push(box);
    label.append(box, swatch(series), document.createTextNode(series.label));
    field.append(label);
  }
  for (const [word, on] of boxes.length > 2 ? [["all", true], ["none", false]] : []) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = word;
    button.addEventListener("click", () => { boxes.forEach(box => { box.checked = on; }); apply(); });
    field.append(button);
  }
  return field;
}

for (const box of document.querySelectorAll(".plot")) {
  const spec = JSON.parse(box.nextElementSibling.textContent), plot = { box, spec };
  spec.shown = spec.data.map(trace => trace.visible !== false);
  if (spec.series.length) box.before(chooser(plot));
  plots.push(plot);
}
const drawn = Promise.all(plots.map(plot => show(plot)));
drawn.then(() => document.documentElement.setAttribute("data-drawn", plots.length));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plots.forEach(plot => show(plot)));
addEventListener("beforeprint", () => {
  document.querySelectorAll("details").forEach(part => { part.open = true; });
  plots.forEach(plot => show(plot, true));
});
addEventListener("afterprint", () => plots.forEach(plot => show(plot)));
