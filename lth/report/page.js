"use strict";
const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const plots = [];

/* Plots have the colours of the page, so that they are legible in the light, in the dark and on paper. */
function show({ box, spec }, printing = false) {
  const [ink, soft, grid, paper] = printing ? ["#000000", "#666666", "#cccccc", "#ffffff"] : ["--ink", "--soft", "--grid", "--panel"].map(css);
  const narrow = box.clientWidth < 480, heat = spec.data[0].type === "heatmap", dark = { "#000000": ink, "#666666": soft };
  const axis = own => ({ automargin: true, color: ink, gridcolor: grid, linecolor: ink, showgrid: !heat, ticks: "outside", zeroline: false,
    ...own, title: { ...own.title, standoff: 8, font: { size: 13 } } });
  const layout = { autosize: true, showlegend: false, dragmode: narrow ? false : "zoom", hovermode: "closest",
    margin: { l: 10, r: 10, t: 10, b: 10 }, font: { color: ink, size: narrow ? 10 : 12, family: "system-ui, sans-serif" },
    paper_bgcolor: "transparent", plot_bgcolor: "transparent", xaxis: axis(spec.layout.xaxis), yaxis: axis(spec.layout.yaxis),
    hoverlabel: { bgcolor: paper, bordercolor: grid, font: { color: ink, size: 13 }, align: "left", namelength: -1 } };
  const data = spec.data.map(trace => {
    const own = { ...trace };
    for (const part of ["line", "marker", "error_y"])
      if (trace[part]) own[part] = { ...trace[part], color: dark[trace[part].color] || trace[part].color };
    if (narrow && trace.texttemplate && trace.z.length > 8) delete own.texttemplate;
    return own;
  });
  return Plotly.react(box, data, layout, { responsive: true, displaylogo: false, displayModeBar: false });
}

function element(tag, values, ...children) {
  const made = Object.assign(document.createElement(tag), values);
  made.append(...children);
  return made;
}

/* Boxes to tick, one a line: the legend of a figure. */
function chooser(plot) {
  const labels = plot.spec.data.map(trace => {
    const box = element("input", { type: "checkbox", checked: trace.visible });
    box.addEventListener("change", () => {
      trace.visible = box.checked;
      show(plot);
    });
    const style = trace.mode === "markers" ? "double" : { solid: "solid", dot: "dotted" }[trace.line.dash] || "dashed";
    const colour = { "#000000": "var(--ink)", "#666666": "var(--soft)" }[trace.line.color] || trace.line.color;
    const swatch = element("span", { className: "swatch", style: `border-top-style: ${style}; color: ${colour}` });
    return element("label", {}, box, swatch, trace.name);
  });
  return element("fieldset", { className: "chooser", ariaLabel: "Series shown" }, ...labels);
}

for (const box of document.querySelectorAll(".plot")) {
  const plot = { box, spec: JSON.parse(box.nextElementSibling.textContent) };
  if (plot.spec.data[0].type !== "heatmap") box.before(chooser(plot));
  plots.push(plot);
}
Promise.all(plots.map(plot => show(plot))).then(() => document.documentElement.setAttribute("data-drawn", plots.length));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plots.forEach(plot => show(plot)));
addEventListener("beforeprint", () => plots.forEach(plot => show(plot, true)));
addEventListener("afterprint", () => plots.forEach(plot => show(plot)));
