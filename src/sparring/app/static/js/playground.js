// The live game on the plane: every button is a question to the server, one after the other, and every answer a picture.

import { post, say } from "/static/js/api.js";
import { Board, points } from "/static/js/playground_board.js";
import { History, beliefChart, costChart } from "/static/js/playground_charts.js";
import { BASE, LESSONS } from "/static/js/playground_lessons.js";

const find = (id) => document.getElementById(id);
const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

const PACES = [
  { name: "a turn a second", act: { do: "turn" }, rest: 1000 },
  { name: "four rounds a second", act: { do: "round" }, rest: 250 },
  { name: "round by round", act: { do: "round" }, rest: 40 },
  { name: "many rounds a picture", act: { do: "advance", rounds: 1000, seconds: 0.08 }, rest: 0 },
  { name: "as fast as it goes, one picture now and then", act: { do: "advance", rounds: 1000, seconds: 0.6 }, rest: 0 },
];
const RATES = [1e-5, 3e-5, 1e-4, 2e-4, 3e-4, 5e-4, 1e-3, 2e-3, 3e-3, 5e-3, 1e-2, 3e-2, 1e-1];
const WEIGHTS = [0, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 5, 7, 10];
const SLOPED = ["gp", "gp-one-sided", "dragan"]; // penalties that are weighed by λ
const CALM = 1500; // milliseconds that words stay while it plays
const KEEP = 40_000; // milliseconds after which a game that rests is asked for, so that it is kept
const GONE = ["PLAYGROUND-GONE", "DIED", "CLOSED", "SLOW"];

const board = new Board(find("board"));
const costs = costChart(find("costs"));
const beliefs = beliefChart(find("beliefs"));

let session = null;
let settings = { ...BASE };
let about = null;
let frame = null;
let real = null;
let history = new History();
let playing = false;
let spoken = 0; // when words were last changed
let last = Promise.resolve(); // the question before this one

const look = () => ({ since: history.last, field: find("field").value, averaged: find("dots").value === "average" });

/** One after the other; what fails is said, and the next one is asked all the same. */
function inTurn(job) {
  last = last.then(job).catch(failed);
  return last;
}

async function failed(error) {
  pause();
  if (session && GONE.includes(error?.code)) {
    await post(`/api/playground/${session}/end`).catch(() => {});
    session = null;
    say("That game is over. A new one begins with the same settings.");
    await begin().then(() => say("That game is over; this is a new one with the same settings."), say);
    return;
  }
  say(error);
}

// ── what is asked ──────────────────────────────────────────────────────────────────────────────────────────────

async function begin() {
  history = new History();
  const said = await post("/api/playground/begin", { settings, look: look() });
  session = said.session;
  settled(said);
  for (const button of document.querySelectorAll(".controls button")) button.disabled = false;
}

async function act(what) {
  const said = await post(`/api/playground/${session}/play`, { ...what, look: look() });
  if (what.do === "start") history = new History();
  frame = said.frame;
  history.add(frame.rounds);
  if (frame.over) pause();
  show(said.moved);
}

async function change(changes) {
  const anew = frame?.over || ("data" in changes && changes.data !== settings.data) || ("seed" in changes && changes.seed !== settings.seed);
  const wanted = { ...settings, ...changes };
  const view = look();
  if (anew) view.since = 0;
  const said = await post(`/api/playground/${session}/change`, { settings: wanted, look: view });
  if (anew) history = new History();
  settled(said);
}

/** Settings are as the server says they are. */
function settled(said) {
  ({ about, frame } = said);
  settings = about.settings;
  real = points(about.real);
  history.add(frame.rounds);
  write();
  show("", true);
}

// ── what is shown ──────────────────────────────────────────────────────────────────────────────────────────────

function show(moved = "", always = false) {
  board.draw(real, frame, about.cells);
  costs.show(history, [...new Set(Object.values(about.levels))]);
  beliefs.show(history, about.probable ? [0.5] : []);
  for (const [id, player] of [["turn-d", "D"], ["turn-g", "G"]]) find(id).classList.toggle("due", frame.turn === player);
  const now = performance.now();
  if (always || moved || !playing || now - spoken > CALM) {
    spoken = now;
    words(moved);
  }
}

function words(moved) {
  const lines = [...frame.said];
  if (moved) lines.unshift(`${moved} has moved.${frame.turn ? ` ${frame.turn} is next.` : ""}`);
  const place = find("words");
  place.replaceChildren(...lines.map((line) => Object.assign(document.createElement("p"), { textContent: line })));
  const { measured } = frame;
  const percent = (share) => `${Math.round(100 * share)}%`;
  const facts = [`round ${frame.round.toLocaleString("en")}`, `${frame.points.toLocaleString("en")} points seen`];
  if (about.modes) facts.push(`${measured.modes} of ${about.modes} modes`, `${percent(measured.near)} near one`, `${percent(measured.high_quality)} within 3 σ`);
  else if (measured.energy_distance !== null) facts.push(`energy distance ${measured.energy_distance.toPrecision(2)}`);
  find("follows").textContent = frame.strong ? `what G follows, up to ${frame.strong.toPrecision(2)}` : "what G follows";
  if (frame.outside) facts.push(`${frame.outside} of ${frame.samples_drawn} dots outside, drawn on the border`);
  find("numbers").textContent = facts.join(" · ");
  const two = (value) => (Math.abs(value) < 0.005 ? 0 : value).toFixed(2);
  const said = (value) => (value === null ? "not known yet" : two(value));
  const pays = (who, value) => (value === null ? `${who} has not played ${frame.round ? "lately" : "yet"}` : `${who} pays ${two(value)}`);
  const level = Object.entries(about.levels).map(([player, value]) => `${player} ${two(value)}`).join(", ");
  find("costs-now").textContent = `${pays("D (orange)", history.recent(1))}, ${pays("G (blue)", history.recent(2))}${level ? `; at the equilibrium (dashed) ${level}` : ""}.`;
  const what = about.probable ? "½ (dashed) is guessing" : "no probabilities here: only the gap counts";
  find("beliefs-now").textContent = `D(x) of data (orange) ${said(history.recent(3))}, D(G(z)) of samples (blue) ${said(history.recent(4))}; ${what}.`;
}

const nearest = (values, value) => values.reduce((best, one, k) => (Math.abs(one - value) < Math.abs(values[best] - value) ? k : best), 0);
const sloped = () => SLOPED.includes(find("penalty").value);

/** The controls as the settings are. */
function write() {
  find("data").value = settings.data;
  find("objective").value = settings.objective;
  find("schedule").value = settings.play;
  find("penalty").value = settings.penalty;
  find("seed").value = settings.seed;
  find("weight").value = nearest(WEIGHTS, sloped() ? settings.slope : settings.gamma);
  find("lr-d").value = nearest(RATES, settings.d_lr);
  find("lr-g").value = nearest(RATES, settings.lr);
  find("title").textContent = `${settings.data} · ${about.title}`;
  find("belief").textContent = about.belief;
  numbers();
}

/** What stands beside the sliders. */
function numbers() {
  const shown = (id, text) => {
    find(`${id}-now`).textContent = text;
    find(id).setAttribute("aria-valuetext", text);
  };
  find("weight-name").textContent = sloped() ? "λ" : "γ";
  find("weight").disabled = find("penalty").value === "none";
  shown("weight", `${WEIGHTS[find("weight").value]}`);
  shown("lr-d", `${RATES[find("lr-d").value]}`);
  shown("lr-g", `${RATES[find("lr-g").value]}`);
  shown("speed", PACES[find("speed").value].name);
}

// ── playing ────────────────────────────────────────────────────────────────────────────────────────────────────

async function play() {
  if (playing || !session) return;
  playing = true;
  find("play").textContent = "Pause";
  say("");
  while (playing) {
    const pace = PACES[find("speed").value];
    const began = performance.now();
    await inTurn(() => (playing ? act(pace.act) : undefined));
    await wait(Math.max(0, pace.rest - (performance.now() - began)));
    await new Promise(requestAnimationFrame);
  }
}

function pause() {
  playing = false;
  find("play").textContent = "Play";
}

/** A single step: whatever plays is paused. */
function step(what) {
  pause();
  say("");
  return inTurn(() => act(what));
}

// ── controls ───────────────────────────────────────────────────────────────────────────────────────────────────

const buttons = {
  play: () => (playing ? pause() : play()),
  "turn-d": () => step({ do: "turn", player: "D" }),
  "turn-g": () => step({ do: "turn", player: "G" }),
  round: () => step({ do: "round" }),
  collapse: () => inTurn(() => act({ do: "collapse" })),
  start: () => step({ do: "start" }),
};
for (const [id, pressed] of Object.entries(buttons)) find(id).addEventListener("click", pressed);

const KEYS = { " ": "play", d: "turn-d", g: "turn-g", r: "round", c: "collapse" };
find("board").addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in KEYS)) return;
  event.preventDefault();
  if (!find(KEYS[event.key]).disabled) buttons[KEYS[event.key]]();
});

const read = {
  data: (text) => ({ data: text }),
  objective: (text) => ({ objective: text }),
  schedule: (text) => ({ play: text }),
  penalty: (text) => ({ penalty: text }),
  weight: (k) => ({ [sloped() ? "slope" : "gamma"]: WEIGHTS[k] }),
  "lr-d": (k) => ({ d_lr: RATES[k] }),
  "lr-g": (k) => ({ lr: RATES[k] }),
  seed: (text) => ({ seed: Math.min(2 ** 31 - 1, Math.max(0, Math.floor(Number(text) || 0))) }),
};
/** Other settings; if they are refused the controls say again what is played. */
function alter(changes) {
  say("");
  return inTurn(async () => {
    try {
      await change(changes);
    } catch (error) {
      if (about) write();
      throw error;
    }
  });
}

for (const [id, meaning] of Object.entries(read)) {
  find(id).addEventListener("change", () => alter(meaning(find(id).value)));
  if (find(id).type === "range") find(id).addEventListener("input", numbers);
}
find("speed").addEventListener("input", numbers);
for (const id of ["field", "dots"]) find(id).addEventListener("change", () => inTurn(() => act({ do: "look" })));
find("settings").addEventListener("submit", (event) => event.preventDefault());

const lesson = find("lesson");
lesson.append(...LESSONS.map(({ name }, k) => Object.assign(document.createElement("option"), { value: k, textContent: name })));
lesson.addEventListener("change", async () => {
  const chosen = LESSONS[lesson.value];
  find("lesson-text").textContent = chosen.text;
  pause();
  find("speed").value = chosen.speed ?? 3;
  await alter({ ...BASE, seed: settings.seed, ...chosen.settings });
  await step({ do: "start" });
});
find("lesson-text").textContent = LESSONS[0].text;

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  board.restyle();
  for (const chart of [costs, beliefs]) chart.build(history);
  if (frame) show("", true);
});
new ResizeObserver(() => frame && board.draw(real, frame, about.cells)).observe(find("board"));

setInterval(() => {
  if (session && !playing) inTurn(() => act({ do: "look" }));
}, KEEP);
window.addEventListener("pagehide", () => {
  pause();
  if (session) post(`/api/playground/${session}/end`, {}, { keepalive: true }).catch(() => {});
  session = null;
});
window.addEventListener("pageshow", (event) => {
  if (event.persisted) inTurn(begin);
});

numbers();
inTurn(begin);
