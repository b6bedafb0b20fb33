// A study as a person takes it: the instructions, practice with feedback, the trials, the own result.
// The server never says what is real before an answer is stored; this page knows pictures by random numbers alone.

import { decoded, expose, frames, period } from "/static/js/exposure.js";
import { Refused, ask, wait } from "/static/js/post.js";
import { KEYS, WORDS, after, lead, own, steps } from "/static/js/take_words.js";

const $ = (id) => document.getElementById(id);
const HOME = `/api/take/${location.pathname.split("/").pop()}`;
const FIXATION = 600; // milliseconds of a cross before the pictures
const REST = 20; // trials after which a pause is offered
const DAY = 86_400_000;
const SIDE = 256; // CSS pixels to which small pictures are enlarged, where there is room

const trouble = (text) => { $("trouble").textContent = text; };
const speak = (text) => { $("spoken").textContent = text; };

function screen(name) {
  for (const part of ["loading", "welcome", "trial", "between", "thanks"]) $(part).hidden = part !== name;
}

// ── what was pressed ────────────────────────────────────────────────────────────────────────────────────────────────

/** The one who waits for a key or a tap: {choose(index, moment), go(), tap() anywhere on the page} or nothing. */
let listener = {};
let resting = false; // a pause was asked for

document.addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  const choice = KEYS.findIndex((keys) => keys.includes(event.key.toLowerCase()));
  const onButton = event.target.closest?.("button, a");
  if (choice >= 0 && listener.choose) {
    event.preventDefault();
    listener.choose(choice, event.timeStamp);
  } else if (event.key.toLowerCase() === "p") {
    rest();
  } else if ((event.key === " " || event.key === "Enter") && listener.go && !onButton) {
    event.preventDefault();
    listener.go();
  }
});
for (const id of ["start", "on"]) $(id).addEventListener("click", () => listener.go?.());
$("rest").addEventListener("click", rest);
document.addEventListener("click", (event) => {
  if (!event.target.closest?.("#rest")) listener.tap?.();
});

function rest() {
  if ($("trial").hidden || resting) return;
  resting = true;
  $("rest").setAttribute("aria-pressed", "true");
  speak("A pause comes after this answer.");
}

const going = () => new Promise((go) => { listener = { go }; });

/** A screen with one button. Resolves when it is left. */
async function between(title, text) {
  $("between-title").textContent = title;
  $("between-text").textContent = text;
  screen("between");
  $("between-title").focus();
  await going();
  listener = {};
}

// ── one trial ───────────────────────────────────────────────────────────────────────────────────────────────────────

function canvases(pictures) {
  const gap = innerWidth < 480 ? 12 : 16;
  const room = ($("stage").clientWidth - gap * (pictures.length - 1)) / pictures.length;
  const high = Math.max(96, innerHeight * 0.5);
  return pictures.map((picture, at) => {
    const canvas = document.createElement("canvas");
    canvas.width = picture.width;
    canvas.height = picture.height;
    const most = Math.min(room / picture.width, high / picture.height);
    const scale = most >= 1 ? Math.floor(Math.min(most, Math.max(1, SIDE / Math.max(picture.width, picture.height)))) : most;
    canvas.style.width = `${picture.width * scale}px`;
    canvas.style.height = `${picture.height * scale}px`;
    canvas.classList.toggle("enlarged", scale > 1);
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", pictures.length === 1 ? "The picture" : ["Left picture", "Right picture"][at]);
    canvas.addEventListener("click", (event) => pictures.length > 1 && listener.choose?.(at, event.timeStamp));
    return canvas;
  });
}

/** Buttons of this study's answers; they stay the same from trial to trial. */
function choices(words) {
  $("choices").replaceChildren(...words.choices.map(({ label, key }, at) => {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-pressed", "false");
    const shown = document.createElement("kbd");
    shown.className = "keyboard";
    shown.textContent = key;
    button.append(label, " ", shown);
    button.addEventListener("click", (event) => listener.choose?.(at, event.timeStamp));
    return button;
  }));
}

function mark(pressed, open) {
  [...$("choices").children].forEach((button, at) => {
    button.setAttribute("aria-pressed", String(at === pressed));
    button.setAttribute("aria-disabled", String(!open));
    button.classList.remove("right", "wrong");
  });
}

/**
 * Show the pictures and wait for an answer. An answer while they can be seen counts, and does not shorten them.
 *
 * seconds: null shows them until the answer. Resolves to {choice, milliseconds from onset to answer, shown, and show() and hide() to have them once more}.
 */
async function look(pictures, seconds, frame) {
  const stage = $("pictures");
  const shown = canvases(pictures);
  shown.forEach((canvas) => { canvas.style.visibility = "hidden"; });
  stage.replaceChildren(...shown);
  $("cross").hidden = false;
  mark(-1, false);
  $("hint").className = "hint";
  $("hint").textContent = "";
  await frames(FIXATION);
  const show = () => {
    $("cross").hidden = true;
    shown.forEach((canvas, at) => {
      canvas.getContext("2d").drawImage(pictures[at], 0, 0);
      canvas.style.visibility = "visible";
    });
  };
  const hide = () => shown.forEach((canvas) => {
    canvas.style.visibility = "hidden";
    canvas.getContext("2d").clearRect(0, 0, canvas.width, canvas.height);
  });
  let moment = 0;
  const answered = new Promise((done) => {
    listener = {
      choose: (choice, pressed) => {
        if (!moment || pressed < moment) return;
        mark(choice, true);
        listener = {};
        done({ choice, milliseconds: Math.round(pressed - moment) });
      },
    };
  });
  const began = (now) => { moment = now; mark(-1, true); };
  if (seconds === null) {
    await expose({ show, hide: () => {}, milliseconds: 0, frame, began });
    const answer = await answered;
    hide();
    return { ...answer, shown: answer.milliseconds, show, hide };
  }
  const lasted = await expose({ show, hide, milliseconds: seconds * 1000, frame, began });
  speak("Your answer?");
  return { ...(await answered), shown: Math.round(lasted), show, hide };
}

/** Practice says how it was: the buttons show it, a line says it, and the pictures are there again. */
async function feedback(words, choice, said) {
  const truth = words.choices.findIndex(({ value }) => value === said.truth);
  const buttons = [...$("choices").children];
  buttons[choice].classList.add(said.right ? "right" : "wrong");
  if (truth >= 0) buttons[truth].classList.add("right");
  const text = `${said.right ? "Yes" : "Wrong"}. ${words.truth[said.truth] ?? ""}`.trim();
  $("hint").className = `hint ${said.right ? "good" : "bad"}`;
  $("hint").textContent = `${text} Space or tap to go on.`;
  speak(text);
  await wait(250); // a second press on the same key is no wish to go on
  await new Promise((go) => {
    listener = { go, choose: go, tap: go };
    $("go").hidden = false;
  });
  $("go").hidden = true;
  $("hint").textContent = "";
  listener = {};
}

// ── the whole ───────────────────────────────────────────────────────────────────────────────────────────────────────

/** Another tab was sooner: what it answered is not told here. Without a study there is nothing to say. */
function notice(study) {
  $("notice").textContent = study ? `This ${study.protocol === "single" ? "picture" : "pair"} was already answered, in another tab. Going on.` : "";
}

/** Pictures of a trial, decoded. A server that is away for a moment is waited for. */
async function ready(trial) {
  for (let tries = 0; ; tries++) {
    try {
      const pictures = await Promise.all(trial.images.map((id) => decoded(`${HOME}/picture/${id}`)));
      if (tries) trouble("");
      return pictures;
    } catch (error) {
      if (error.status && error.status < 500 && error.status !== 429) throw error;
      trouble("A picture does not come. Trying again …");
      await wait(Math.min(5000, 400 * 2 ** tries));
    }
  }
}

async function run(study, sheet) {
  const words = WORDS[study.protocol];
  choices(words);
  $("question").textContent = study.question;
  const frame = await period();
  const { total } = study;
  let next = ready(sheet.trials[0]);
  next.catch(() => {}); // said where it is awaited
  for (const [at, trial] of sheet.trials.entries()) {
    const { number } = trial;
    if (number === sheet.practice && sheet.practice > 0) {
      await between("Practice is over", after(study));
    } else if (resting || (at > 0 && number > sheet.practice && (number - sheet.practice) % REST === 0)) {
      await between("A pause", `${number} of ${total} are done. Go on when you are ready.`);
    }
    resting = false;
    $("rest").setAttribute("aria-pressed", "false");
    screen("trial");
    $("where").textContent = trial.practice ? `Practice ${number + 1} of ${sheet.practice}`
      : `${number - sheet.practice + 1} of ${total - sheet.practice}`;
    $("progress").value = number / total;
    speak(`${$("where").textContent}. Look.`);
    const pictures = await next;
    if (at + 1 < sheet.trials.length) {
      next = ready(sheet.trials[at + 1]);
      next.catch(() => {});
    }
    const { show } = await ask(`${HOME}/shown`, { trial: number, look: random() }, trouble);
    if (!show) {
      pictures.forEach((picture) => picture.close());
      notice(study);
      continue;
    }
    const seen = await look(pictures, study.seconds, frame);
    notice();
    const said = await ask(`${HOME}/vote`, {
      trial: number, answer: words.choices[seen.choice].value, milliseconds: Math.min(DAY, seen.milliseconds),
      seen: Math.min(DAY, seen.shown),
    }, trouble, "Not stored yet, trying again …");
    if (!said.own) notice(study);
    if (said.feedback) {
      seen.show();
      await feedback(words, seen.choice, said.feedback);
      seen.hide();
    }
    pictures.forEach((picture) => picture.close());
  }
}

async function thanks(study) {
  const said = await ask(`${HOME}/own`, undefined, trouble);
  const { text, meaning, share } = own(study, said);
  $("own").textContent = text;
  $("meaning").textContent = meaning;
  $("bar").hidden = share === null;
  if (share !== null) {
    $("bar-fill").style.width = `${100 * share}%`;
    $("bar").setAttribute("aria-label", `${Math.round(100 * share)} %, the dashed line is at 50 %`);
  }
  screen("thanks");
  $("thanks-title").focus();
}

/** 128 random bits. Drawn here, so that to ask twice to begin makes one rater. */
function random() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function welcome(study) {
  const words = WORDS[study.protocol];
  $("title").textContent = study.title;
  document.title = `${study.title} · sparring`;
  $("lead").textContent = lead(study);
  const line = (text) => Object.assign(document.createElement("li"), { textContent: text });
  $("steps").replaceChildren(...steps(study).map(line));
  $("keys").replaceChildren(...words.choices.flatMap(({ label, key, other }) => {
    const name = Object.assign(document.createElement("dt"), { textContent: label });
    const how = document.createElement("dd");
    const first = Object.assign(document.createElement("kbd"), { textContent: key });
    const second = Object.assign(document.createElement("kbd"), { textContent: other });
    how.append("key ", first, " or ", second, ", or tap its button");
    return [name, how];
  }));
  if (study.done > 0) $("start").firstChild.textContent = "Go on where you stopped ";
  screen("welcome");
  $("main").focus();
}

async function main() {
  const study = await ask(HOME, undefined, trouble);
  $("next").addEventListener("click", () => { location.search = "?next"; });
  const fresh = location.search === "?next";
  history.replaceState(null, "", location.pathname);
  if (study.total > 0 && study.done >= study.total && !fresh) return thanks(study);
  welcome(fresh ? { ...study, done: 0 } : study);
  await going();
  listener = {};
  const sheet = await ask(`${HOME}/begin`, { token: random(), fresh }, trouble);
  if (sheet.trials.length) await run(study, sheet);
  await thanks(study);
}

main().catch((error) => {
  screen("none");
  trouble(error instanceof Refused ? `${error.message}.` : `Something went wrong on this page: ${error.message}`);
});
