// A sheet of paper: drawing, erasing, filling, undoing. It works in the pixels of the run, or in finer ones.

const KEPT = 40; // steps that can be undone

/** [r, g, b] of "#rrggbb". */
export const rgb = (colour) => [1, 3, 5].map((k) => parseInt(colour.slice(k, k + 2), 16));
export const hex = (levels) => `#${levels.map((level) => level.toString(16).padStart(2, "0")).join("")}`;

export class Sketch {
  tool = "pen";
  size = 2; // pixels of the run
  colour = "#000000";
  paper = "#ffffff";
  #past = [];
  #last; // where the brush is, in pixels of the canvas
  #down = false;

  /** onChange() is called after every change, onUndoable(whether) when undoing becomes possible or impossible. */
  constructor(canvas, tip, onChange, onUndoable) {
    Object.assign(this, { canvas, tip, onChange, onUndoable });
    this.pen = canvas.getContext("2d", { willReadFrequently: true });
    canvas.addEventListener("pointerdown", (event) => this.#begin(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerleave", () => (tip.hidden = true));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (this.#down = false));
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("blur", () => (this.#down = false));
  }

  /** A new sheet of height × width pixels. crisp: no shades between two colours, for label maps. */
  begin(height, width, crisp, paper) {
    this.factor = crisp ? 1 : Math.max(1, Math.floor(512 / Math.max(height, width)));
    [this.width, this.height, this.crisp, this.paper] = [width, height, crisp, paper];
    [this.canvas.width, this.canvas.height] = [width * this.factor, height * this.factor];
    this.canvas.classList.toggle("pixels", crisp);
    this.#last = undefined;
    this.settle();
    this.#wipe();
  }

  /** What is on the sheet is its beginning: nothing before it comes back. */
  settle() {
    this.#past = [];
    this.onUndoable(false);
  }

  clear() {
    this.#keep();
    this.#wipe();
    this.onChange();
  }

  undo() {
    const before = this.#past.pop();
    this.onUndoable(this.#past.length > 0);
    if (!before) return;
    this.pen.putImageData(before, 0, 0);
    this.onChange();
  }

  /** Draw an ImageBitmap so that it covers the sheet. change: what becomes of its pixels (ImageData). */
  load(picture, change) {
    this.#keep();
    const { width, height } = this.canvas;
    const scale = Math.max(width / picture.width, height / picture.height);
    const [w, h] = [picture.width * scale, picture.height * scale];
    this.#wipe();
    this.pen.imageSmoothingEnabled = !this.crisp;
    this.pen.imageSmoothingQuality = "high";
    this.pen.drawImage(picture, (width - w) / 2, (height - h) / 2, w, h);
    if (change) {
      const data = this.#pixels();
      change(data.data);
      this.pen.putImageData(data, 0, 0);
    }
    this.onChange();
  }

  /** The sheet in the pixels of the run, as a PNG. change: what becomes of them before. */
  async png(change) {
    const made = new OffscreenCanvas(this.width, this.height);
    const pen = made.getContext("2d");
    pen.imageSmoothingQuality = "high";
    pen.drawImage(this.canvas, 0, 0, this.width, this.height);
    if (change) {
      const data = pen.getImageData(0, 0, this.width, this.height);
      change(data.data);
      pen.putImageData(data, 0, 0);
    }
    return made.convertToBlob({ type: "image/png" });
  }

  #pixels() {
    return this.pen.getImageData(0, 0, this.canvas.width, this.canvas.height);
  }

  #wipe() {
    this.pen.fillStyle = this.paper;
    this.pen.fillRect(0, 0, this.canvas.width, this.canvas.height);
  }

  #keep() {
    this.#past.push(this.#pixels());
    if (this.#past.length > KEPT) this.#past.shift();
    this.onUndoable(true);
  }

  #at(event) {
    const box = this.canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * this.canvas.width, ((event.clientY - box.top) / box.height) * this.canvas.height];
  }

  #begin(event) {
    if (event.button !== 0) return;
    event.preventDefault();
    this.canvas.focus({ preventScroll: true });
    this.canvas.setPointerCapture(event.pointerId);
    this.#last = this.#at(event);
    this.#press();
    this.#down = this.tool !== "fill";
  }

  #move(event) {
    const seen = event.getCoalescedEvents?.() ?? [];
    for (const one of seen.length ? seen : [event]) this.#go(this.#at(one));
  }

  /** Put the brush down where it is. */
  #press() {
    this.#keep();
    if (this.tool === "fill") this.#flood(...this.#last.map(Math.floor));
    else this.#line(this.#last, this.#last);
    this.onChange();
  }

  /** Move the brush, drawing if it is down. */
  #go(to) {
    if (this.#down) {
      this.#line(this.#last, to);
      this.onChange();
    }
    this.#last = to;
    const width = (100 * Math.max(1, this.size) * this.factor) / this.canvas.width;
    Object.assign(this.tip.style, {
      left: `${(100 * to[0]) / this.canvas.width}%`,
      top: `${(100 * to[1]) / this.canvas.height}%`,
      width: `${width}%`,
      height: `${(width * this.canvas.width) / this.canvas.height}%`,
    });
    this.tip.hidden = false;
  }

  #key(event) {
    const step = Math.max(this.factor, (this.size * this.factor) / 2) * (event.shiftKey ? 4 : 1);
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    this.#last ??= [this.canvas.width / 2, this.canvas.height / 2];
    if (way) {
      const edges = [this.canvas.width, this.canvas.height];
      this.#go(this.#last.map((x, k) => Math.min(edges[k], Math.max(0, x + step * way[k]))));
    } else if (event.key === " ") {
      if (!this.#down) this.#press();
      this.#down = !this.#down && this.tool !== "fill";
      this.#go(this.#last);
    } else return;
    event.preventDefault();
  }

  #line(from, to) {
    const { pen } = this;
    const colour = this.tool === "eraser" ? this.paper : this.colour;
    const wide = this.size * this.factor;
    if (!this.crisp) {
      Object.assign(pen, { strokeStyle: colour, lineWidth: wide, lineCap: "round", lineJoin: "round" });
      pen.beginPath();
      pen.moveTo(...from);
      pen.lineTo(to[0], to[1] + (from[0] === to[0] && from[1] === to[1] ? 0.01 : 0)); // a dot is a line too
      pen.stroke();
      return;
    }
    pen.fillStyle = colour;
    const steps = Math.max(1, Math.ceil(Math.hypot(to[0] - from[0], to[1] - from[1])));
    for (let k = 0; k <= steps; k += 1) {
      const [x, y] = [0, 1].map((axis) => Math.floor(from[axis] + ((to[axis] - from[axis]) * k) / steps - (wide - 1) / 2));
      pen.fillRect(x, y, wide, wide);
    }
  }

  /** Colour everything that hangs together with (x, y) and has nearly its colour. */
  #flood(x, y) {
    const [data, width, height] = [this.#pixels(), this.canvas.width, this.canvas.height];
    if (x < 0 || y < 0 || x >= width || y >= height) return;
    const pixels = data.data;
    const from = [...pixels.subarray(4 * (y * width + x), 4 * (y * width + x) + 3)];
    const near = this.crisp ? 0 : 48;
    const like = (at) => [0, 1, 2].every((k) => Math.abs(pixels[4 * at + k] - from[k]) <= near);
    const seen = new Uint8Array(width * height);
    const waiting = [y * width + x];
    const to = rgb(this.colour);
    while (waiting.length) {
      const at = waiting.pop();
      if (seen[at] || !like(at)) continue;
      seen[at] = 1;
      const column = at % width;
      if (column > 0) waiting.push(at - 1);
      if (column < width - 1) waiting.push(at + 1);
      if (at >= width) waiting.push(at - width);
      if (at < width * (height - 1)) waiting.push(at + width);
    }
    seen.forEach((hit, at) => hit && pixels.set(to, 4 * at));
    this.pen.putImageData(data, 0, 0);
  }
}
