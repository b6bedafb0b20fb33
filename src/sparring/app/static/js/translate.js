// A sketch that is answered while one draws, and pictures of one's own before and after.

import { get, picture, say, upload } from "./api.js";
import { asked, bitmap, fill, latest, plain, put, remember, thousands } from "./latest.js";
import { Sketch, hex, rgb } from "./sketch.js";

const $ = (id) => document.getElementById(id);

let runs = [];
let run;
let able;
let version = 0; // of run and way: what was asked for an older one is not shown
let number = 0; // of the example
let seed = 0;
let own; // the picture of one's own that is shown

const back = () => $("way").value === "back";
const given = () => (back() ? able.made : able.given);
const made = () => (back() ? able.given : able.made);
const address = (size) =>
  `/api/translate/${run.id}/picture?size=${size}&back=${back()}&noise=${$("noise").checked}&seed=${seed}`;

// ── the sketch ───────────────────────────────────────────────────────────────────────────────────────────────

const sketch = new Sketch($("sketch"), $("tip"), () => answer(), (can) => ($("undo").disabled = !can));

const answer = latest(async () => {
  const of = run;
  const sheet = await sketch.png(given().legend.length && given().values.length ? asNumbers : undefined);
  const start = performance.now();
  const blob = await upload(address("own"), sheet);
  if (of !== run) return;
  await put(blob, $("answer"), $("answer-file"), `${plain(run.name)}-sketch.png`);
  $("took").textContent = `${Math.round(performance.now() - start)} ms`;
  $("answered").hidden = false;
}, (error) => {
  $("answered").hidden = error !== ""; // it would be taken for what becomes of the sketch of now
  say(error, $("sketch-wrong"));
});

const tone = (pixels, at) => (pixels[at] << 16) | (pixels[at + 1] << 8) | pixels[at + 2];
const toneOf = ([r, g, b]) => (r << 16) | (g << 8) | b;

/** Colours of classes become the numbers that stand for them in files. */
function asNumbers(pixels) {
  const values = new Map(given().colours.map((colour, k) => [toneOf(colour), given().values[k]]));
  for (let at = 0; at < pixels.length; at += 4) pixels.fill(values.get(tone(pixels, at)) ?? given().values[0], at, at + 3);
}

/** Every pixel becomes a colour of a class: by its number where that is how files say it, else the nearest one. */
function asClasses(pixels) {
  const { colours, values } = given();
  const known = new Map(colours.map((colour) => [toneOf(colour), colour]));
  const byNumber = new Map(values.map((value, k) => [toneOf([value, value, value]), colours[k]]));
  for (let at = 0; at < pixels.length; at += 4) {
    const seen = tone(pixels, at);
    if (!known.has(seen)) known.set(seen, byNumber.get(seen) ?? nearest(colours, pixels.subarray(at, at + 3)));
    pixels.set(known.get(seen), at);
    pixels[at + 3] = 255;
  }
}

const apart = (a, b) => a.reduce((sum, level, k) => sum + (level - b[k]) ** 2, 0);
const nearest = (colours, pixel) => colours.reduce((best, one) => (apart(one, pixel) < apart(best, pixel) ? one : best));

const grey = () => given().channels === 1 && !given().legend.length;
const greyOf = ([r, g, b]) => Math.round(0.299 * r + 0.587 * g + 0.114 * b);

function asGreys(pixels) {
  for (let at = 0; at < pixels.length; at += 4) pixels.fill(greyOf(pixels.subarray(at, at + 3)), at, at + 3);
}

function paper() {
  const { legend, colours, background } = given();
  return hex(legend.length ? colours[0] : background);
}

function begin() {
  const [height, width] = able.size;
  sketch.begin(height, width, given().legend.length > 0, paper());
  const most = Math.max(4, Math.round(Math.max(height, width) / 5));
  $("size").max = most;
  setSize(given().legend.length ? Math.round(most / 3) : Math.max(1, Math.round(width / 40)));
  swatches();
  setColour(given().legend.length ? hex(given().colours[Math.min(1, given().colours.length - 1)]) : "#000000");
  setTool("pen");
}

function swatches() {
  const { legend, colours } = given();
  $("swatches").hidden = !legend.length;
  $("colour-field").hidden = legend.length > 0 || grey();
  $("grey-field").hidden = !grey();
  $("swatches").replaceChildren(
    ...legend.map((name, k) => {
      const button = document.createElement("button");
      const patch = document.createElement("i");
      button.type = "button";
      button.className = "swatch";
      button.dataset.colour = hex(colours[k]);
      patch.style.background = hex(colours[k]);
      button.append(patch, name);
      button.addEventListener("click", () => setColour(hex(colours[k])));
      return button;
    }),
  );
}

function setColour(colour) {
  sketch.colour = $("colour").value = colour;
  $("grey").value = greyOf(rgb(colour));
  for (const button of $("swatches").children) button.setAttribute("aria-pressed", String(button.dataset.colour === colour));
  if (sketch.tool === "eraser") setTool("pen");
}

function setTool(tool) {
  sketch.tool = tool;
  for (const button of document.querySelectorAll("[data-tool]")) button.setAttribute("aria-pressed", String(button.dataset.tool === tool));
}

function setSize(size) {
  sketch.size = $("size").value = Number(size);
  $("size-now").textContent = `${size} px`;
}

/** Draw a Blob, or what an <img> holds, on the sheet. */
async function show(picture) {
  const loaded = await bitmap(picture);
  sketch.load(loaded, given().legend.length ? asClasses : grey() ? asGreys : undefined);
  loaded.close();
}

/** Draw a file on the sheet, or say beside it why not. */
async function load(file) {
  if (!file) return;
  try {
    await show(file);
    say("", $("sketch-wrong"));
  } catch {
    say({ what: "this is no picture that the browser can read", fix: "a PNG or a JPEG" }, $("sketch-wrong"), file.name);
  }
}

async function example() {
  const at = version;
  const image = new Image();
  image.src = await picture(`/api/translate/${run.id}/example/${number}`);
  await image.decode();
  URL.revokeObjectURL(image.src);
  if (at === version) await show(image);
}

// ── a picture of one's own ───────────────────────────────────────────────────────────────────────────────────

const translate = latest(async () => {
  if (!own) return;
  const of = run;
  const ofFile = own;
  $("doing").textContent = "translating …";
  try {
    const start = performance.now();
    const blob = await upload(address($("scale").value), own);
    if (of !== run || ofFile !== own) return;
    say("", $("wrong"));
    const name = plain((own.name ?? "picture").replace(/\.[^.]*$/, ""));
    await Promise.all([put(own, $("before")), put(blob, $("after"), $("after-file"), `${name}-${plain(run.name)}.png`)]);
    $("result").hidden = false;
    const { naturalWidth: width, naturalHeight: height } = $("after");
    $("doing").textContent = `${width} × ${height} pixels in ${((performance.now() - start) / 1000).toFixed(1)} s.${far(Math.min(width, height))}`;
  } catch (error) {
    if (of !== run || ofFile !== own) return;
    forget();
    say(error, $("wrong"), own.name ?? "");
  }
});

/** What to tell a person whose picture is of quite another size than the run was trained at; "" else. */
function far(side) {
  const trained = Math.min(...able.size);
  const ratio = side / trained;
  if (ratio > 0.25 && ratio < 4) return "";
  const seen = ` The run was trained at ${trained} pixels`;
  if ($("scale").value !== "train") return `${seen}: at the size of training it may do better.`;
  return ratio < 1 ? `${seen}: in one so much smaller there is little to translate.` : `${seen}: this was made at that size, and enlarged.`;
}

function take(file) {
  if (!file) return;
  own = file;
  forget();
  $("doing").textContent = "translating …"; // and perhaps one before is not done yet
  translate();
}

/** Show nothing of an earlier picture. */
function forget() {
  $("result").hidden = true;
  $("doing").textContent = "";
  say("", $("wrong"));
}

function cut(share) {
  $("cut").value = share;
  $("compare").style.setProperty("--cut", `${share}%`);
}

// ── a run ────────────────────────────────────────────────────────────────────────────────────────────────────

function kind({ channels, legend }) {
  if (legend.length) return `label maps of ${legend.length} classes`;
  return { 1: "grey pictures", 3: "colour pictures", 4: "pictures with transparency" }[channels];
}

async function open(id) {
  run = runs.find((one) => one.id === id) ?? runs[0];
  const at = (version += 1);
  $("run").value = run.id;
  remember(run.id);
  $("facts").textContent = "Opening the run …";
  const found = await get(`/api/translate/${run.id}`);
  if (at !== version) return;
  [able, number, seed] = [found, 0, 0];
  const [a, b] = able.names;
  fill($("way"), [["", `${a} → ${b}`], ["back", `${b} → ${a}`]]);
  $("way-field").hidden = !able.back;
  $("noise-field").hidden = !able.noise;
  forget();
  say("", $("sketch-wrong"));
  $("all").hidden = false;
  await anew();
}

/** From the start, on this run and this way. */
async function anew() {
  const at = (version += 1);
  const [height, width] = able.size;
  $("facts").textContent = [
    run.recipe, `${kind(given())} into ${kind(made())}`, `trained at ${width} × ${height}`,
    `${thousands(able.images)} images seen`, ...able.remarks.map((remark) => remark.split(";")[0]),
  ].join(" · ");
  const small = Math.max(...able.size) <= 128;
  for (const id of ["answer", "sketch"]) $(id).classList.toggle("pixels", id === "sketch" ? given().legend.length > 0 : small);
  begin();
  $("example").hidden = back();
  if (back()) answer();
  else await example().catch(() => at === version && (($("example").hidden = true), answer())); // its data are gone
  if (at !== version) return;
  sketch.settle();
  if (!given().legend.length) translate(); // of what is no label map nothing can be made
}

function listen() {
  $("run").addEventListener("change", () => open($("run").value).catch(failed));
  $("way").addEventListener("change", () => anew().catch(say));
  for (const button of document.querySelectorAll("[data-tool]")) button.addEventListener("click", () => setTool(button.dataset.tool));
  $("size").addEventListener("input", () => setSize($("size").value));
  $("colour").addEventListener("input", () => setColour($("colour").value));
  $("grey").addEventListener("input", () => setColour(hex(Array(3).fill(Number($("grey").value)))));
  $("undo").addEventListener("click", () => sketch.undo());
  $("clear").addEventListener("click", () => sketch.clear());
  $("load").addEventListener("change", () => {
    load($("load").files[0]);
    $("load").value = "";
  });
  $("example").addEventListener("click", () => {
    number += 1;
    example().catch(say);
  });
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key === "z" && !event.target.matches("input")) {
      event.preventDefault();
      sketch.undo();
    }
  });
  const again = () => {
    $("dice").disabled = !$("noise").checked;
    answer();
    translate();
  };
  $("noise").addEventListener("change", again);
  $("dice").addEventListener("click", () => {
    seed = Math.floor(Math.random() * 2 ** 31);
    again();
  });
  listenToFiles();
}

function listenToFiles() {
  $("file").addEventListener("change", () => {
    take($("file").files[0]);
    $("file").value = "";
  });
  $("scale").addEventListener("change", () => translate());
  document.addEventListener("paste", (event) => take([...event.clipboardData.files].find((file) => file.type.startsWith("image/"))));
  for (const [place, taken] of [[$("drop"), take], [$("sheet"), load]]) {
    place.addEventListener("dragover", (event) => {
      event.preventDefault();
      place.classList.add("over");
    });
    place.addEventListener("dragleave", () => place.classList.remove("over"));
    place.addEventListener("drop", (event) => {
      event.preventDefault();
      place.classList.remove("over");
      taken(event.dataTransfer.files[0]);
    });
  }
  $("cut").addEventListener("input", () => cut($("cut").value));
  const follow = (event) => {
    const box = $("compare").getBoundingClientRect();
    cut(Math.min(100, Math.max(0, (100 * (event.clientX - box.left)) / box.width)));
  };
  $("compare").addEventListener("pointerdown", (event) => {
    event.preventDefault();
    $("compare").setPointerCapture(event.pointerId);
    follow(event);
  });
  $("compare").addEventListener("pointermove", (event) => $("compare").hasPointerCapture(event.pointerId) && follow(event));
}

function failed(error) {
  $("facts").textContent = "";
  say(error);
}

async function start() {
  listen();
  $("facts").textContent = "Loading, which takes a few seconds the first time …";
  runs = await get("/api/translate");
  $("facts").textContent = "";
  $("none").hidden = runs.length > 0;
  fill($("run"), runs.length ? runs.map((one) => [one.id, one.name]) : [["", "none yet"]]);
  $("run").disabled = !runs.length;
  const wanted = asked();
  if (runs.length) await open(wanted ?? runs[0].id);
  if (wanted && wanted !== run?.id) say("The run of this address turns no pictures into others (any longer).");
}

start().catch(failed);
