/** Draws the page's charts in the browser: plain JavaScript, run after uPlot's. */
export const SCRIPT = `
"use strict";
(() => {
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const sync = uPlot.sync("steps");
  const drawn = [];
  const number = (n) => (n === 0 ? "0" : Math.abs(n) < 0.001 ? n.toExponential(1) : n >= 1e4 ? (n / 1e3) + "k" : String(Number(n.toPrecision(6))));

  const value = (y) => (y == null ? "–" : number(Number(y.toPrecision(5))));
  // The training curve is the fainter one of a run.
  const color = (curve) => style("--run-" + (curve.run % 10)) + (curve.kind === "train" ? "80" : "");

  function draw(chart, place) {
    const { curves } = chart;
    const data = uPlot.join(curves.map((curve) => [curve.x, curve.y, ...(curve.band ? [curve.band.low, curve.band.high] : [])]));
    const last = data[0].at(-1);
    // Which series a curve, and the two edges of its band after it, are.
    const places = [];
    for (let i = 0, at = 1; i < curves.length; i++) { places.push(at); at += curves[i].band ? 3 : 1; }
    const curveAt = (series) => curves[places.indexOf(series)];
    const soft = style("--soft"), grid = style("--grid");
    const axis = { stroke: soft, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, font: "12px system-ui, sans-serif" };
    const plot = new uPlot({
      width: place.clientWidth,
      height: Math.max(220, Math.min(chart.id === "loss" ? 420 : 240, place.clientWidth * 0.6)),
      cursor: { ...(chart.x.title === "Step" ? { sync: { key: sync.key } } : {}), points: { size: 7 } },
      legend: { markers: { width: 0, fill: (_, i) => curveAt(i) && color(curveAt(i)) } },
      scales: { x: { time: false, ...(chart.x.scale === "log2" ? { distr: 3, log: 2 } : {}) } },
      bands: curves.flatMap((curve, i) => curve.band ? [{ series: [places[i] + 2, places[i] + 1], fill: color(curve) + "26" }] : []),
      hooks: { setSeries: [(plot, i, { show }) => {
        if (i == null || show == null || !curveAt(i)?.band) return;
        for (const edge of [i + 1, i + 2]) plot.setSeries(edge, { show });
      }] },
      axes: [
        { ...axis, label: chart.x.title, labelSize: 20, labelFont: axis.font, values: (_, ticks) => ticks.map((tick) => tick == null ? null : tick.toLocaleString("en-US")) },
        { ...axis, size: 64, values: (_, ticks) => ticks.map(number) },
      ],
      series: [
        { label: chart.x.title, value: (_, x, __, i) => (i == null ? last : x).toLocaleString("en-US") },
        ...curves.flatMap((curve) => [{
          label: curve.label,
          stroke: color(curve),
          width: curve.kind === "train" ? 1 : 2,
          spanGaps: true,
          points: { show: curve.kind === "val" || curve.x.length < 2, size: 6, fill: style("--card") },
          // Away from the pointer the legend tells where each curve ends.
          value: (_, y, __, i) => value(i == null ? curve.y.at(-1) : y),
        }, ...(curve.band ? ["least", "most"] : []).map((label) => ({ label, class: "edge", stroke: "transparent", points: { show: false }, spanGaps: true }))]),
      ],
    }, data, place);
    for (const label of place.querySelectorAll(".u-series th")) {
      label.tabIndex = 0;
      label.setAttribute("role", "button");
      label.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") { event.preventDefault(); label.click(); }
      });
    }
    return plot;
  }

  function drawAll() {
    for (const { plot } of drawn.splice(0)) plot.destroy();
    for (const chart of charts) {
      const place = document.getElementById("chart-" + chart.id);
      drawn.push({ plot: draw(chart, place), place });
    }
  }

  drawAll();
  new ResizeObserver(() => {
    for (const { plot, place } of drawn) {
      if (place.clientWidth > 0 && place.clientWidth !== plot.width) plot.setSize({ width: place.clientWidth, height: plot.height });
    }
  }).observe(document.querySelector("main"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
})();
`;
