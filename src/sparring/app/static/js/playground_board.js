// Draws the plane: what D believes of every place, the line where it is ½, the arrows that G follows, data and samples.

const UNIT = 32767; // what the border of the plane is written as
const LAYERS = 5; // data and samples are drawn in turn, so that neither hides the other
const TINTS = { light: ["#9dbdec", "#ffffff", "#f5bd74"], dark: ["#1f4a8f", "#1d2025", "#7d4a12"] };

const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

/** Points as they are sent: an Int16Array x, y, x, y, … in which ±32767 is the border. */
export const points = (text) => new Int16Array(bytes(text).buffer);

const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

/** 256 colours from "generated" over "undecided" to "real". */
function palette(tints) {
  const [low, middle, high] = tints.map(rgb);
  return Array.from({ length: 256 }, (_, k) => {
    const t = k / 127.5 - 1;
    const end = t < 0 ? low : high;
    return middle.map((level, i) => Math.round(level + Math.abs(t) * (end[i] - level)));
  });
}

/** The colours of the page as it is now, light or dark. */
export function colours() {
  const style = getComputedStyle(document.documentElement);
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const named = (name) => style.getPropertyValue(name).trim();
  return {
    palette: palette(TINTS[dark ? "dark" : "light"]),
    ink: named("--ink"), soft: named("--soft"), line: named("--line"), real: named("--real"), made: named("--made"),
  };
}

/** Where belief crosses ½: segments [x, y, x, y] in cells, by marching squares on the middles of the cells. */
export function crossings(belief, cells) {
  const found = [];
  const level = 127.5;
  for (let y = 0; y + 1 < cells; y += 1) {
    for (let x = 0; x + 1 < cells; x += 1) {
      const at = y * cells + x;
      const corners = [belief[at], belief[at + 1], belief[at + cells + 1], belief[at + cells]];
      const ends = [];
      for (let k = 0; k < 4; k += 1) {
        const a = corners[k];
        const b = corners[(k + 1) % 4];
        if (a < level === b < level) continue;
        const t = (level - a) / (b - a);
        ends.push([[x + t, y], [x + 1, y + t], [x + 1 - t, y + 1], [x, y + 1 - t]][k]);
      }
      for (let k = 0; k + 1 < ends.length; k += 2) found.push([...ends[k], ...ends[k + 1]]);
    }
  }
  return found;
}

export class Board {
  constructor(canvas) {
    this.canvas = canvas;
    this.brush = canvas.getContext("2d");
    this.heat = document.createElement("canvas");
    this.restyle();
  }

  /** The colours of the page have changed. */
  restyle() {
    this.colours = colours();
  }

  /** As many pixels as the screen has. */
  fit() {
    const side = Math.max(1, Math.round(this.canvas.clientWidth * Math.min(2, window.devicePixelRatio || 1)));
    if (this.canvas.width !== side) this.canvas.width = this.canvas.height = side;
    return side;
  }

  /** real: of the data, as `points`. */
  draw(real, frame, cells) {
    const side = this.fit();
    const { brush } = this;
    const belief = bytes(frame.belief);
    brush.globalAlpha = 1;
    this.#heat(belief, cells, side);
    this.#line(belief, cells, side);
    this.#arrows(points(frame.places), points(frame.arrows), side);
    const made = points(frame.samples);
    const radius = Math.max(1.5, side / 330);
    for (let layer = 0; layer < LAYERS; layer += 1) {
      this.#dots(real, layer, this.colours.real, 0.6, radius, side);
      this.#dots(made, layer, this.colours.made, 0.8, radius, side);
    }
  }

  #heat(belief, cells, side) {
    const { heat, brush } = this;
    heat.width = heat.height = cells;
    const sheet = heat.getContext("2d");
    const image = sheet.createImageData(cells, cells);
    for (let y = 0; y < cells; y += 1) {
      for (let x = 0; x < cells; x += 1) {
        const colour = this.colours.palette[belief[(cells - 1 - y) * cells + x]]; // its first row is the lowest
        image.data.set([...colour, 255], 4 * (y * cells + x));
      }
    }
    sheet.putImageData(image, 0, 0);
    brush.imageSmoothingEnabled = true;
    brush.imageSmoothingQuality = "high";
    brush.drawImage(heat, 0, 0, side, side);
  }

  /** Faint where D tells nothing apart. */
  #line(belief, cells, side) {
    const { brush } = this;
    const sorted = Uint8Array.from(belief).sort();
    const spread = sorted[Math.floor(0.95 * sorted.length)] - sorted[Math.floor(0.05 * sorted.length)];
    const step = side / cells;
    brush.globalAlpha = Math.min(0.9, spread / 60);
    brush.strokeStyle = this.colours.ink;
    brush.lineWidth = Math.max(1, side / 500);
    brush.beginPath();
    for (const [x0, y0, x1, y1] of crossings(belief, cells)) {
      brush.moveTo((x0 + 0.5) * step, side - (y0 + 0.5) * step);
      brush.lineTo((x1 + 0.5) * step, side - (y1 + 0.5) * step);
    }
    brush.stroke();
    brush.globalAlpha = 1;
  }

  #arrows(places, arrows, side) {
    const { brush } = this;
    const scale = side / (2 * UNIT);
    brush.globalAlpha = 0.6;
    brush.strokeStyle = brush.fillStyle = this.colours.ink;
    brush.lineWidth = Math.max(1, side / 600);
    const head = Math.max(4, side / 130);
    brush.beginPath();
    for (let k = 0; k < places.length; k += 2) {
      const dx = arrows[k] * scale;
      const dy = -arrows[k + 1] * scale;
      const length = Math.hypot(dx, dy);
      if (length < 1) continue;
      const x = side / 2 + places[k] * scale;
      const y = side / 2 - places[k + 1] * scale;
      const [ux, uy, tip] = [dx / length, dy / length, Math.min(head, 0.6 * length)];
      brush.moveTo(x, y);
      brush.lineTo(x + dx, y + dy);
      brush.moveTo(x + dx - tip * (ux - 0.5 * uy), y + dy - tip * (uy + 0.5 * ux));
      brush.lineTo(x + dx, y + dy);
      brush.lineTo(x + dx - tip * (ux + 0.5 * uy), y + dy - tip * (uy - 0.5 * ux));
    }
    brush.stroke();
    brush.globalAlpha = 1;
  }

  #dots(at, layer, colour, alpha, radius, side) {
    const { brush } = this;
    const scale = side / (2 * UNIT);
    brush.globalAlpha = alpha;
    brush.fillStyle = colour;
    brush.beginPath();
    for (let k = 2 * layer; k < at.length; k += 2 * LAYERS) {
      const x = side / 2 + 0.995 * at[k] * scale;
      const y = side / 2 - 0.995 * at[k + 1] * scale;
      brush.moveTo(x + radius, y);
      brush.arc(x, y, radius, 0, 2 * Math.PI);
    }
    brush.fill();
    brush.globalAlpha = 1;
  }
}
