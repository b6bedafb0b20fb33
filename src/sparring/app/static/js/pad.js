// The square in which one drags: a lattice of pictures, and a ring.

import { bitmap } from "./latest.js";

export const CELLS = 7;

/** The places (u, v) of one row of the lattice. */
export const row = (j) => Array.from({ length: CELLS }, (_, i) => [i / (CELLS - 1), j / (CELLS - 1)]);

const inside = (x) => Math.min(1, Math.max(0, x));

export class Pad {
  /** canvas, ring: elements, one over the other. onMove(u, v) is called when somebody moves the ring. */
  constructor(canvas, ring, onMove) {
    Object.assign(this, { canvas, ring, onMove, u: 0.5, v: 0.5 });
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      event.preventDefault();
      canvas.focus({ preventScroll: true });
      canvas.setPointerCapture(event.pointerId);
      this.#follow(event);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (canvas.hasPointerCapture(event.pointerId)) this.#follow(event);
    });
    canvas.addEventListener("keydown", (event) => this.#key(event));
    this.place(this.u, this.v);
  }

  /** Move the ring, without telling anyone. A lattice point is in the middle of its picture. */
  place(u, v) {
    [this.u, this.v] = [inside(u), inside(v)];
    const at = (share) => `${(100 * (share * (CELLS - 1) + 0.5)) / CELLS}%`;
    this.ring.style.left = at(this.u);
    this.ring.style.top = at(this.v);
  }

  /** Begin a new lattice of pictures of so many pixels. */
  clear(width, height) {
    [this.canvas.width, this.canvas.height] = [CELLS * width, CELLS * height];
  }

  /** Draw row j of the lattice. */
  async row(j, blob) {
    const picture = await bitmap(blob);
    this.canvas.getContext("2d").drawImage(picture, 0, j * picture.height);
    picture.close();
  }

  #move(u, v) {
    this.place(u, v);
    this.onMove(this.u, this.v);
  }

  #follow(event) {
    const box = this.canvas.getBoundingClientRect();
    const share = (x, size) => ((x / size) * CELLS - 0.5) / (CELLS - 1);
    this.#move(share(event.clientX - box.left, box.width), share(event.clientY - box.top, box.height));
  }

  #key(event) {
    const step = event.shiftKey ? 0.1 : 0.02;
    const ways = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    const corners = { Home: [0, 0], End: [1, 1] };
    if (event.key in ways) this.#move(this.u + ways[event.key][0], this.v + ways[event.key][1]);
    else if (event.key in corners) this.#move(...corners[event.key]);
    else return;
    event.preventDefault();
  }
}
