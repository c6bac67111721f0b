"use strict";
// Points on a canvas: where the view is, how they are drawn, and which of them are where. It knows
// nothing of photos. Pixels are set one by one, since that is several times as fast as shapes.

const GREY = { light: "#84848e", dark: "#8f8f9a" }, INK = { light: "#18181b", dark: "#f1f1f4" };
const COLOURS = {
  light: ["#0072b2", "#c2410c", "#00805c", "#a3349b", "#8a6500", "#b42318", "#4f46e5", "#0e7490"],
  dark: ["#5ab4f2", "#ff9d5c", "#3ccf9e", "#f0a3cc", "#e6cf4a", "#ff8f85", "#a5a0ff", "#5fd4ea"],
};
/** Whether a pixel is in a shape of radius r: a colour with a shape, so that colour alone says nothing. */
const SHAPES = [
  (x, y, r) => x * x + y * y <= r * r + 0.3 * r,
  (x, y, r) => Math.max(Math.abs(x), Math.abs(y)) <= 0.85 * r,
  (x, y, r) => Math.abs(x) + Math.abs(y) <= 1.25 * r,
  (x, y, r) => y <= 0.9 * r && Math.abs(x) <= (y + r) * 0.62,
  (x, y, r) => Math.min(Math.abs(x), Math.abs(y)) <= 0.35 * r && Math.max(Math.abs(x), Math.abs(y)) <= 1.1 * r,
];
const NONE = -1, MARKED = -2; // kinds beside the numbers of classes
const CROSS = 4, LARGEST_ZOOM = 60;

/** How far places from 0 to 1, around the middle, go; a little at least. */
const extent = (places) => places.reduce((most, at) => Math.max(most, Math.abs(2 * at - 1)), 0.1);

class MapCanvas {
  /** @param x, y Places of the points, from 0 to 1. */
  constructor(canvas, x, y) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.x = x;
    this.y = y;
    [this.wide, this.high] = [x, y].map(extent);
    this.kinds = new Int16Array(x.length).fill(NONE);
    this.selected = new Uint8Array(x.length);
    this.stamps = new Map();
    this.dark = false;
    this.line = null; // what is drawn by the person: [x, y, x, y, ...] in CSS pixels
    this.ring = 0;    // radius of the ring in the middle, which the keyboard uses
    this.scale = this.left = this.top = this.whole = 0;
  }

  resize(width, height, ratio) {
    const first = !this.whole;
    const [middleX, middleY] = first ? [0, 0] : this.at(this.width / 2, this.height / 2);
    const zoomed = first ? 1 : this.scale / this.whole;
    [this.width, this.height, this.ratio] = [width, height, ratio];
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.image = this.context.createImageData(this.canvas.width, this.canvas.height);
    this.pixels = new Uint32Array(this.image.data.buffer);
    this.whole = Math.max(1, Math.min((width - 48) / this.wide, (height - 48) / this.high));
    if (first) return this.fit();
    this.scale = this.whole * zoomed;
    this.left = width / 2 - middleX * this.scale;
    this.top = height / 2 - middleY * this.scale;
  }

  /** Show all points. */
  fit() {
    this.scale = this.whole;
    this.left = (this.width - this.scale) / 2;
    this.top = (this.height - this.scale) / 2;
  }

  /** The place in the plane of a place on the screen, and the other way round. */
  at(px, py) { return [(px - this.left) / this.scale, (py - this.top) / this.scale]; }
  on(point) { return [this.left + this.x[point] * this.scale, this.top + this.y[point] * this.scale]; }

  /** Move by pixels; the middle of the screen stays on the map. */
  pan(dx, dy) {
    const bound = (start, size, delta) => Math.min(size / 2, Math.max(size / 2 - this.scale, start + delta));
    this.left = bound(this.left, this.width, dx);
    this.top = bound(this.top, this.height, dy);
  }

  /** Zoom; what lies at a place on the screen stays there. */
  zoom(factor, px = this.width / 2, py = this.height / 2) {
    const [x, y] = this.at(px, py);
    this.scale = Math.min(this.whole * LARGEST_ZOOM, Math.max(this.whole, this.scale * factor));
    this.left = px - x * this.scale;
    this.top = py - y * this.scale;
    this.pan(0, 0);
  }

  /* ---- Which points are where ---- */

  /** The point nearest to a place on the screen, -1 if none is so near. */
  nearest(px, py, within) {
    const [x, y] = this.at(px, py);
    let best = (within / this.scale) ** 2, found = -1;
    for (let i = 0; i < this.x.length; i++) {
      const dx = this.x[i] - x, dy = this.y[i] - y, far = dx * dx + dy * dy;
      if (far <= best) { best = far; found = i; }
    }
    return found;
  }

  /** The points in a circle on the screen. */
  within(px, py, radius) {
    const [x, y] = this.at(px, py), most = (radius / this.scale) ** 2, found = [];
    for (let i = 0; i < this.x.length; i++) {
      if ((this.x[i] - x) ** 2 + (this.y[i] - y) ** 2 <= most) found.push(i);
    }
    return found;
  }

  /** The points inside a closed line on the screen, [x, y, x, y, ...]: by how often a ray crosses it. */
  inside(line) {
    const corners = [];
    for (let i = 0; i < line.length; i += 2) corners.push(this.at(line[i], line[i + 1]));
    if (corners.length < 3) return [];
    const xs = corners.map(([x]) => x), ys = corners.map(([, y]) => y);
    const [left, right] = [Math.min(...xs), Math.max(...xs)], [top, bottom] = [Math.min(...ys), Math.max(...ys)];
    const found = [];
    for (let i = 0; i < this.x.length; i++) {
      const x = this.x[i], y = this.y[i];
      if (x < left || x > right || y < top || y > bottom) continue;
      let odd = false;
      for (let a = 0, b = xs.length - 1; a < xs.length; b = a++) {
        if (ys[a] > y !== ys[b] > y && x < xs[a] + (y - ys[a]) / (ys[b] - ys[a]) * (xs[b] - xs[a])) odd = !odd;
      }
      if (odd) found.push(i);
    }
    return found;
  }

  /* ---- Drawing ---- */

  /** Rows of a shape: [y, first x, last x, ...], around its middle. */
  stamp(shape, radius) {
    const key = shape * 64 + radius;
    if (!this.stamps.has(key)) {
      const rows = [];
      for (let y = -radius - 1; y <= radius + 1; y++) {
        const xs = [];
        for (let x = -radius - 1; x <= radius + 1; x++) if (SHAPES[shape](x, y, radius)) xs.push(x);
        // A cross has gaps in no row, so the first and the last pixel are all there is to know.
        if (xs.length) rows.push(y, xs[0], xs.at(-1));
      }
      this.stamps.set(key, Int32Array.from(rows));
    }
    return this.stamps.get(key);
  }

  put(stamp, x, y, colour) {
    const { width, height } = this.canvas, pixels = this.pixels;
    for (let i = 0; i < stamp.length; i += 3) {
      const row = y + stamp[i];
      if (row < 0 || row >= height) continue;
      const first = Math.max(0, x + stamp[i + 1]), last = Math.min(width - 1, x + stamp[i + 2]);
      for (let at = row * width + first, end = row * width + last; at <= end; at++) pixels[at] = colour;
    }
  }

  draw() {
    const theme = this.dark ? "dark" : "light", { ratio } = this;
    const { width, height } = this.canvas, { x: xs, y: ys, kinds, selected } = this;
    const scale = this.scale * ratio, left = this.left * ratio, top = this.top * ratio;
    const size = xs.length > 5000 ? 1.1 : 2; // radius in CSS pixels, of the whole map
    const small = Math.max(1, Math.round(ratio * Math.min(5, size * Math.sqrt(this.scale / this.whole))));
    const large = small + Math.round(2 * ratio), edge = large + Math.round(2 * ratio);
    const grey = packed(GREY[theme]), ink = packed(INK[theme]), colours = COLOURS[theme].map(packed);
    const dot = this.stamp(0, small), mark = this.stamp(CROSS, small + 1), around = this.stamp(0, edge);
    this.pixels.fill(0);
    const special = [];
    for (let i = 0; i < xs.length; i++) {
      const x = Math.round(left + xs[i] * scale), y = Math.round(top + ys[i] * scale);
      if (x < -edge || y < -edge || x > width + edge || y > height + edge) continue;
      if (kinds[i] === NONE && !selected[i]) this.put(dot, x, y, grey);
      else special.push(i, x, y);
    }
    for (let at = 0; at < special.length; at += 3) {
      const i = special[at], x = special[at + 1], y = special[at + 2], kind = kinds[i];
      if (selected[i]) this.put(around, x, y, ink);
      if (kind >= 0) this.put(this.stamp(kind % SHAPES.length, large), x, y, colours[kind % colours.length]);
      else this.put(kind === MARKED ? mark : dot, x, y, grey);
    }
    this.context.putImageData(this.image, 0, 0);
    this.drawLines(INK[theme]);
  }

  /** The line around a selection, and the ring of the keyboard. */
  drawLines(colour) {
    const { context, ratio, line } = this;
    context.strokeStyle = colour;
    context.lineWidth = 1.5 * ratio;
    context.setLineDash([5 * ratio, 4 * ratio]);
    context.beginPath();
    if (line) for (let i = 0; i < line.length; i += 2) context.lineTo(line[i] * ratio, line[i + 1] * ratio);
    if (line) context.closePath();
    context.stroke();
    if (!this.ring) return;
    context.beginPath();
    context.arc(this.width / 2 * ratio, this.height / 2 * ratio, this.ring * ratio, 0, 2 * Math.PI);
    context.stroke();
  }
}

/** A colour "#rrggbb" as a pixel, in the order of bytes of all machines that browsers run on. */
function packed(colour) {
  const value = parseInt(colour.slice(1), 16);
  return (0xff000000 | (value & 255) << 16 | (value & 0xff00) | value >> 16) >>> 0;
}

/** The sign of a class as a small picture: its colour and its shape, as on the map. */
function signOf(kind, dark) {
  const canvas = document.createElement("canvas"), size = 22;
  canvas.width = canvas.height = size;
  const context = canvas.getContext("2d"), shape = SHAPES[kind % SHAPES.length];
  context.fillStyle = COLOURS[dark ? "dark" : "light"][kind % COLOURS.light.length];
  for (let y = -11; y < 11; y++) for (let x = -11; x < 11; x++) if (shape(x, y, 8)) context.fillRect(x + 11, y + 11, 1, 1);
  canvas.setAttribute("aria-hidden", "true");
  return canvas;
}
