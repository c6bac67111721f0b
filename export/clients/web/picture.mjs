// From an image file to the pixels that an encoder takes, in a browser: as Python has them, or with
// a word on what may differ, or refused.

import { prepare } from "../prepare.mjs";
import { begins } from "./bytes.mjs";
import { readJpeg } from "./jpeg.mjs";
import { readPng } from "./png.mjs";
import { Refused } from "./refused.mjs";

/**
 * What a file says before it is decoded.
 *
 * @typedef {object} Said
 * @property {string} type Media type.
 * @property {number} width As it is stored, in pixels.
 * @property {number} height Likewise.
 * @property {boolean} alpha Whether it may have transparent parts.
 * @property {number} orientation By EXIF, 1 to 8.
 * @property {boolean} srgb Whether no colours have to be converted.
 * @property {Uint8Array[]} bare The file in pieces, without what browsers read in ways of their own.
 */

/**
 * Rows of pixels, 8 bits a channel.
 *
 * @typedef {object} Pixels
 * @property {Uint8Array|Uint8ClampedArray} data RGB or RGBA.
 * @property {number} width
 * @property {number} height
 */

/** Ways of EXIF to lie: whether rows and columns are exchanged; then what is reversed, x and y. */
const WAYS = {
  2: [false, true, false],
  3: [false, true, true],
  4: [false, false, true],
  5: [true, false, false],
  6: [true, true, false],
  7: [true, true, true],
  8: [true, false, true],
};

/**
 * Decodes a picture, and makes of it what an encoder takes.
 *
 * @param {Blob} file
 * @param {number} size Side in pixels.
 * @returns {Promise<{pixels: Uint8Array, differs: string[]}>} RGB, `size * size * 3` bytes; and why
 *   some of them may be others than Python's.
 * @throws {Refused} It cannot be read here, or not as Python reads it.
 */
export async function pixelsOf(file, size) {
  const said = await read(new Uint8Array(await file.arrayBuffer()));
  const step = said.type === "image/jpeg" ? stepOf(said, size) : 1;
  const browser = await asExpected();
  if (!browser.png) throw new Refused("this browser changes the pixels that a page reads");
  const differs = [
    step > 1 && "it is a large JPEG, which only browsers decode in full",
    !said.srgb && "its colours are converted by the browser",
    said.type === "image/jpeg" && !browser.jpeg && "this browser decodes JPEG in a way of its own",
  ].filter(Boolean);
  const stored = averaged(await decode(said), step);
  const { data, width, height } = turned(stored, said.orientation);
  return { pixels: prepare(data, width, height, size), differs };
}

async function read(bytes) {
  if (begins(bytes, "\u00ff\u00d8\u00ff")) return readJpeg(bytes);
  if (begins(bytes, "PNG\r\n", 1)) return readPng(bytes);
  throw new Refused("it is neither JPEG nor PNG");
}

/** Of how many pixels along a side Python makes one when it decodes a JPEG. */
function stepOf({ width, height }, size) {
  const reach = Math.min(Math.floor(width / (2 * size)), Math.floor(height / (2 * size)));
  return [8, 4, 2].find((step) => reach >= step) ?? 1;
}

/** The pixels as they are stored. */
async function decode({ type, width, height, alpha, bare }) {
  let found;
  try {
    found = await (alpha ? withAlpha(bare, type) : opaque(bare, type));
  } catch (error) {
    throw error instanceof Refused ? error : new Refused("this browser cannot decode it");
  }
  if (found.width !== width || found.height !== height) throw new Refused("it is damaged");
  return found;
}

async function opaque(bare, type) {
  const bitmap = await createImageBitmap(new Blob(bare, { type }));
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const paint = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
  paint.drawImage(bitmap, 0, 0);
  bitmap.close();
  return paint.getImageData(0, 0, canvas.width, canvas.height);
}

/** A canvas loses colours of transparent parts; a decoder gives them. */
async function withAlpha(bare, type) {
  if (typeof ImageDecoder === "undefined") throw new Refused("it may have transparent parts, which this browser does not give as they are");
  const decoder = new ImageDecoder({ type, data: new Blob(bare).stream(), premultiplyAlpha: "none" });
  const { image } = await decoder.decode();
  const data = new Uint8Array(image.allocationSize({ format: "RGBA" }));
  await image.copyTo(data, { format: "RGBA" });
  const { codedWidth: width, codedHeight: height } = image;
  image.close();
  decoder.close();
  return { data, width, height };
}

/** The picture at a fraction: of `step` times `step` pixels the mean, RGB. */
export function averaged({ data, width, height }, step) {
  if (step === 1) return { data, width, height };
  const [across, down] = [Math.ceil(width / step), Math.ceil(height / step)];
  const to = new Uint8Array(across * down * 3);
  for (let y = 0, at = 0; y < down; y++) {
    const [top, bottom] = [y * step, Math.min(height, (y + 1) * step)];
    for (let x = 0; x < across; x++, at += 3) {
      const [left, right] = [x * step, Math.min(width, (x + 1) * step)];
      const count = (bottom - top) * (right - left);
      let [red, green, blue] = [count >> 1, count >> 1, count >> 1];
      for (let row = top; row < bottom; row++) {
        for (let from = 4 * (row * width + left), k = left; k < right; k++, from += 4) {
          red += data[from];
          green += data[from + 1];
          blue += data[from + 2];
        }
      }
      to[at] = red / count;
      to[at + 1] = green / count;
      to[at + 2] = blue / count;
    }
  }
  return { data: to, width: across, height: down };
}

/** The picture upright. */
export function turned(stored, orientation) {
  const way = WAYS[orientation];
  if (!way) return stored;
  const [exchanged, mirrored, upsideDown] = way;
  const { data, width, height } = stored;
  const channels = data.length / (width * height);
  const [across, down] = exchanged ? [height, width] : [width, height];
  const to = new Uint8Array(data.length);
  for (let y = 0, at = 0; y < down; y++) {
    const v = upsideDown ? down - 1 - y : y;
    for (let x = 0; x < across; x++) {
      const u = mirrored ? across - 1 - x : x;
      const from = channels * (exchanged ? u * width + v : v * width + u);
      for (let c = 0; c < channels; c++) to[at++] = data[from + c];
    }
  }
  return { data: to, width: across, height: down };
}

let expected = null;

/** Whether this browser gives the pixels of a JPEG and of a PNG as they are expected: tried once. */
function asExpected() {
  expected ??= probe();
  return expected;
}

async function probe() {
  const part = async (name) => (await fetch(new URL(name, import.meta.url))).arrayBuffer();
  const [wanted, ...files] = await Promise.all(["probe.rgb", "probe.jpg", "probe.png"].map(part));
  const [jpeg, png] = await Promise.all(files.map((file, k) => gives(file, k ? "image/png" : "image/jpeg", new Uint8Array(wanted))));
  return { jpeg, png };
}

async function gives(file, type, wanted) {
  const { data } = await opaque([file], type);
  return wanted.every((value, k) => data[4 * Math.floor(k / 3) + (k % 3)] === value);
}
