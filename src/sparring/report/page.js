"use strict";
// Samples over time: a slider and a player.
const frames = Array.from(document.querySelectorAll(".frames img"));
const slider = document.querySelector(".control input");
if (slider && frames.length > 1) {
  const output = document.querySelector(".control output");
  const button = document.querySelector(".control button");
  const unit = output.textContent.split(" ").pop(); // images or points
  let timer = null;
  const show = (k) => {
    frames.forEach((image, i) => { image.hidden = i !== k; });
    output.textContent = frames[k].dataset.images + " " + unit;
    slider.value = k;
  };
  const stop = () => { clearInterval(timer); timer = null; button.textContent = "Play"; };
  slider.addEventListener("input", () => { stop(); show(Number(slider.value)); });
  button.addEventListener("click", () => {
    if (timer) return stop();
    button.textContent = "Stop";
    let k = 0;
    show(0);
    timer = setInterval(() => { k += 1; if (k < frames.length) show(k); else stop(); }, 600);
  });
  document.querySelector(".control").hidden = false;
}

// Curves: the values under the pointer.
const store = document.getElementById("curves");
const data = store ? JSON.parse(store.textContent) : { span: [0, 0], axes: [], charts: [] };
const short = (v) => {
  for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]])
    if (Math.abs(v) >= size) return Number((v / size).toPrecision(3)) + unit;
  return String(Number(v.toPrecision(3)));
};
document.querySelectorAll(".chart").forEach((chart) => {
  const { axis: which, lines } = data.charts[Number(chart.dataset.chart)];
  const images = data.axes[which];
  const plot = chart.querySelector(".plot"), cursor = chart.querySelector(".cursor"), axis = chart.querySelector(".axis");
  const cells = Array.from(chart.querySelectorAll("[data-line]"));
  const seen = axis.textContent; // "images seen" or "points seen"
  const rest = cells.map((cell) => cell.textContent);
  const [first, last] = data.span;
  plot.addEventListener("pointermove", (event) => {
    const box = plot.getBoundingClientRect();
    const where = first + (last - first) * Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    let k = 0;
    images.forEach((x, i) => { if (Math.abs(x - where) < Math.abs(images[k] - where)) k = i; });
    cursor.hidden = false;
    cursor.style.left = (last > first ? 100 * (images[k] - first) / (last - first) : 50) + "%";
    cells.forEach((cell, i) => { const v = lines[i][k]; cell.textContent = v === null ? "–" : short(v); });
    axis.textContent = images[k].toLocaleString("en") + " " + seen;
  });
  plot.addEventListener("pointerleave", () => {
    cursor.hidden = true;
    axis.textContent = seen;
    cells.forEach((cell, i) => { cell.textContent = rest[i]; });
  });
});
