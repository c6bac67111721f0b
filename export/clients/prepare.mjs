// From the pixels of an upright picture to those that an encoder takes: the rule of training,
// byte for byte as Python has it. For browsers and Node.js, without dependencies.
//
// vectors/README.md says what the rule is, and how to test another implementation of it.

/** Bits behind the point of a weight. */
const PRECISION = 22;
const HALF = 1 << (PRECISION - 1);

/**
 * The central square of a picture at the side of an encoder.
 *
 * @param {Uint8Array|Uint8ClampedArray} data Rows of RGB or RGBA, in sRGB, 8 bits, upright.
 * @param {number} width In pixels.
 * @param {number} height In pixels.
 * @param {number} size Side of the result in pixels.
 * @returns {Uint8Array} RGB, `size * size * 3` bytes.
 * @throws {RangeError} The data are not those of such a picture.
 */
export function prepare(data, width, height, size) {
  const channels = data.length / (width * height);
  for (const length of [width, height, size]) {
    if (!Number.isInteger(length) || length < 1) throw new RangeError(`a side of ${length} pixels`);
  }
  if (channels !== 3 && channels !== 4) {
    throw new RangeError(`${data.length} bytes are no ${width} x ${height} pixels of RGB or RGBA`);
  }
  const { side, rgb } = square(data, width, height, channels);
  return side === size ? rgb : resize(rgb, side, size);
}

/** The central square, transparent parts laid on white. */
function square(data, width, height, channels) {
  const side = Math.min(width, height);
  const left = Math.floor((width - side) / 2);
  const top = Math.floor((height - side) / 2);
  const rgb = new Uint8Array(side * side * 3);
  for (let y = 0, to = 0; y < side; y++) {
    let from = ((top + y) * width + left) * channels;
    for (let x = 0; x < side; x++, from += channels, to += 3) {
      const alpha = channels === 4 ? data[from + 3] : 255;
      for (let c = 0; c < 3; c++) {
        rgb[to + c] = alpha === 255 ? data[from + c] : onWhite(data[from + c], alpha);
      }
    }
  }
  return { side, rgb };
}

/** A value over white, rounded as Pillow rounds it. */
function onWhite(value, alpha) {
  const sum = (value * alpha + 255 * (255 - alpha)) * 128 + 128 * 128;
  return (((sum >> 8) + sum) >> 8) >> 7;
}

/** A square of `side` pixels at `size`: columns first, then rows, rounded to bytes between. */
function resize(rgb, side, size) {
  const taps = tapsOf(side, size);
  const narrow = pass(rgb, side, taps, { line: side * 3, step: 3, toLine: size * 3, toStep: 3 });
  return pass(narrow, size, taps, { line: 3, step: size * 3, toLine: 3, toStep: size * 3 });
}

/** Weighted sums along one axis of a picture, for each of `lines` lines across it. */
function pass(from, lines, taps, { line, step, toLine, toStep }) {
  const to = new Uint8Array(lines * taps.length * 3);
  for (let i = 0; i < lines; i++) {
    for (let k = 0; k < taps.length; k++) {
      const { first, weights } = taps[k];
      let at = i * line + first * step;
      let [red, green, blue] = [HALF, HALF, HALF];
      for (let j = 0; j < weights.length; j++, at += step) {
        red += from[at] * weights[j];
        green += from[at + 1] * weights[j];
        blue += from[at + 2] * weights[j];
      }
      const out = i * toLine + k * toStep;
      to[out] = toByte(red);
      to[out + 1] = toByte(green);
      to[out + 2] = toByte(blue);
    }
  }
  return to;
}

function toByte(sum) {
  return Math.min(255, Math.max(0, sum >> PRECISION));
}

/** Which pixels make each new one, and how much of each: a triangle as wide as two new pixels. */
function tapsOf(side, size) {
  const scale = side / size;
  const reach = Math.max(scale, 1);
  return Array.from({ length: size }, (_, k) => {
    const centre = (k + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - reach + 0.5));
    const last = Math.min(side, Math.trunc(centre + reach + 0.5));
    const parts = [];
    let sum = 0;
    for (let x = first; x < last; x++) {
      parts.push(Math.max(0, 1 - Math.abs((x - centre + 0.5) * (1 / reach))));
      sum += parts.at(-1);
    }
    const weights = parts.map((part) => Math.trunc(0.5 + (part / sum) * (1 << PRECISION)));
    return { first, weights: Int32Array.from(weights) };
  });
}
