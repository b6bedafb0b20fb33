// Charts of a run: uPlot with the colours of the page, its hints, bands, and what was undone.

import uPlot from "/static/vendor/uPlot.esm.js";
import { make, short } from "/static/js/runs_parts.js";

const HEIGHT = 168;
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const TONES = ["--made", "--real", "--good", "--bad", "--warn", "--accent"];
const faint = (tone) => `color-mix(in srgb, ${tone} 16%, transparent)`;

/** Which colour a line has: what is generated is blue, what is real orange. */
function tone(label, k) {
  if (/real|held-out|D\(x\)/.test(label)) return "--real";
  if (/generated|D\(G|averaged G|^G\//.test(label)) return "--made";
  return TONES[k % TONES.length];
}

function tones(lines) {
  const found = lines.map((line, k) => tone(line.label, k));
  return new Set(found).size === found.length ? found : lines.map((_, k) => TONES[k % TONES.length]);
}

/** The ends of an axis; uPlot looks for marks on one of no length until the memory is full. */
const ends = ([low, high]) => (low < high ? [low, high] : [Math.min(0, low), high > 0 ? high : low + 1]);

/** A chart that can be given newer numbers. rest: by label, what a line is where G is right. */
export class Chart {
  constructor(said, unit, rest) {
    this.legend = make("ul", { class: "legend" });
    this.plot = make("div", { class: "plot" });
    this.note = make("p", { class: "soft note", text: said.note });
    this.element = make("figure", { class: "chart card" }, make("figcaption", {}, make("h3", { text: said.title }), this.legend), this.plot, this.note);
    this.unit = unit;
    this.rest = rest;
    this.said = said;
    this.names = said.lines.map((line) => line.label).join("\n");
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.plot);
  }

  fits(said) {
    return said.lines.map((line) => line.label).join("\n") === this.names && said.title === this.said.title && said.log === this.said.log;
  }

  /** The columns of uPlot: images, the lines, then the ends of their bands. */
  data() {
    const bands = this.said.lines.filter((line) => line.band);
    return [this.said.at, ...this.said.lines.map((line) => line.values), ...bands.flatMap((line) => [line.band[1], line.band[0]])];
  }

  update(said, span, marks) {
    this.said = said;
    this.note.textContent = said.note;
    this.span = span;
    this.marks = marks;
    if (this.chart) this.chart.setData(this.data());
    else this.draw();
    this.tell(null);
  }

  resize() {
    const width = Math.floor(this.plot.clientWidth);
    if (!width) return;
    if (!this.chart) this.draw();
    else if (width !== this.chart.width) this.chart.setSize({ width, height: HEIGHT });
  }

  draw() {
    const width = Math.floor(this.plot.clientWidth);
    if (!width || !this.span) return;
    this.close();
    const { said } = this;
    this.colours = tones(said.lines).map(colour);
    const ink = colour("--soft");
    const grid = { stroke: colour("--line"), width: 1 };
    const axis = { stroke: ink, grid, ticks: { show: false }, font: "11px system-ui", gap: 4, values: (_, all) => all.map((v) => (v === null ? "" : short(v))) };
    const few = said.at.length < 3;
    const series = said.lines.map((line, k) => ({
      stroke: this.colours[k], width: line.aside ? 1 : 1.75, dash: line.aside ? [4, 4] : undefined, spanGaps: true, points: { show: few, size: 6, fill: this.colours[k] },
    }));
    const bands = [];
    let next = series.length + 1;
    said.lines.forEach((line, k) => {
      if (!line.band) return;
      for (let side = 0; side < 2; side++) series.push({ stroke: "transparent", width: 0, spanGaps: true, points: { show: few, size: 3, fill: this.colours[k] } });
      bands.push({ series: [next, next + 1], fill: faint(this.colours[k]) });
      next += 2;
    });
    const options = {
      width, height: HEIGHT, padding: [8, 10, 0, 0], legend: { show: false }, bands,
      cursor: { sync: { key: "runs", setSeries: false }, drag: { x: false, y: false }, y: false },
      scales: { x: { time: false, range: () => ends(this.span) }, y: { range: () => ends(this.said.bounds), distr: said.log ? 3 : 1 } },
      axes: [{ ...axis, size: 24, space: 70 }, { ...axis, size: 46, space: 28, ...(said.log ? { splits: () => decades(...this.said.bounds), filter: (_, all) => all } : {}) }],
      series: [{}, ...series],
      hooks: { drawClear: [(u) => this.behind(u)], draw: [(u) => this.above(u)], setCursor: [(u) => this.tell(u.cursor.idx)] },
    };
    this.chart = new uPlot(options, this.data(), this.plot);
    this.tell(null);
  }

  /** Stretches that the run went back over, and the best checkpoint. */
  behind(u) {
    const { ctx, bbox } = u;
    const x = (value) => u.valToPos(value, "x", true);
    ctx.save();
    ctx.fillStyle = `color-mix(in srgb, ${colour("--bad")} 14%, transparent)`;
    for (const back of this.marks.backs) ctx.fillRect(x(back.to), bbox.top, Math.max(2, x(back.since) - x(back.to)), bbox.height);
    if (this.marks.best && this.said.group !== "game") rule(ctx, x(this.marks.best), bbox.top, 0, bbox.height, colour("--good"), [2, 3]);
    ctx.restore();
  }

  /** Lines worth knowing, and what was undone, faintly. */
  above(u) {
    const { ctx, bbox } = u;
    const [low, high] = this.said.bounds;
    const across = (value, stroke) => {
      if (value > low && value < high) rule(ctx, bbox.left, u.valToPos(value, "y", true), bbox.width, 0, stroke, [5, 5]);
    };
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    for (const hint of this.said.hints) across(hint, colour("--soft"));
    this.said.lines.forEach((line, k) => {
      const rest = this.rest[line.label];
      if (rest !== undefined) across(rest, this.colours[k]);
      ctx.globalAlpha = 0.35;
      for (const [at, values] of line.undone) trace(u, at, values, this.colours[k]);
      ctx.globalAlpha = 1;
    });
    ctx.restore();
  }

  /** The legend: each line's value under the pointer, else its last one. */
  tell(index) {
    const { said } = this;
    const items = said.lines.map((line, k) => {
      const value = index === null || index === undefined ? line.values.findLast((v) => v !== null) : line.values[index];
      const swatch = make("i");
      swatch.style.background = this.colours?.[k] ?? "";
      const rest = this.rest[line.label];
      const told = rest !== undefined ? make("span", { class: "soft", text: ` (equilibrium ${short(rest)})` }) : null;
      return make("li", {}, swatch, `${line.label} `, make("b", { text: short(value) }), told);
    });
    if (index !== null && index !== undefined) items.push(make("li", { class: "soft", text: `at ${short(said.at[index])} ${this.unit}` }));
    this.legend.replaceChildren(...items);
    const told = said.lines.map((line) => `${line.label}: ${short(line.values.findLast((v) => v !== null))}`).join(", ");
    this.plot.setAttribute("role", "img");
    this.plot.setAttribute("aria-label", `${said.title} over ${this.unit} seen. Last values: ${told}`);
  }

  repaint() {
    this.close();
    this.draw();
  }

  close() {
    this.chart?.destroy();
    this.chart = null;
  }

  end() {
    this.observer.disconnect();
    this.close();
  }
}

/** Round numbers on an axis by powers of ten: 1, or 1, 2 and 5, at most six of them. */
function decades(low, high) {
  const powers = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) powers.push(power);
  const within = (digits) => powers.flatMap((power) => digits.map((digit) => Number(`${digit}e${power}`))).filter((value) => value >= low && value <= high);
  const found = within([1]).length >= 3 ? within([1]) : within([1, 2, 5]);
  return found.filter((_, k) => k % Math.max(1, Math.ceil(found.length / 6)) === 0);
}

function rule(ctx, x, y, width, height, stroke, dash) {
  ctx.beginPath();
  ctx.setLineDash(dash.map((length) => length * devicePixelRatio));
  ctx.lineWidth = devicePixelRatio;
  ctx.strokeStyle = stroke;
  ctx.moveTo(x, y);
  ctx.lineTo(x + width, y + height);
  ctx.stroke();
}

function trace(u, at, values, stroke) {
  const { ctx } = u;
  ctx.beginPath();
  ctx.setLineDash([]);
  ctx.lineWidth = 1.5 * devicePixelRatio;
  ctx.strokeStyle = stroke;
  let begun = false;
  at.forEach((images, k) => {
    if (values[k] === null) return;
    const place = [u.valToPos(images, "x", true), u.valToPos(values[k], "y", true)];
    if (begun) ctx.lineTo(...place);
    else ctx.moveTo(...place);
    begun = true;
  });
  ctx.stroke();
}

/** Charts in a place, kept from one update to the next where they are the same ones. */
export class Charts {
  constructor() {
    this.known = new Map();
    this.dark = matchMedia("(prefers-color-scheme: dark)");
    this.repaint = () => this.known.forEach((chart) => chart.repaint());
    this.dark.addEventListener("change", this.repaint);
  }

  /** The elements of these charts, in order. */
  show(said, unit, span, marks, rest) {
    return said.map((one) => {
      const key = `${one.group}\n${one.title}`;
      let chart = this.known.get(key);
      if (!chart || !chart.fits(one)) {
        chart?.end();
        chart = new Chart(one, unit, {});
        this.known.set(key, chart);
      }
      chart.rest = one.title === "Losses" ? rest : {};
      chart.update(one, span, marks);
      return chart.element;
    });
  }

  end() {
    this.dark.removeEventListener("change", this.repaint);
    this.known.forEach((chart) => chart.end());
  }
}
