// Small parts that the views of this page are made of. Text is only ever put in as text.

import { events } from "/static/js/api.js";

const SVG = "http://www.w3.org/2000/svg";

/** An element: make("p", { class: "soft", text: "…" }, ...children). Handlers are functions: { onclick }. */
export function make(kind, said = {}, ...children) {
  const made = document.createElement(kind);
  for (const [name, value] of Object.entries(said)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "text") made.textContent = value;
    else if (typeof value === "function") made.addEventListener(name.slice(2), value);
    else if (name === "value") made.value = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

/** Text whose `commands` are set as code. */
export function marked(text) {
  const pieces = text.split("`");
  if (pieces.length % 2 === 0) return [text];
  return pieces.map((piece, k) => (k % 2 ? make("code", { text: piece }) : piece));
}

export const whole = (n) => Math.round(n).toLocaleString("en");

/** A number in a few characters. */
export function short(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  for (const [unit, name] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (size >= unit) return `${Number((value / unit).toPrecision(3))}${name}`;
  }
  return size && size < 1e-3 ? value.toExponential(1) : `${Number(value.toPrecision(3))}`;
}

/** Seconds as a person says them. */
export function duration(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s < 600 ? `${s % 60} s` : ""}`.trim();
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

/** How long ago a moment was, in words. */
export function ago(moment) {
  const seconds = Date.now() / 1000 - moment;
  return moment ? (seconds < 5 ? "just now" : `${duration(seconds).split(" ").slice(0, 2).join(" ")} ago`) : "";
}

/** Wishes are told apart by it: the same wish, sent twice, has the same key. */
export const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (n) => n.toString(16).padStart(2, "0")).join("");

export function pill(row) {
  const text = row.stopping ? "stopping" : row.state;
  return make("span", { class: `pill ${row.state}`, text });
}

export function progress(row) {
  const share = row.planned ? Math.min(1, row.images / row.planned) : 0;
  return make("progress", { class: row.state, max: 1, value: share, "aria-label": `${Math.round(100 * share)} % of the budget` });
}

/** How far it is, in words. */
export function far(row) {
  if (!row.planned) return row.images ? `${whole(row.images)} ${row.unit}` : "";
  const of = row.images >= row.planned ? whole(row.images) : `${whole(row.images)} of ${whole(row.planned)}`;
  return `${of} ${row.unit}`;
}

/** How fast it is, or when it was. */
export function pace(row) {
  if (row.state === "starting") return "";
  if (row.state !== "training") return ago(row.touched);
  const rate = row.rate ? `${short(row.rate)}/s` : "";
  return [rate, row.left !== null ? `${duration(row.left)} left` : ""].filter(Boolean).join(" · ");
}

export function measured(measure) {
  if (!measure) return null;
  const around = measure.interval ? ` ± ${short((measure.interval[1] - measure.interval[0]) / 2)} (95 %)` : "";
  return make("span", { class: "measure" }, make("span", { class: "soft", text: `${measure.label} ` }), make("b", { text: short(measure.value) }), around);
}

const TERMS = {
  "D(x)": "how real D takes the data to be, from 0 to 1; at 0.5 it only guesses",
  "D(G(z))": "how real D takes what is generated to be, from 0 to 1; at 0.5 it only guesses",
};

/** What the last line of the log says of the game: what D believes, or else what each player pays; explained in words. */
export function standing(row) {
  const alone = Object.keys(row.losses).length === 1;
  const told = Object.keys(row.belief).length ? Object.entries(row.belief) : Object.entries(row.losses);
  return told.map(([name, value]) => {
    const title = TERMS[name] ?? (alone ? "what is lowered, in the last line of the log" : `what ${name} pays, in the last line of the log; each player lowers its own`);
    const label = TERMS[name] ? name : alone ? "loss" : `loss of ${name}`;
    return make("span", { title }, make("span", { class: "soft", text: `${label} ` }), make("b", { text: short(value) }));
  });
}

/** A small curve, its last point marked. */
export function spark(said) {
  if (!said) return null;
  const { values, label } = said;
  const low = Math.min(...values);
  const reach = Math.max(...values) - low || 1;
  const at = (k) => [2 + (94 * k) / (values.length - 1), 22 - (20 * (values[k] - low)) / reach];
  const drawn = document.createElementNS(SVG, "svg");
  drawn.setAttribute("viewBox", "0 0 100 24");
  drawn.setAttribute("class", "spark");
  drawn.setAttribute("role", "img");
  drawn.setAttribute("aria-label", `${label}, from ${short(values[0])} to ${short(values.at(-1))}`);
  const line = document.createElementNS(SVG, "polyline");
  line.setAttribute("points", values.map((_, k) => at(k).map((v) => v.toFixed(1)).join(",")).join(" "));
  const end = document.createElementNS(SVG, "circle");
  const [x, y] = at(values.length - 1);
  for (const [name, value] of [["cx", x], ["cy", y], ["r", 2]]) end.setAttribute(name, value);
  drawn.append(line, end);
  return drawn;
}

/** Replace what an element holds, without losing the focus of what stays the same. */
export function fill(place, ...children) {
  place.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
}

/** Events while the page is looked at (browsers have few connections for all of their tabs); returns what ends them. */
export function live(path, onMessage) {
  let source = null;
  const turn = () => {
    if (document.visibilityState === "hidden") {
      source?.close();
      source = null;
    } else source ??= events(path, onMessage);
  };
  document.addEventListener("visibilitychange", turn);
  turn();
  return () => {
    document.removeEventListener("visibilitychange", turn);
    source?.close();
  };
}
