// The page of all runs: a list that lives; one run (#run=ID); a new run (#new).

import { post, say } from "/static/js/api.js";
import { oneRun } from "/static/js/runs_one.js";
import { newRun } from "/static/js/runs_new.js";
import { far, fill, live, make, measured, newKey, pace, pill, progress, spark, standing } from "/static/js/runs_parts.js";

const view = document.querySelector("#view");
const BLANK = { starting: "reading", training: "to come" }; // where there is no picture yet
let leave = () => {};

/** What a run is, in a line. */
function about(row) {
  const shape = row.unit === "points" ? "points" : row.shape.slice(1).reverse().join("×");
  return [row.recipe, row.data, shape].filter(Boolean).join(" · ");
}

function thumb(row) {
  const image = make("img", { class: row.unit === "images" && !row.translates ? "thumb pixels near" : "thumb", alt: "", loading: "lazy", decoding: "async" });
  if (row.newest !== null) image.src = `/api/runs/${row.id}/grid/${row.newest}`;
  return make("span", { class: "thumb" }, row.newest === null ? make("span", { class: "soft", text: BLANK[row.state] ?? "no picture" }) : image);
}

function card(row) {
  const name = make("a", { class: "name", href: `#run=${row.id}`, text: row.name });
  return make("li", { class: `run card ${row.state}` },
    thumb(row),
    make("div", { class: "who" }, make("div", { class: "row tight" }, name, pill(row)), make("div", { class: "soft small", text: about(row) }), row.why ? make("div", { class: `small ${row.state === "failed" ? "bad" : "soft"} why`, text: row.why }) : null),
    make("div", { class: "far" }, progress(row), make("div", { class: "small", text: far(row) }), make("div", { class: "soft small", text: pace(row) })),
    make("div", { class: "what small" }, measured(row.measure), make("div", { class: "losses" }, ...standing(row).slice(0, 4))),
    make("div", { class: "curve" }, row.spark ? make("figure", {}, spark(row.spark), make("figcaption", { class: "soft", text: row.spark.label })) : null),
  );
}

async function demo(event) {
  event.target.disabled = true;
  try {
    location.hash = `run=${(await post("/api/demo", { key: newKey() })).id}`;
  } catch (error) {
    event.target.disabled = false;
    say(error);
  }
}

function empty() {
  return make("section", { class: "card hello" },
    make("h2", { text: "Nothing has been trained here yet" }),
    make("p", { text: "The demo trains a generator on 10,000 built-in pictures of clothes for about four minutes, on any machine and without a network. You can watch it from the first noise on." }),
    make("div", { class: "row" }, make("button", { class: "main", type: "button", text: "Start the demo", onclick: demo }), make("a", { class: "button", href: "#new", text: "Train on other data" })),
  );
}

/** All runs, live. Returns what ends it. */
function allRuns() {
  const rows = new Map();
  const cards = new Map();
  const list = make("ul", { class: "runs" });
  const count = make("p", { class: "soft", role: "status", text: "Reading the runs …" });
  const hunt = make("input", { type: "search", placeholder: "name, data, recipe", "aria-label": "Show only runs with this in their name, data or recipe", oninput: () => order() });
  const shown = make("div", {}, list);
  const head = make("div", { class: "row head" }, make("h2", { text: "Runs" }), count, make("span", { class: "space" }), hunt, make("a", { class: "button main", href: "#new", text: "New run" }));
  fill(view, head, shown);
  let ids = [];

  function order() {
    const wanted = hunt.value.trim().toLowerCase();
    const fits = (row) => !wanted || `${row.name} ${row.data} ${row.recipe}`.toLowerCase().includes(wanted);
    const kept = ids.filter((id) => rows.has(id) && fits(rows.get(id)));
    const elements = kept.map((id) => cards.get(id));
    if (elements.some((element, k) => list.children[k] !== element) || list.children.length !== elements.length) list.replaceChildren(...elements);
    const busy = ids.filter((id) => rows.get(id)?.state === "training").length;
    count.textContent = ids.length ? `${ids.length} run${ids.length > 1 ? "s" : ""}${busy ? `, ${busy} in training` : ""}` : "";
    head.hidden = ids.length === 0;
    fill(shown, ids.length ? list : empty());
  }

  const end = live("/api/live", ({ runs, order: now }) => {
    view.setAttribute("aria-busy", "false");
    for (const row of runs) {
      rows.set(row.id, row);
      const fresh = card(row);
      const old = cards.get(row.id);
      const focused = old?.contains(document.activeElement);
      const image = old?.querySelector("img.thumb");
      if (image && image.getAttribute("src") === fresh.querySelector("img.thumb")?.getAttribute("src")) fresh.querySelector("img.thumb").replaceWith(image);
      cards.set(row.id, fresh);
      old?.replaceWith(fresh);
      if (focused) fresh.querySelector("a").focus({ preventScroll: true });
    }
    ids = now;
    order();
  });
  return end;
}

function show() {
  if (location.hash === "#main") return; // the link to skip the navigation
  leave();
  say("");
  view.setAttribute("aria-busy", "true");
  const run = /^#run=([0-9a-f]{16})$/.exec(location.hash)?.[1];
  document.title = "Runs · sparring";
  leave = run ? oneRun(view, run) : location.hash === "#new" ? newRun(view) : allRuns();
}

window.addEventListener("hashchange", () => {
  show();
  if (location.hash !== "#main") scrollTo(0, 0);
});
show();
