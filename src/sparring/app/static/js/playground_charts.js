// The two charts: what each player pays, and what D believes, over rounds.

import uPlot from "/static/vendor/uPlot.esm.js";
import { colours } from "/static/js/playground_board.js";

const MOST = 2000; // rounds that are drawn
const HIGH = 150; // pixels

/** What was said of the rounds so far: columns number, D, G, D(x), D(G(z)). */
export class History {
  constructor() {
    this.columns = [[], [], [], [], []];
  }

  get last() {
    return this.columns[0].at(-1) ?? 0;
  }

  add(rows) {
    for (const row of rows) {
      if (row[0] <= this.last) continue;
      row.forEach((value, k) => this.columns[k].push(value));
    }
    const excess = this.columns[0].length - MOST;
    if (excess > 0) this.columns.forEach((column) => column.splice(0, excess));
  }

  /** Means over the last rounds in which there was a value; null if there was none. */
  recent(column, rounds = 20) {
    const known = this.columns[column].slice(-rounds).filter((value) => value !== null);
    return known.length ? known.reduce((a, b) => a + b, 0) / known.length : null;
  }
}

/** Values between which nearly all lie, and the levels; a few wild ones at the start are cut off. */
function range(columns, levels) {
  const known = columns.flat().filter((value) => value !== null).sort((a, b) => a - b);
  const wild = Math.floor(known.length / 50);
  const inner = known.slice(wild, known.length - wild);
  const low = Math.min(inner[0] ?? 0, ...levels);
  const high = Math.max(inner.at(-1) ?? 1, ...levels);
  const room = 0.06 * (high - low || 1);
  return [low - room, high + room];
}

class Chart {
  constructor(place, names, columns, { fixed = null } = {}) {
    Object.assign(this, { place, names, columns, fixed, levels: [], plot: null });
    new ResizeObserver(() => this.plot?.setSize({ width: place.clientWidth, height: HIGH })).observe(place);
  }

  /** Built anew when colours change. */
  build(history) {
    this.plot?.destroy();
    const { ink, soft, line, real, made } = colours();
    const axis = { stroke: soft, grid: { stroke: line, width: 1 }, ticks: { show: false }, font: "11px system-ui", size: 38 };
    const options = {
      width: this.place.clientWidth || 300,
      height: HIGH,
      padding: [6, 6, 0, 0],
      cursor: { show: false },
      legend: { show: false },
      scales: {
        x: { time: false, range: (plot, low, high) => (low === null ? [0, 10] : [low, Math.max(high, low + 10)]) },
        y: { range: () => this.fixed ?? range(this.columns.map((k) => history.columns[k]), this.levels) },
      },
      axes: [{ ...axis, size: 26 }, axis],
      series: [{}, ...[real, made].map((stroke) => ({ stroke, width: 1.5, spanGaps: true, points: { show: false } }))],
      hooks: { drawAxes: [(plot) => this.#levels(plot, ink)] },
    };
    this.plot = new uPlot(options, this.#data(history), this.place);
  }

  #data(history) {
    return [history.columns[0], ...this.columns.map((k) => history.columns[k])];
  }

  #levels(plot, ink) {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.strokeStyle = ink;
    ctx.globalAlpha = 0.55;
    ctx.lineWidth = window.devicePixelRatio || 1;
    ctx.setLineDash([5, 4].map((part) => part * ctx.lineWidth));
    for (const level of this.levels) {
      const y = plot.valToPos(level, "y", true);
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
    }
    ctx.restore();
  }

  show(history, levels) {
    this.levels = levels;
    if (!this.plot) this.build(history);
    this.plot.setData(this.#data(history));
  }
}

export const costChart = (place) => new Chart(place, ["D", "G"], [1, 2]);
export const beliefChart = (place) => new Chart(place, ["D(x)", "D(G(z))"], [3, 4], { fixed: [0, 1] });
