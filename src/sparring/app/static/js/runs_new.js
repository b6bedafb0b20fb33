// A new run: choose data, look at them first, then train.

import { get, post, say } from "/static/js/api.js";
import { fill, make, marked, newKey, whole } from "/static/js/runs_parts.js";

const BUDGETS = [["2m", "2 minutes"], ["5m", "5 minutes"], ["10m", "10 minutes"], ["30m", "30 minutes"], ["1h", "1 hour"], ["4h", "4 hours"], ["12h", "12 hours"], ["100k", "100k images"], ["1M", "1M images"]];
const TONES = { error: "error", warning: "warning", note: "noted" };

/** Show the form in `view`; returns what ends it. */
export function newRun(view) {
  const state = { key: newKey(), chosen: null, timer: 0, ended: false };
  const data = make("div", { class: "data" });
  const into = make("select", { id: "into" }, make("option", { value: "", text: "nothing: learn to make images like these" }));
  const look = make("button", { type: "submit", class: "main", text: "Look at it first", disabled: true });
  const report = make("section", { class: "preflight", "aria-live": "polite" });
  const choose = make("form", { class: "card" },
    make("fieldset", {}, make("legend", { text: "Data" }), data),
    make("div", { class: "row" }, make("label", { class: "field", for: "into" }, "Each image is turned into the one of the same name in", into), look));
  const train = trainForm(begin);
  train.hidden = true;
  fill(view, make("nav", { class: "small", "aria-label": "Up" }, "← ", make("a", { href: "#", text: "All runs" })), make("h2", { text: "A new run" }),
    make("ol", { class: "steps soft small" }, make("li", { text: "choose data" }), make("li", { text: "look at what is in it" }), make("li", { text: "train" })),
    choose, report, train);
  view.setAttribute("aria-busy", "false");

  choose.addEventListener("submit", (event) => {
    event.preventDefault();
    check();
  });
  choose.addEventListener("change", () => {
    state.chosen = choose.elements.data?.value || null;
    look.disabled = !state.chosen;
    clearTimeout(state.timer);
    report.replaceChildren();
    train.hidden = true;
  });

  const asked = () => ({ data: state.chosen, ...(into.value ? { into: into.value } : {}), key: newKey() });

  async function check() {
    look.disabled = true;
    train.hidden = true;
    fill(report, make("p", { class: "soft", text: "Looking at everything …" }));
    try {
      const { id } = await post("/api/checks", asked());
      await follow(id);
    } catch (error) {
      report.replaceChildren();
      say(error);
      look.disabled = false;
    }
  }

  async function follow(id) {
    const found = await get(`/api/checks/${id}`);
    if (state.ended) return;
    if (found.running) {
      fill(report, make("p", { class: "soft", text: found.said.filter((line) => !line.startsWith("$")).at(-1) ?? "Looking at everything …" }), make("progress", { "aria-label": "Looking at the data" }));
      state.timer = setTimeout(() => follow(id).catch(say), 700);
      return;
    }
    look.disabled = false;
    const usable = found.report && !found.report.refused;
    fill(report, found.report ? preflight(found.report, id) : refusal(found.said));
    train.hidden = !usable;
    if (usable) {
      const size = found.report.proposal?.choices?.find((one) => one.name === "size");
      train.elements.size.placeholder = size ? size.value : "as proposed";
      const recipe = found.report.proposal?.choices?.find((one) => one.name === "recipe");
      train.elements.recipe.options[0].textContent = recipe ? `as proposed: ${recipe.value}` : "as proposed";
      report.querySelector("h3")?.focus();
    }
  }

  async function begin() {
    const form = train.elements;
    const wish = { ...asked(), key: state.key, recipe: form.recipe.value, budget: form.budget.value, seed: Number(form.seed.value) || 0, name: form.name.value.trim() };
    if (form.size.value) wish.size = Number(form.size.value);
    form.start.disabled = true;
    try {
      location.hash = `run=${(await post("/api/runs", wish)).id}`;
    } catch (error) {
      form.start.disabled = false;
      state.key = newKey();
      say(error);
    }
  }

  get("/api/data").then(({ folders, built_in: builtIn }) => {
    if (state.ended) return;
    fill(data, group("Folders and files of yours", folders), group("Built in", builtIn));
    if (!folders.length) data.prepend(make("p", { class: "soft", text: "To train on folders of yours, start the app with them: sparring app RUNS --data FOLDER." }));
    into.append(...folders.map((one) => make("option", { value: one.id, text: one.name })));
    into.parentElement.hidden = folders.length < 2;
  }).catch(say);
  get("/api/recipes").then((recipes) => {
    for (const [name, what] of Object.entries(recipes)) train.elements.recipe.append(make("option", { value: name, text: `${name}: ${what}`.slice(0, 110) }));
  }).catch(say);
  return () => {
    state.ended = true;
    clearTimeout(state.timer);
  };
}

function group(title, rows) {
  if (!rows.length) return null;
  const options = rows.map((one) => {
    const kind = one.kind === "folder" && one.count ? `${whole(one.count)} images${one.count >= 2000 ? " or more" : ""}` : one.kind ?? "";
    return make("label", { class: "choice" }, make("input", { type: "radio", name: "data", value: one.id, required: true }),
      make("span", {}, make("b", { text: one.name }), make("span", { class: "soft small", text: ` ${[kind, one.more].filter(Boolean).join(", ")}` })));
  });
  return make("div", {}, make("h3", { text: title }), make("div", { class: "choices" }, ...options));
}

/** What the check found: the verdict, what to know, how it would be trained. */
function preflight(found, id) {
  const list = found.inspection?.findings ?? [];
  const findings = list.map((one) => make("li", { class: TONES[one.level] ?? "noted" }, ...marked(one.what), one.why ? make("span", { class: "soft", text: ` ${one.why}` }) : null,
    one.fix ? make("div", { class: "soft" }, "To mend it: ", ...marked(one.fix)) : null));
  const choices = (found.proposal?.choices ?? []).map((one) => make("tr", {}, make("th", { scope: "row", text: one.name }), make("td", {}, make("b", { text: one.value })), make("td", { class: "soft", text: one.why })));
  const counts = [["found", found.inspection?.found], ["usable", found.inspection?.usable], ["to train on", found.inspection?.used], ["held out", found.inspection?.held_out]]
    .filter(([, n]) => typeof n === "number").map(([name, n]) => make("span", {}, make("b", { text: whole(n) }), make("span", { class: "soft", text: ` ${name}` })));
  const tone = found.refused ? "error" : list.some((one) => one.level === "warning") ? "warning" : "good";
  return make("div", { class: `card verdict ${tone}` },
    make("div", { class: "row" }, make("h3", { text: found.verdict ?? "", tabindex: "-1" }), make("span", { class: "space" }), make("a", { class: "button", href: `/checks/${id}/report`, target: "_blank", rel: "noopener", text: "See it with pictures" })),
    make("p", { class: "row numbers" }, ...counts),
    findings.length ? make("ul", { class: "findings" }, ...findings) : null,
    choices.length ? make("div", { class: "scroll", tabindex: "0" }, make("table", {}, make("caption", { class: "soft", text: "How it would be trained" }), make("tbody", {}, ...choices))) : null,
    found.proposal?.note ? make("p", { class: "soft", text: found.proposal.note }) : null,
    found.proposal?.command?.length ? make("pre", { text: `$ ${found.proposal.command.join(" ")}` }) : null);
}

function refusal(said) {
  return make("div", { class: "card verdict error" }, make("h3", { text: "It could not be looked at", tabindex: "-1" }), make("pre", { text: said.filter((line) => !line.startsWith("$")).join("\n") }));
}

function trainForm(begin) {
  const field = (text, control) => make("label", { class: "field" }, text, control);
  const form = make("form", { class: "card" },
    make("div", { class: "row form" },
      field("Recipe", make("select", { name: "recipe" }, make("option", { value: "auto", text: "as proposed" }))),
      field("How long", make("select", { name: "budget" }, ...BUDGETS.map(([value, text]) => make("option", { value, text, selected: value === "10m" })))),
      field("Size in pixels", make("input", { name: "size", type: "number", min: 8, max: 2048, step: 1, placeholder: "as proposed" })),
      field("Seed", make("input", { name: "seed", type: "number", min: 0, max: 2147483647, step: 1, value: "0" })),
      field("Name", make("input", { name: "name", type: "text", maxlength: 64, pattern: "[A-Za-z0-9][A-Za-z0-9_\\-]*", placeholder: "that of the data", autocomplete: "off", spellcheck: "false" })),
      make("button", { name: "start", class: "main", type: "submit", text: "Train" })),
    make("p", { class: "soft small", text: "It trains in a process of its own and goes on when this page, or the app, is closed." }));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    begin();
  });
  return form;
}
