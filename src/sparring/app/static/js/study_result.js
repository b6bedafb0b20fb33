// What a study found: a sentence for each model, where its interval lies, and the table behind it.

const SVG = "http://www.w3.org/2000/svg";
const minus = (number) => number.toFixed(2).replace("-", "−");
const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)}\u00a0%`;
const between = ({ low, high }) => (low === null ? "" : ` (95 %: ${percent(low)} to ${percent(high)})`);
const chance = (p) => (p < 0.0001 ? "p < 0.0001" : `p = ${p.toPrecision(2)}`);

function made(tag, text, name) {
  const one = document.createElement(tag);
  if (text !== undefined) one.textContent = text;
  if (name) one.className = name;
  return one;
}

function shape(tag, attributes, text) {
  const one = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) one.setAttribute(name, value);
  if (text !== undefined) one.textContent = text;
  return one;
}

/** Everything that is said of a result, as elements. result: as of `sparring study result --json`. */
export function drawn(result) {
  const what = result.study.protocol === "preference" ? "preferred" : "fooled";
  const found = result.conditions.filter((one) => one.raters > 0);
  const warnings = result.warnings.map((text) => made("li", text));
  if (!found.length) return [made("p", "No answers yet that count: practice does not, nor do raters who have not answered half of the trials.", "soft")];
  const parts = found.map((one) => made("p", sentence(one, what), "verdict"));
  parts.push(chart(found, what), table(found, what));
  for (const one of result.differences) if (one.low !== null && one.value !== null) parts.push(made("p", difference(one)));
  parts.push(...reliability(result));
  if (warnings.length) {
    const list = made("ul", undefined, "warnings");
    list.append(...warnings);
    parts.push(list);
  }
  return parts;
}

/** The result of one model in plain words. */
function sentence(one, what) {
  const share = one[what];
  const likely = share.low === null ? null : share.high < 0.5 ? "below" : share.low > 0.5 ? "above" : "even";
  if (what === "preferred") {
    const [first, second] = one.name.split(" over ");
    const said = { below: `People find ${second} better.`, above: `People find ${first} better.`, even: "Which one is better cannot be told from these answers." };
    return `${first} was chosen over ${second} in ${percent(share.value)}${between(share)} of the pairs. ${said[likely] ?? "One person is too few to say more."}`;
  }
  const said = {
    below: "People tell them from real ones more often than by guessing.",
    above: "People take them for real more often than the real ones.",
    even: "From these answers it cannot be told whether people do better than by guessing (50 %).",
  };
  return `Pictures of ${one.name} fooled people in ${percent(share.value)}${between(share)} of the trials. ${said[likely] ?? "One person is too few to say more."}`;
}

function difference(one) {
  const [a, b] = one.value > 0 ? one.names : [...one.names].reverse();
  const [low, high] = one.value > 0 ? [one.low, one.high] : [-one.high, -one.low];
  const points = (share) => (100 * share).toFixed(1).replace("-", "−");
  const ends = `${points(Math.abs(one.value))} points (95 %: ${points(low)} to ${points(high)}; ${chance(one.p_holm)})`;
  return low > 0 ? `${a} fools more often than ${b}, by ${ends}.`
    : `${a} and ${b} cannot be told apart by these answers: they differ by ${ends}.`;
}

function reliability(result) {
  const { raters, answers, reliability: agree, milliseconds: time } = result;
  const left = [];
  if (raters.excluded.length) left.push(`${raters.excluded.length} of ${raters.answered} raters who got past practice`);
  if (answers.too_fast) left.push(`${answers.too_fast} answers that were too fast`);
  if (answers.too_late) left.push(`${answers.too_late} answers to pictures that were seen too long or twice`);
  const lines = [];
  if (time) lines.push(`Half of the answers took ${Math.round(time.low)} to ${Math.round(time.high)} ms.`);
  if (agree.alpha !== null) lines.push(`Raters agree about which pictures fool at α = ${minus(agree.alpha)} (1 is always, 0 is by chance).`);
  lines.push(left.length ? `Not counted by the rules: ${left.join(", ")}.` : "Everybody counts.");
  return [made("p", lines.join(" "), "soft"), ...raters.excluded.slice(0, 5).map((one) => made("p", `Rater ${one.rater}: ${one.why}.`, "soft"))];
}

function table(found, what) {
  const head = ["Model", "Raters", "Answers that count", `${what === "fooled" ? "Fooled" : "Preferred"}, 95 %`, "d′ (0: guessing)", "Against 50 %"];
  const row = made("tr");
  row.append(...head.map((text) => Object.assign(made("th", text), { scope: "col" })));
  const body = found.map((one) => {
    const line = made("tr");
    const prime = one.d_prime;
    const sure = prime && prime.value !== null
      ? `${minus(prime.value)}${prime.low === null ? "" : ` (${minus(prime.low)} to ${minus(prime.high)})`}` : "";
    const cells = [one.raters, one.answers.toLocaleString("en"), inPaper(one[what]), sure, chance(one.against_half.raters)];
    line.append(Object.assign(made("th", one.name), { scope: "row" }), ...cells.map((text) => made("td", text)));
    return line;
  });
  const whole = made("table");
  whole.append(made("thead"), made("tbody"));
  whole.tHead.append(row);
  whole.tBodies[0].append(...body);
  const box = made("div", undefined, "scroll");
  box.tabIndex = 0;
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", "The result as a table");
  box.append(whole);
  return box;
}

/** As papers print it, with the ends: the interval need not lie evenly about its mean. */
function inPaper({ value, half, low, high }) {
  if (low === null) return percent(value);
  return `${percent(value)} ± ${percent(half)} (${(100 * low).toFixed(1)} to ${(100 * high).toFixed(1)})`;
}

/** A line for each model from 0 to 100 %, with its mean and its interval, and a dashed one at guessing. */
function chart(found, what) {
  const wide = innerWidth < 480 ? 320 : 460, left = 8, line = 34, top = 22, x = (share) => left + share * (wide - 2 * left);
  const high = top + line * found.length + 20;
  const said = found.map((one) => `${one.name} ${percent(one[what].value)}${between(one[what])}`).join("; ");
  const svg = shape("svg", { viewBox: `0 0 ${wide} ${high}`, class: "chart", role: "img", "aria-label": `${what}: ${said}` });
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    svg.append(shape("line", { x1: x(share), x2: x(share), y1: top - 4, y2: high - 18, class: share === 0.5 ? "half" : "grid" }));
    const anchor = share === 0 ? "start" : share === 1 ? "end" : "middle";
    svg.append(shape("text", { x: x(share), y: high - 4, "text-anchor": anchor, class: "tick" }, share === 0.5 ? (wide < 400 ? "guessing" : "50 %: guessing") : percent(share, 0)));
  }
  found.forEach((one, k) => {
    const { value, low, high: most } = one[what];
    const y = top + line * k + 18;
    const anchor = value > 0.6 ? "end" : "start";
    svg.append(shape("text", { x: x(value) + (anchor === "end" ? 6 : -6), y: y - 10, "text-anchor": anchor }, `${one.name}: ${percent(value)}`));
    if (low !== null) svg.append(shape("line", { x1: x(low), x2: x(most), y1: y, y2: y, class: "range" }));
    svg.append(shape("circle", { cx: x(value), cy: y, r: 5, class: "mean" }));
  });
  const figure = made("figure");
  figure.append(svg);
  return figure;
}
