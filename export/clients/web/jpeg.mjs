// What the segments of a JPEG file say, and the file without those that programs read in their own
// ways.

import { begins, joined, u16 } from "./bytes.mjs";
import { orientationOf } from "./exif.mjs";
import { Refused } from "./refused.mjs";
import { isSrgb } from "./srgb.mjs";

const EXIF = "Exif\0\0";
const XMP = "http://ns.adobe.com/xap/1.0/\0";
const ICC = "ICC_PROFILE\0";
const [SCAN, COMMENT] = [0xda, 0xfe];
/** Of the segments of programs only these change how the pixels are decoded. */
const [JFIF, ADOBE] = [0xe0, 0xee];

/**
 * Reads the segments before the pixels.
 *
 * @param {Uint8Array} bytes A file that begins as JPEG.
 * @returns {import("./picture.mjs").Said}
 * @throws {Refused} It is damaged, or is not decoded alike by all.
 */
export function readJpeg(bytes) {
  const kept = [bytes.subarray(0, 2)];
  const [exif, icc] = [[], []];
  let packet = null;
  let frame = null;
  for (let at = 2; ; ) {
    if (bytes[at] !== 0xff) throw new Refused("it is damaged");
    const marker = bytes[at + 1];
    if (marker === 0xff) {
      at += 1; // a byte that fills up
      continue;
    }
    if (marker === SCAN) {
      kept.push(bytes.subarray(at));
      break;
    }
    const end = at + 2 + u16(bytes, at + 2);
    const body = bytes.subarray(at + 4, end);
    if (marker < 0xc0 || end < at + 4 || end > bytes.length) throw new Refused("it is damaged");
    if (marker === 0xe1 && begins(body, EXIF)) exif.push(body.subarray(EXIF.length));
    else if (marker === 0xe1 && begins(body, XMP)) packet = body.subarray(XMP.length);
    else if (marker === 0xe2 && begins(body, ICC)) icc.push(body.subarray(ICC.length));
    else if (isFrame(marker)) frame = { bits: body[0], height: u16(body, 1), width: u16(body, 3), samples: body[5] };
    const ofPrograms = (marker >= 0xe0 && marker <= 0xef) || marker === COMMENT;
    if (!ofPrograms || marker === JFIF || marker === ADOBE) kept.push(bytes.subarray(at, end));
    at = end;
  }
  if (!frame?.width || !frame.height) throw new Refused("it is damaged");
  if (frame.samples === 4) throw new Refused("it is CMYK, which browsers turn into RGB in ways of their own");
  if (frame.bits !== 8 || ![1, 3].includes(frame.samples)) throw new Refused("it is of a rare kind of JPEG");
  const profile = profileOf(icc);
  const srgb = !profile || isSrgb(profile);
  if (!srgb) kept.splice(1, 0, ...icc.map(segment));
  return {
    type: "image/jpeg",
    width: frame.width,
    height: frame.height,
    alpha: false,
    orientation: orientationOf(exif.length ? joined(exif) : null, packet),
    srgb,
    bare: kept,
  };
}

const isFrame = (marker) => marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);

/** A profile of its pieces, each behind its number and how many there are; null for none. */
function profileOf(pieces) {
  const inOrder = [...pieces].sort((one, other) => one[0] - other[0]);
  if (!inOrder.length || inOrder[0][1] !== inOrder.length) return null;
  return joined(inOrder.map((piece) => piece.subarray(2)));
}

function segment(piece) {
  const size = 2 + ICC.length + piece.length;
  const head = [0xff, 0xe2, size >> 8, size & 255, ...new TextEncoder().encode(ICC)];
  return joined([Uint8Array.from(head), piece]);
}
