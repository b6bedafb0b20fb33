// Studies: what there is, a new one, and what one found while answers come in.

import { events, get, post, say } from "./api.js";
import { drawn } from "./study_result.js";

const $ = (id) => document.getElementById(id);
const count = (many, one) => `${many.toLocaleString("en")} ${one}${many === 1 ? "" : "s"}`;

function made(tag, text, name) {
  const one = document.createElement(tag);
  if (text !== undefined) one.textContent = text;
  if (name) one.className = name;
  return one;
}

let open = null; // the study that is shown
let stream = null;

// ── the list ────────────────────────────────────────────────────────────────────────────────────────────────────────

async function list() {
  const studies = await get("/api/study");
  $("none").hidden = studies.length > 0;
  if (!studies.length) $("new").open = true;
  $("list").replaceChildren(...studies.map((study) => {
    const button = made("button");
    button.type = "button";
    button.append(made("span", study.title), made("span", subtitle(study), study.trouble ? "bad" : "soft"));
    button.dataset.id = study.id;
    button.addEventListener("click", () => { location.hash = study.id; });
    const item = made("li");
    item.append(button);
    return item;
  }));
  current();
  return studies;
}

const subtitle = (study) => study.trouble ?? `${study.name} · ${count(study.raters, "rater")}, ${count(study.votes, "answer")}`;

function current() {
  for (const button of $("list").querySelectorAll("button")) {
    button.setAttribute("aria-current", String(button.dataset.id === open));
  }
}

// ── one study ───────────────────────────────────────────────────────────────────────────────────────────────────────

async function show(id) {
  stream?.close();
  stream = null;
  open = id;
  current();
  $("one-study").hidden = !id;
  $("nothing").hidden = Boolean(id);
  if (!id) return;
  const study = await get(`/api/study/${id}`);
  if (open !== id) return;
  $("study-title").textContent = study.title;
  $("about").textContent = about(study);
  $("take").href = `/take/${id}`;
  $("csv").href = `/api/study/${id}/export/csv`;
  $("json").href = `/api/study/${id}/export/json`;
  $("serve").textContent = `SPARRING_PASSWORD=… sparring study serve ${study.place} --host 0.0.0.0`;
  $("rules").replaceChildren(...study.rules.map((rule) => made("li", rule)));
  $("result").replaceChildren();
  pictures(study);
  tiles(study, study.counts);
  let seen = -1;
  let busy = false;
  const update = async (counts) => {
    tiles(study, counts);
    if (busy || counts.votes === seen) return;
    busy = true;
    seen = counts.votes;
    try {
      const { result } = await get(`/api/study/${id}/result`);
      if (open === id) $("result").replaceChildren(...drawn(result));
    } catch (error) {
      say(error);
    }
    busy = false;
  };
  stream = events(`/api/study/${id}/events`, update);
}

function about(study) {
  const made = study.models.map((model) => model.name + (model.images ? ` after ${model.images.toLocaleString("en")} images` : ""));
  const time = study.seconds === null ? "pictures stay until the answer" : `pictures are seen for ${study.seconds} s`;
  return `“${study.question}” Made by ${made.join(", ")}. A person answers ${study.asked}; ${time}.`;
}

function tiles(study, counts) {
  const all = [["people began", counts.raters], ["finished", counts.finished], ["answers, practice and catch trials too", counts.votes]];
  $("tiles").replaceChildren(...all.map(([name, value]) => {
    const tile = made("div");
    tile.append(made("dt", name), made("dd", value.toLocaleString("en")));
    return tile;
  }));
}

function pictures(study) {
  const names = { real: "Real", ...Object.fromEntries(study.models.map((model) => [model.letter, `Made by ${model.name}`])) };
  const rows = Object.entries(names).filter(([of]) => study.shown[of]).flatMap(([of, name]) => {
    const strip = made("div", undefined, "strip");
    strip.append(...study.shown[of].map((picture, k) => {
      const image = made("img", undefined, "pixels");
      image.src = `/api/study/${study.id}/picture/${picture}`;
      image.alt = `${name}, picture ${k + 1}`;
      image.loading = "lazy";
      return image;
    }));
    return [made("h3", name, of === "real" ? "real" : "made"), strip];
  });
  $("pictures").replaceChildren(...rows, ...study.remarks.map((remark) => made("p", remark, "soft")));
}

// ── a new one ───────────────────────────────────────────────────────────────────────────────────────────────────────

async function choices() {
  const { runs, data } = await get("/api/study/choices");
  $("runs").replaceChildren(...runs.map((run) => {
    const line = made("div");
    const box = made("input");
    box.type = "checkbox";
    box.value = run.id;
    box.id = `run-${run.id}`;
    const label = made("label", run.name);
    label.htmlFor = box.id;
    line.append(box, label);
    return line;
  }));
  if (!runs.length) $("runs").append(made("p", "No run here makes pictures yet. Train one on the page Runs first.", "soft"));
  for (const [kind, all] of [["run", runs], ["data", data]]) {
    for (const one of all) {
      const option = made("option", kind === "run" ? `what was held out of the data of ${one.name}` : one.name);
      option.value = one.id;
      $("real").append(option);
    }
  }
  fit();
}

const chosen = () => [...$("runs").querySelectorAll("input:checked")].map((box) => box.value);

/** Fields that mean nothing for this kind of study are not there. */
function fit() {
  const protocol = $("protocol").value;
  $("real-field").hidden = protocol === "preference";
  $("one-field").hidden = chosen().length < 2;
  $("make").disabled = chosen().length < (protocol === "preference" ? 2 : 1);
}

$("protocol").addEventListener("change", () => {
  $("seconds").value = $("protocol").value === "paired" ? "1" : "";
  fit();
});
$("runs").addEventListener("change", fit);

$("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const number = (id) => Number($(id).value);
  const asked = {
    runs: chosen(), protocol: $("protocol").value, title: $("title").value.trim(), trials: number("trials"),
    practice: number("practice"), catch: number("catch"), seed: number("seed"),
    seconds: $("seconds").value === "" ? null : number("seconds"), one_each: $("one").checked && chosen().length > 1,
  };
  if ($("real").value && asked.protocol !== "preference") asked.real = $("real").value;
  $("make").disabled = true;
  say("Drawing the pictures of the study …");
  try {
    const { id } = await post("/api/study/new", asked);
    await list();
    $("new").open = false;
    say("The study is ready.");
    location.hash = id;
    $("study-title").focus();
  } catch (error) {
    say(error);
  }
  fit();
});

const from = () => show(location.hash.slice(1)).catch((error) => { say(error); $("one-study").hidden = true; });
addEventListener("hashchange", from);
list()
  .then((studies) => {
    if (!location.hash && studies.length && !studies[0].trouble) location.replace(`#${studies[0].id}`);
    else from();
  })
  .catch(say);
choices().catch(say);
