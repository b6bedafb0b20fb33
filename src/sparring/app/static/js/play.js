// Samples of a run, the plane through three of them, and the walk between them.

import { get, post, say } from "./api.js";
import { asked, bitmap, fill, latest, plain, put, remember, save, thousands } from "./latest.js";
import { CELLS, Pad, row } from "./pad.js";
import { Walk } from "./walk.js";

const $ = (id) => document.getElementById(id);
const MANY = 24;
const NAMES = ["A", "B", "C"];

let runs = [];
let run; // of the list
let able; // what it can do; nothing while it is being opened
let opening = 0; // of a run: an older one is given up
let told = ""; // the text that was asked for last: not what is being typed
let version = 0; // of run, class, text and truncation: a lattice of an older one is left half drawn
let first = 0; // number of the first sample that is shown
let chosen = { seed: 0, number: 0 };
let corners = [0, 1, 2].map((number) => ({ seed: 0, number }));

const shownAs = () => ({
  label: $("label").value === "" ? null : Number($("label").value),
  text: words() || null,
  truncation: truncation(),
});
const words = () => (able?.texts ? told : "");
const truncation = () => (able?.truncates ? Number($("truncation").value) : 1);
const seed = () => Math.min(2 ** 31 - 1, Math.max(0, Math.trunc(Number($("seed").value) || 0)));
const same = (a, b) => a.seed === b.seed && a.number === b.number;
/** What is made of the run that is open, where it can that: the latest request alone, which may have been put down when
 * another run was open. */
const ofRun = (can, work, failed) => latest(async () => able && can(able) && work(), failed);
const any = () => true;
const ask = (what, json) => post(`/api/play/${run.id}/${what}`, { ...shownAs(), ...json });
const between = (json) => ask("picture", { ...json, label: classBetween() });
const file = (...parts) => `${[plain(run.name), ...(words() ? [plain(words())] : []), ...parts].join("-")}.png`;

function classOf({ number }) {
  if (!able.classes.length) return "";
  const label = $("label").value;
  return able.classes[label === "" ? number % able.classes.length : Number(label)];
}

/** The class of all of the plane: the one that is asked for, or that of A. */
function classBetween() {
  const { label } = shownAs();
  return label ?? (able?.classes.length ? corners[0].number % able.classes.length : null);
}

/** What a sample is to show: what is asked for, or a caption of the data. */
const captionOf = ({ number }) => words() || (able.captions.length ? able.captions[number % able.captions.length] : "");

const nameOf = (spot) =>
  [`seed ${spot.seed}`, `number ${spot.number}`, classOf(spot), captionOf(spot)].filter(Boolean).join(" · ");

// ── samples ──────────────────────────────────────────────────────────────────────────────────────────────────

const showSamples = ofRun(({ kind }) => kind !== "points", async () => {
  const of = run;
  const said = { seed: seed(), first, n: MANY, columns: MANY };
  $("tiles").setAttribute("aria-busy", "true"); // a run that draws part by part takes seconds
  if (!$("tiles").children.length) $("range").textContent = "being made …";
  const sheet = await bitmap(await ask("samples", said));
  if (of !== run) return;
  const [width, height] = [sheet.width / MANY, sheet.height];
  const tiles = Array.from({ length: MANY }, (_, k) => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [width, height];
    canvas.getContext("2d").drawImage(sheet, -k * width, 0);
    return tile(canvas, { seed: said.seed, number: first + k });
  });
  sheet.close();
  $("tiles").replaceChildren(...tiles);
  $("range").textContent = `${first} to ${first + MANY - 1}`;
  $("before").disabled = first === 0;
  $("tiles").setAttribute("aria-busy", "false");
  mark();
}, (error) => {
  $("tiles").setAttribute("aria-busy", "false");
  say(error);
});

function tile(canvas, spot) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "tile";
  canvas.className = "pixels";
  made.append(canvas);
  made.dataset.seed = spot.seed;
  made.dataset.number = spot.number;
  made.title = nameOf(spot);
  made.addEventListener("click", () => choose(spot));
  return made;
}

/** Which tile is chosen, and which ones are corners. */
function mark() {
  for (const made of $("tiles").querySelectorAll(".tile")) {
    const spot = { seed: Number(made.dataset.seed), number: Number(made.dataset.number) };
    const named = NAMES.filter((_, k) => able.latents && same(corners[k], spot)).join(" ");
    made.setAttribute("aria-pressed", String(same(chosen, spot)));
    made.setAttribute("aria-label", named ? `${nameOf(spot)}, corner ${named}` : nameOf(spot));
    made.querySelector(".mark")?.remove();
    if (!named) continue;
    const badge = document.createElement("span");
    badge.className = "mark";
    badge.textContent = named;
    made.append(badge);
  }
  $("corners").textContent = corners.map((spot, k) => `${NAMES[k]}: seed ${spot.seed}, number ${spot.number}`).join(" · ");
}

function choose(spot) {
  chosen = spot;
  mark();
  showChosen();
}

/** The chosen sample, large; of a run on points a cloud of them. */
const showChosen = ofRun(any, async () => {
  const [of, spot, points] = [run, chosen, able.kind === "points"];
  const name = points ? `seed ${spot.seed}` : nameOf(spot);
  const blob = points ? await ask("samples", { seed: spot.seed, n: 1 }) : await ask("picture", { spots: [spot] });
  if (of !== run) return;
  await put(blob, $("chosen-picture"), $("chosen-file"), file(`seed${spot.seed}`, ...(points ? [] : [spot.number])));
  $("chosen-picture").alt = points ? `Many samples of ${name} as a cloud of points` : `Sample ${name}`;
  $("chosen-name").textContent = name;
  $("chosen").hidden = false;
});

// ── the plane ────────────────────────────────────────────────────────────────────────────────────────────────

const pad = new Pad($("pad"), $("ring"), (u, v) => move(u, v));
const walk = new Walk($("walk"), $("moment"), $("moment-now"), $("play"), (spots, places) =>
  between({ spots, places, columns: places.length }),
);

function move(u, v) {
  for (const [name, value] of [["u", u], ["v", v]]) {
    $(name).value = value;
    $(`${name}-now`).textContent = value.toFixed(2);
  }
  showPlace();
}

const showPlace = ofRun(({ latents }) => latents, async () => {
  const [of, u, v] = [run, pad.u, pad.v];
  const blob = await between({ spots: corners, places: [[u, v]] });
  if (of !== run) return;
  await put(blob, $("shown"), $("shown-file"), file("plane", u.toFixed(2), v.toFixed(2)));
  $("where").textContent = placeName(u, v);
});

function placeName(u, v) {
  const corner = [[0, 0], [1, 0], [0, 1]].findIndex(([x, y]) => x === u && y === v);
  const { seed: of, number } = corners[Math.max(0, corner)];
  const place = corner < 0 ? `${u.toFixed(2)} towards B, ${v.toFixed(2)} towards C` : `${NAMES[corner]}: seed ${of} · number ${number}`;
  const shown = able.classes.length ? able.classes[classBetween()] : captionOf(corners[0]);
  return shown ? `${place} · ${shown}` : place;
}

const showLattice = ofRun(({ latents }) => latents, async () => {
  const at = version;
  const spots = corners;
  const [, height, width] = able.shape;
  pad.clear(width, height);
  for (let j = 0; j < CELLS; j += 1) {
    const blob = await between({ spots, places: row(j), columns: CELLS });
    if (at !== version || spots !== corners) return;
    await pad.row(j, blob);
    if (at !== version) return; // of another run nothing of this is asked
  }
});

/** Each of the corners' shapes in each of their colours. */
const showMixed = ofRun(({ mixes }) => mixes, async () => {
  const [of, level] = [run, Number($("level").value)];
  const blob = await post(`/api/play/${of.id}/mix`, { coarse: corners, fine: corners, level, truncation: truncation() });
  if (of !== run) return;
  await put(blob, $("mixed"), $("mixed-file"), file("mixed", Math.round(100 * level)));
});

function useCorners(three) {
  corners = three;
  mark();
  showPlace();
  if (able.mixes) showMixed();
  showLattice();
  walk.begin(corners);
}

// ── a run ────────────────────────────────────────────────────────────────────────────────────────────────────

const plural = (n, one) => `${thousands(n)} ${one}${n === 1 ? "" : "s"}`;

function facts() {
  const [channels, height, width] = able.shape;
  const size = able.kind === "points" ? `points of ${plural(able.shape[0], "number")}` : `${width} × ${height}, ${{ 1: "grey", 3: "colour", 4: "colour with transparency" }[channels]}`;
  const z = able.latents ? `latents of ${plural(able.latents, "number")}${able.sphere ? " on a sphere" : ""}` : "";
  return [run.recipe, size, `${plural(able.images, able.kind === "points" ? "point" : "image")} seen`, z, ...able.remarks.map(short)].filter(Boolean).join(" · ");
}

const bent = () =>
  able.latents > 2 || able.sphere
    ? "It is bent along the sphere near which latents lie: a straight plane would cut through places that the run was never trained on."
    : "Latents of so few numbers lie on no sphere: it is straight.";

/** What cannot be done, and why: one sentence for each reason. */
function without() {
  const not = { latents: ["no plane", "no walk"], mixing: ["no mixing of levels"], truncation: ["no truncation"] };
  const reasons = new Set(Object.keys(not).map((name) => able.why[name]).filter(Boolean));
  const sentence = (reason) => {
    const texts = Object.entries(not).flatMap(([name, all]) => (able.why[name] === reason ? all : []));
    const listed = texts.length > 1 ? `${texts.slice(0, -1).join(", ")} and ${texts.at(-1)}` : texts[0];
    return `${listed[0].toUpperCase()}${listed.slice(1)}: ${reason}.`;
  };
  return [...reasons].map(sentence).join(" ");
}

/** A remark without what it says about the command line. */
const short = (remark) => remark.split(";")[0];

async function open(id) {
  run = runs.find((one) => one.id === id) ?? runs[0];
  opening += 1;
  version += 1;
  const at = opening;
  able = undefined;
  $("all").inert = true;
  $("run").value = run.id;
  remember(run.id);
  $("facts").textContent = "Opening the run …";
  walk.end();
  const found = await get(`/api/play/${run.id}`).catch((error) => {
    if (at === opening) throw error;
  });
  if (at !== opening) return;
  able = found;
  $("all").inert = false;
  [first, chosen] = [0, { seed: seed(), number: 0 }];
  fill($("label"), [["", "each in turn"], ...able.classes.map((name, k) => [k, name])]);
  $("label-field").hidden = !able.classes.length;
  $("text-field").hidden = !able.texts;
  fill($("captions"), able.captions.map((text) => [text, ""]));
  $("truncation-field").hidden = !able.truncates;
  $("truncation-name").textContent = able.kind === "images" && !able.latents ? "Temperature of every draw" : "Truncation";
  $("tiles").replaceChildren(); // those of the run before
  $("facts").textContent = facts();
  $("bent").textContent = bent();
  const flat = able.kind === "points";
  $("pages").hidden = $("tiles").hidden = flat;
  $("samples").classList.toggle("whole", flat);
  $("chosen").hidden = true;
  $("put").hidden = !able.latents;
  $("walks").hidden = !able.latents;
  $("mixing").hidden = !able.mixes;
  $("why").textContent = without();
  $("all").hidden = false;
  corners = [0, 1, 2].map((number) => ({ seed: seed(), number }));
  refresh();
  if (able.latents) move(pad.u, pad.v);
}

/** Everything that is shown, anew. */
function refresh() {
  if (!able) return; // as soon as the run is open
  version += 1;
  showSamples();
  showChosen();
  if (able.latents) useCorners([...corners]);
}

const anew = () => Math.floor(Math.random() * 1e6);

function listen() {
  $("run").addEventListener("change", () => open($("run").value).catch(failed));
  $("label").addEventListener("change", refresh);
  $("text").addEventListener("change", () => {
    told = $("text").value.trim();
    refresh();
  });
  $("truncation").addEventListener("input", () => {
    $("truncation-now").textContent = Number($("truncation").value).toFixed(2);
    refresh();
  });
  $("seed").addEventListener("change", () => {
    $("seed").value = seed();
    [first, chosen] = [0, { seed: seed(), number: 0 }];
    showSamples();
    showChosen();
  });
  $("dice").addEventListener("click", () => {
    $("seed").value = anew();
    $("seed").dispatchEvent(new Event("change"));
  });
  $("before").addEventListener("click", () => ((first = Math.max(0, first - MANY)), showSamples()));
  $("after").addEventListener("click", () => ((first += MANY), showSamples()));
  for (const button of $("put").querySelectorAll("button")) {
    button.addEventListener("click", () => useCorners(corners.map((old, k) => (k === Number(button.dataset.corner) ? chosen : old))));
  }
  for (const name of ["u", "v"]) {
    $(name).addEventListener("input", () => {
      pad.place(Number($("u").value), Number($("v").value));
      move(pad.u, pad.v);
    });
  }
  $("level").addEventListener("input", () => {
    $("level-now").textContent = `${Math.round(100 * Number($("level").value))} %`;
    showMixed();
  });
  $("three").addEventListener("click", () => {
    const other = anew();
    useCorners([0, 1, 2].map((number) => ({ seed: other, number })));
  });
  $("film").addEventListener("click", async () => {
    $("film").disabled = true;
    try {
      save(await ask("film", { spots: corners, frames: 60, label: classBetween() }), file("walk"));
    } catch (error) {
      say(error);
    }
    $("film").disabled = false;
  });
}

function failed(error) {
  $("all").hidden = true;
  $("facts").textContent = "";
  say(error);
}

async function begin() {
  listen();
  $("facts").textContent = "Loading, which takes a few seconds the first time …";
  runs = await get("/api/play");
  $("facts").textContent = "";
  $("none").hidden = runs.length > 0;
  fill($("run"), runs.length ? runs.map((one) => [one.id, one.name]) : [["", "none yet"]]);
  $("run").disabled = !runs.length;
  const wanted = asked();
  if (runs.length) await open(wanted ?? runs[0].id);
  if (wanted && wanted !== run?.id) say("The run of this address makes no samples (any longer).");
}

begin().catch(failed);
