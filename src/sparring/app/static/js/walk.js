// A walk from corner to corner and back: its pictures are fetched leg by leg, and shown as a film.

import { say } from "./api.js";
import { bitmap, latest } from "./latest.js";

const EACH = 16; // pictures of a leg
const PAUSE = 80; // milliseconds between two

const leg = (k) => Math.floor(k / EACH);
const places = Array.from({ length: EACH }, (_, k) => [k / EACH, 0]);

export class Walk {
  /** ask(spots, places) → Blob with the pictures side by side. */
  constructor(canvas, slider, output, button, ask) {
    Object.assign(this, { canvas, slider, output, button, ask, corners: [], legs: [] });
    slider.addEventListener("input", () => {
      this.stop();
      this.#show();
    });
    button.addEventListener("click", () => (this.timer ? this.stop() : this.#run()));
  }

  /** From these corners on. */
  begin(corners) {
    this.#take(corners);
    this.slider.max = corners.length * EACH - 1;
    this.#show();
  }

  /** Nothing is asked for until it begins again. */
  end() {
    this.stop();
    this.#take([]);
  }

  #take(corners) {
    for (const old of this.legs) old?.close();
    [this.corners, this.legs] = [corners, []];
  }

  stop() {
    clearInterval(this.timer);
    this.timer = undefined;
    this.button.textContent = "Play";
    this.button.setAttribute("aria-pressed", "false");
  }

  #run() {
    this.button.textContent = "Pause";
    this.button.setAttribute("aria-pressed", "true");
    this.timer = setInterval(() => {
      const k = Number(this.slider.value);
      if (!this.legs[leg(k)]) return; // not there yet
      this.slider.value = (k + 1) % (this.corners.length * EACH);
      this.#show();
    }, PAUSE);
  }

  #show = latest(async () => {
    const [corners, legs, k] = [this.corners, this.legs, Number(this.slider.value)];
    if (!corners.length) return;
    const names = ["A", "B", "C", "A"];
    const here = leg(k);
    this.output.textContent = `from ${names[here]} to ${names[here + 1]}, ${Math.round((100 * (k % EACH)) / EACH)} %`;
    legs[here] ??= await this.#fetch(here);
    if (corners !== this.corners) return;
    const picture = legs[here];
    const width = picture.width / EACH;
    if (this.canvas.width !== width || this.canvas.height !== picture.height) {
      [this.canvas.width, this.canvas.height] = [width, picture.height];
    }
    const pen = this.canvas.getContext("2d");
    pen.clearRect(0, 0, width, picture.height);
    pen.drawImage(picture, -(k % EACH) * width, 0);
    const next = (here + 1) % corners.length;
    if (k % EACH > EACH / 2 && !legs[next]) this.#fetch(next).then((found) => (legs[next] ??= found), say);
  });

  async #fetch(k) {
    const { corners } = this;
    return bitmap(await this.ask([corners[k], corners[(k + 1) % corners.length]], places));
  }
}
