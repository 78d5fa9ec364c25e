/** Draws the page's charts in the browser: plain JavaScript, run after uPlot's. */
export const SCRIPT = `
"use strict";
(() => {
  const charts = JSON.parse(document.getElementById("charts").textContent);
  const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const sync = uPlot.sync("steps");
  const drawn = [];
  const number = (n) => (n === 0 ? "0" : Math.abs(n) < 0.001 ? n.toExponential(1) : n >= 1e4 ? (n / 1e3) + "k" : String(Number(n.toPrecision(6))));

  function draw(chart, place) {
    const { curves } = chart;
    const data = uPlot.join(curves.map((curve) => [curve.x, curve.y]));
    const soft = style("--soft"), grid = style("--grid");
    const axis = { stroke: soft, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, font: "12px system-ui, sans-serif" };
    const plot = new uPlot({
      width: place.clientWidth,
      height: Math.max(220, Math.min(chart.id === "loss" ? 420 : 240, place.clientWidth * 0.6)),
      cursor: { sync: { key: sync.key }, points: { size: 7 } },
      scales: { x: { time: false } },
      axes: [
        { ...axis, values: (_, ticks) => ticks.map((tick) => tick.toLocaleString("en-US")) },
        { ...axis, size: 64, values: (_, ticks) => ticks.map(number) },
      ],
      series: [
        { label: "Step", value: (_, x) => (x == null ? "–" : x.toLocaleString("en-US")) },
        ...curves.map((curve) => ({
          label: curve.label,
          stroke: style("--run-" + (curve.run % 6)),
          width: curve.kind === "train" ? 1 : 2,
          dash: curve.kind === "train" ? [4, 3] : undefined,
          alpha: curve.kind === "train" ? 0.8 : 1,
          spanGaps: true,
          points: { show: curve.kind === "val" || curve.x.length < 2, size: 6 },
          value: (_, y) => (y == null ? "–" : number(Number(y.toPrecision(5)))),
        })),
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
