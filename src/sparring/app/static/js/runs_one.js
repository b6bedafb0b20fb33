// One run: how it stands, what the doctor says, its samples over time, charts, what happened, its log.

import { get, picture, post, say } from "/static/js/api.js";
import { Charts } from "/static/js/runs_charts.js";
import { ago, far, fill, live, make, marked, measured, newKey, pace, pill, progress, short, standing, whole } from "/static/js/runs_parts.js";

const MORE = [["", "as planned"], ["+5m", "5 more minutes"], ["+20m", "20 more minutes"], ["+1h", "one more hour"], ["+8h", "eight more hours"], ["+100k", "100k more images"]];
const NOTES = { points: "Blue: samples, from the same latents each time. Orange: the data, where the samples leave them visible.", images: "From the same latents each time, so that one sees the same picture come into being." };
const TONES = { fine: "good", note: "noted", warn: "warning", hard: "error" };
const FIRST = 4; // charts of the game that are shown at once
const EVERY = 2500; // milliseconds between two looks at all of a run
const AGAIN = 10000; // milliseconds until it is judged again, where that failed

/** Show a run in `view`; returns what ends it. */
export function oneRun(view, id) {
  const parts = {};
  for (const name of ["head", "doctor", "samples", "game", "measured", "more", "story", "foot"]) parts[name] = make("section", { class: name });
  const left = make("div", { class: "left" }, parts.samples, parts.foot);
  const right = make("div", { class: "right" }, parts.doctor, parts.game);
  fill(view, parts.head, make("div", { class: "two" }, left, right), parts.measured, parts.more, parts.story);
  const charts = new Charts();
  const frames = new Frames(id, parts.samples);
  const head = new Head(id, parts.head);
  const state = { story: null, rest: {}, judged: "", version: "", looked: "", last: 0, timer: 0, looking: false, judging: false, asked: 0, ended: false };

  async function look() {
    state.timer = 0;
    if (state.ended || state.looking) return;
    state.looking = true;
    state.last = Date.now();
    try {
      const story = await get(`/api/runs/${id}`);
      if (state.ended) return;
      state.story = story;
      state.looked = story.version;
      draw();
      judge();
    } catch (error) {
      if (error.status === 404) gone();
      else say(error);
    } finally {
      state.looking = false;
      if (!state.ended && state.version !== state.looked && !state.timer) state.timer = setTimeout(look, EVERY);
      view.setAttribute("aria-busy", "false");
    }
  }

  /** What of a run its verdicts depend on. */
  const judgeable = (story) => `${story.state} ${story.version.split("-").slice(1).join("-")}`;

  /** The verdicts, anew when something was measured, happened or ended. The charts do not wait for them. */
  async function judge() {
    const now = judgeable(state.story);
    if (now === state.judged || state.judging || state.ended || !state.story.charts.length) return;
    if (!state.judged) fill(parts.doctor, ...waiting("It reads the log …"));
    clearTimeout(state.asked);
    state.judging = true;
    let wait = EVERY;
    try {
      const found = await get(`/api/runs/${id}/verdicts`);
      if (state.ended) return;
      state.rest = found.equilibrium ?? {};
      const open = parts.doctor.querySelector("details")?.open ?? false;
      fill(parts.doctor, verdicts(found, state.story));
      if (open) parts.doctor.querySelector("details")?.setAttribute("open", "");
      head.lead(found.sentence ?? "");
      draw();
      state.judged = now;
    } catch (error) {
      wait = AGAIN;
      if (!state.judged) fill(parts.doctor, ...waiting(`It could not judge this run: ${error.what ?? error.message}. It will be asked again.`));
    } finally {
      state.judging = false;
    }
    if (judgeable(state.story) !== state.judged) state.asked = setTimeout(judge, wait); // it failed, or the run went on
  }

  function draw() {
    const { story } = state;
    document.title = `${story.name} · sparring`;
    head.show(story);
    frames.show(story);
    const marks = { backs: story.backs, best: story.best?.images };
    const drawn = (some) => charts.show(some, story.unit, story.span, marks, state.rest);
    const game = story.charts.filter((chart) => chart.group === "game");
    const more = story.charts.filter((chart) => chart.group === "more");
    chartsIn(parts.game, "The game", drawn(game.slice(0, FIRST)));
    chartsIn(parts.measured, "What was measured", drawn(story.charts.filter((chart) => chart.group === "measured")), story.best ? "The green line is the best checkpoint." : "");
    chartsIn(parts.more, "More curves", drawn([...game.slice(FIRST), ...more]), "", true);
    story_(parts.story, story);
    fill(parts.foot, facts(story));
  }

  /** Nothing can be done here: the run was removed, or the link is wrong. */
  function gone() {
    if (state.ended) return;
    close();
    document.title = "No such run · sparring";
    fill(view, make("section", { class: "card hello" }, make("h2", { text: "No such run" }),
      make("p", { role: "status", text: "There is no such run (any longer)." }), make("a", { class: "button", href: "#", text: "All runs" })));
    view.setAttribute("aria-busy", "false");
  }

  const end = live(`/api/live/${id}`, (row) => {
    if (state.ended) return;
    if (row.state === "gone") return gone();
    if (state.story) head.show(state.story = { ...state.story, ...row });
    if (row.version === state.version) return;
    state.version = row.version;
    if (state.timer || state.looked === row.version) return; // a look is coming, or saw it
    state.timer = setTimeout(look, Math.max(0, state.last + EVERY - Date.now()));
  });
  function close() {
    if (state.ended) return;
    state.ended = true;
    clearTimeout(state.timer);
    clearTimeout(state.asked);
    end();
    charts.end();
    frames.end();
  }
  look(); // also where no event comes: of a run that is not there
  return close;
}

function chartsIn(place, title, elements, note = "", folded = false) {
  place.hidden = !elements.length;
  const grid = place.querySelector(".charts");
  if (grid) {
    if (elements.some((element, k) => grid.children[k] !== element) || grid.children.length !== elements.length) grid.replaceChildren(...elements);
    return;
  }
  const inside = make("div", { class: "charts" }, ...elements);
  const heading = make("h2", { text: title });
  if (folded) return fill(place, make("details", {}, make("summary", {}, heading), inside));
  fill(place, heading, note ? make("p", { class: "soft", text: note }) : null, inside);
}

// ── the head ────────────────────────────────────────────────────────────────────────────────────────────────────

/** Name, state, progress, and what can be done. */
class Head {
  constructor(id, place) {
    this.id = id;
    this.key = newKey();
    this.more = make("select", { "aria-label": "How much longer" }, ...MORE.map(([value, text]) => make("option", { value, text })));
    this.stop = make("button", { type: "button", text: "Stop (saves)", onclick: () => this.ask("stop", {}) });
    this.resume = make("button", { type: "button", class: "main", text: "Resume", onclick: () => this.ask("resume", { budget: this.more.value, key: this.key }) });
    this.forget = make("button", { type: "button", text: "Remove from the list", onclick: () => this.ask("forget", {}) });
    this.report = make("a", { class: "button", href: `/runs/${id}/report`, target: "_blank", rel: "noopener", text: "Report" });
    this.use = make("a", { class: "button" });
    this.title = make("h2");
    this.told = make("div", { class: "row tight" });
    this.bar = make("div", { class: "bar" });
    this.numbers = make("div", { class: "row numbers" });
    this.why = make("p", { class: "why" });
    this.sentence = make("p", { class: "soft small" });
    this.stop.hidden = this.resume.hidden = this.more.hidden = this.forget.hidden = this.report.hidden = this.use.hidden = true; // until it is known how it stands
    const back = make("a", { href: "#", text: "All runs" });
    place.classList.add("card");
    fill(place, make("nav", { class: "small", "aria-label": "Up" }, "← ", back),
      make("div", { class: "row" }, this.title, this.told, make("span", { class: "space" }), this.stop, make("span", { class: "row tight" }, this.more, this.resume), this.forget, this.use, this.report),
      this.bar, this.numbers, this.why, this.sentence);
  }

  lead(text) {
    this.sentence.textContent = text;
  }

  async ask(what, body) {
    this.stop.disabled = this.resume.disabled = this.forget.disabled = true;
    try {
      await post(`/api/runs/${this.id}/${what}`, body);
      if (what === "forget") location.hash = "";
      if (what === "stop") say("It saves, then it ends.");
      if (what === "resume") say("It begins: the data are read again first.");
    } catch (error) {
      say(error);
    } finally {
      this.key = newKey();
      this.stop.disabled = this.resume.disabled = this.forget.disabled = false;
    }
  }

  show(row) {
    const busy = row.state === "training" || row.state === "starting";
    const there = row.planned > 0;
    if (this.state && this.state !== row.state) say(""); // what was announced has come
    this.state = row.state;
    this.title.textContent = row.name;
    fill(this.told, pill(row));
    this.stop.hidden = !busy || !row.pid;
    this.stop.disabled = row.stopping;
    this.stop.textContent = row.stopping ? "Stopping …" : "Stop (saves)";
    this.resume.hidden = this.more.hidden = busy || !there || !row.kept;
    this.resume.textContent = row.images >= row.planned ? "Train longer" : "Resume";
    this.more.options[0].hidden = this.more.options[0].disabled = row.images >= row.planned;
    if (row.images >= row.planned && this.more.value === "") this.more.value = "+5m";
    this.forget.hidden = busy || there;
    this.report.hidden = !there;
    this.use.hidden = !row.kept || !row.samples.length;
    this.use.href = `/${row.translates ? "translate" : "play"}?run=${this.id}`;
    this.use.textContent = row.translates ? "Translate with it" : "Play with it";
    fill(this.bar, progress(row));
    const numbers = standing(row);
    if (numbers.length) numbers.unshift(make("span", { class: "soft", text: "latest:", title: "the last line of its log; the curves average neighbouring lines" }));
    const [images, when] = [far(row), pace(row)];
    fill(this.numbers, images ? make("span", { text: images }) : null, when ? make("span", { class: "soft", text: when }) : null, measured(row.measure), ...numbers);
    const lost = there && !busy && !row.kept ? "No checkpoint is left, so nothing can be gone on with." : "";
    this.why.textContent = [row.why, lost].filter(Boolean).join(" · ");
    this.why.hidden = !this.why.textContent;
    this.why.classList.toggle("bad", row.state === "failed");
  }
}

// ── samples over time ───────────────────────────────────────────────────────────────────────────────────────────

/** The sample grids with a slider; at its end it goes along with the run. */
class Frames {
  constructor(id, place) {
    this.id = id;
    this.place = place;
    this.list = [];
    this.kept = new Map();
    this.image = make("img", { class: "grid", alt: "", onload: () => this.image.classList.toggle("pixels", this.image.naturalWidth < this.image.clientWidth) });
    this.slider = make("input", { type: "range", min: 0, max: 0, value: 0, "aria-label": "Moment of the samples", oninput: () => this.turn(Number(this.slider.value)) });
    this.where = make("output");
    this.play = make("button", { type: "button", text: "Play", onclick: () => this.run() });
    this.note = make("p", { class: "soft small" });
    this.others = make("div", { class: "others" });
    fill(place, make("h2", { text: "Samples" }), make("div", { class: "card" }, this.image, make("div", { class: "row slide" }, this.play, this.slider, this.where), this.note), this.others);
    place.hidden = true;
  }

  show(story) {
    this.unit = story.unit;
    const follow = !this.list.length || Number(this.slider.value) >= this.list.length - 1;
    this.list = story.samples;
    this.place.hidden = !this.list.length;
    if (!this.list.length) return;
    this.slider.max = this.list.length - 1;
    this.play.disabled = this.list.length < 2;
    this.note.textContent = story.translates ? "What is given, what G makes of it, and the truth: the same held-out pictures each time." : NOTES[story.unit];
    if (follow && !this.timer) this.turn(this.list.length - 1);
    const names = { game: "The game from above", walk: "A walk through latent space", pairs: "Pairs that it is trained on", neighbours: "Samples beside their nearest training images" };
    if (this.others.childElementCount !== story.pictures.length) {
      fill(this.others, ...story.pictures.map((name) => make("figure", { class: "card" }, make("figcaption", { class: "soft small", text: names[name] }),
        make("img", { class: "pixels", src: `/api/runs/${this.id}/picture/${name}`, alt: names[name], loading: "lazy" }))));
    }
  }

  /** Show a moment; of several that are asked for quickly, the last one. */
  async turn(k) {
    this.slider.value = k;
    const images = this.list[k];
    const text = `${whole(images)} ${this.unit}`;
    this.where.textContent = text;
    this.slider.setAttribute("aria-valuetext", text);
    this.wanted = images;
    try {
      const address = await this.address(images);
      if (this.wanted === images && this.image.src !== address) {
        this.image.src = address;
        this.image.alt = `Samples after ${text}`;
      }
    } catch (error) {
      if (this.wanted === images) say(error);
    }
  }

  async address(images) {
    if (!this.kept.has(images)) {
      this.kept.set(images, picture(`/api/runs/${this.id}/grid/${images}`));
      this.kept.get(images).catch(() => this.kept.delete(images));
      while (this.kept.size > 80) {
        const [first, old] = this.kept.entries().next().value;
        this.kept.delete(first);
        old.then(URL.revokeObjectURL, () => {});
      }
    }
    return this.kept.get(images);
  }

  run() {
    if (this.timer) return this.halt();
    this.play.textContent = "Pause";
    let k = Number(this.slider.value) >= this.list.length - 1 ? 0 : Number(this.slider.value);
    const step = async () => {
      await this.turn(k);
      if (++k >= this.list.length) return this.halt();
      this.timer = setTimeout(step, 280);
    };
    this.timer = 1;
    step();
  }

  halt() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.play.textContent = "Play";
  }

  end() {
    this.halt();
    for (const one of this.kept.values()) one.then(URL.revokeObjectURL, () => {});
  }
}

// ── what is concluded, and what happened ────────────────────────────────────────────────────────────────────────

const doctors = () => make("h2", { text: "What the doctor says" });
const waiting = (text) => [doctors(), make("p", { class: "soft", text })];

/** The doctor's verdicts in plain words, the most serious first, with what it measured. */
function verdicts(found, story) {
  const capital = (text) => text.slice(0, 1).toUpperCase() + text.slice(1);
  const boxes = found.verdicts.map((one) => {
    const sure = one.level === "fine" ? "" : [one.sure, one.since > 0 ? `since ${short(one.since)} ${story.unit}` : ""].filter(Boolean).join(", ");
    return make("li", { class: `verdict card ${TONES[one.level] ?? "noted"}` },
      make("h3", { text: capital(one.title) }, sure ? make("span", { class: "soft small", text: ` ${sure}` }) : null, " ", make("code", { class: "code", "aria-hidden": "true", text: one.code })),
      make("p", {}, ...marked(`${capital(one.seen)}.`), one.means ? [" ", ...marked(one.means)] : ""),
      one.advice ? make("p", {}, make("b", { text: "Try " }), ...marked(`${one.advice}.`)) : null);
  });
  if (!boxes.length) {
    const told = found.unjudged || "It has not begun yet.";
    boxes.push(make("li", { class: "verdict card noted" }, make("h3", { text: "Not judged yet" }), make("p", { text: told })));
  }
  const rows = found.table.map(([what, now, fine]) => make("tr", {}, make("th", { scope: "row", text: capital(what) }), make("td", { text: now }), make("td", { class: "soft", text: fine })));
  const head = make("thead", {}, make("tr", {}, make("td"), make("th", { scope: "col", text: "now" }), make("th", { scope: "col", text: "healthy" })));
  const table = rows.length ? make("details", {}, make("summary", { text: `In numbers, ${found.looked}` }), make("div", { class: "scroll", tabindex: "0" }, make("table", {}, head, make("tbody", {}, ...rows)))) : null;
  const advice = [["When to stop", found.stop], ["Checkpoint", found.checkpoint]].filter(([, text]) => text && story.state !== "starting");
  return [
    doctors(),
    make("ul", { class: "plain" }, ...boxes),
    make("dl", { class: "advice small" }, ...advice.flatMap(([name, text]) => [make("dt", { text: name }), make("dd", {}, ...marked(text))])),
    table,
  ];
}

function story_(place, story) {
  const open = place.querySelector("details.console")?.open;
  const alarms = story.alarms.slice(-30).reverse().map((told) => make("li", {}, make("span", { class: "soft", text: `${whole(told.images)} ` }), told.message, " ", make("code", { class: "code", text: told.code })));
  const troubles = story.troubles.length ? make("div", { class: "card verdict warning" }, make("h3", { text: "Not everything could be read" }), make("ul", {}, ...story.troubles.map((text) => make("li", { text })))) : null;
  const before = place.querySelector("pre.log");
  const reading = before && before.scrollTop < before.scrollHeight - before.clientHeight - 4 ? before.scrollTop : null; // somebody has scrolled up
  const log = make("pre", { class: "log", tabindex: "0", "aria-label": "The end of its log", text: story.log.join("\n") });
  const said = story.console.length ? make("details", { class: "console" }, make("summary", { text: "What its process says" }), make("pre", { class: "log", tabindex: "0", "aria-label": "What its process says", text: story.console.join("\n") })) : null;
  if (said) said.open = open ?? (story.state === "failed" || story.state === "starting");
  fill(place, troubles,
    alarms.length ? make("h2", { text: "What happened on the way" }) : null, alarms.length ? make("ul", { class: "card alarms small" }, ...alarms) : null,
    story.log.length ? make("h2", { text: "Log" }) : null, story.log.length ? log : null, said);
  log.scrollTop = reading ?? log.scrollHeight;
  if (said) said.lastChild.scrollTop = said.lastChild.scrollHeight;
}

function facts(story) {
  if (!story.facts.length) return null; // it is only beginning
  const rows = [...story.facts, ["Written", ago(story.touched)]];
  return make("dl", { class: "facts card small" }, ...rows.flatMap(([name, value]) => [make("dt", { text: name }), make("dd", { text: typeof value === "number" ? whole(value) : value })]));
}
