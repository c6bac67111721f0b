// What the chunks of a PNG file say, and the file without those that programs read in their own
// ways.

import { begins, text, u32 } from "./bytes.mjs";
import { orientationOf } from "./exif.mjs";
import { Refused } from "./refused.mjs";
import { isSrgb } from "./srgb.mjs";

const PIXELS = ["IHDR", "PLTE", "tRNS", "IDAT", "IEND"];
const COLOURS = ["iCCP", "sRGB", "gAMA", "cHRM"];
const XMP = "XML:com.adobe.xmp\0";
/** Keywords of texts that Pillow takes for what a file says of its pixels. */
const SPOKEN = /^(exif|xmp|transparency|icc_profile|srgb|gamma|chromaticity|interlace|bbox|default_image|Raw profile type exif)(\0|$)/;
/** gAMA that counts as that of sRGB; see `ssah_tf.data.png`. */
const [LEAST_GAMMA, MOST_GAMMA] = [43182, 47727];
const SRGB = "\x01\x0d\0\x01"; // as cICP says it
const PALETTE = 3;

/**
 * Reads the chunks.
 *
 * @param {Uint8Array} bytes A file that begins as PNG.
 * @returns {Promise<import("./picture.mjs").Said>}
 * @throws {Refused} It is damaged, or is not decoded alike by all.
 */
export async function readPng(bytes) {
  const chunks = chunksOf(bytes);
  const first = (name) => chunks.find((chunk) => chunk.name === name)?.body;
  const head = first("IHDR");
  if (!head || !first("IDAT")) throw new Refused("it is damaged");
  if (head[8] > 8) throw new Refused("it has 16 bits a colour, browsers give a page 8");
  const srgb = await isInSrgb(first);
  const wanted = srgb ? PIXELS : [...PIXELS, ...COLOURS];
  return {
    type: "image/png",
    width: u32(head, 0),
    height: u32(head, 4),
    alpha: head[9] > PALETTE || Boolean(first("tRNS")),
    orientation: orientationOf(first("eXIf") ?? null, packetOf(chunks)),
    srgb,
    bare: [bytes.subarray(0, 8), ...chunks.filter(({ name }) => wanted.includes(name)).map(({ whole }) => whole)],
  };
}

function chunksOf(bytes) {
  const chunks = [];
  let pixels = false;
  for (let at = 8; at < bytes.length; ) {
    const end = at + 12 + u32(bytes, at);
    if (end > bytes.length) throw new Refused("it is damaged");
    const name = text(bytes, at + 4, at + 8);
    const body = bytes.subarray(at + 8, end - 4);
    pixels ||= name === "IDAT";
    if (name === "eXIf" && (pixels || chunks.some((chunk) => chunk.name === name))) {
      throw new Refused("it has EXIF data where they are not expected");
    }
    chunks.push({ name, body, whole: bytes.subarray(at, end), behind: pixels });
    if (name === "IEND") break;
    at = end;
  }
  return chunks;
}

/** The packet of XMP, null for none; texts that may mean more than they seem to are refused. */
function packetOf(chunks) {
  let packet = null;
  for (const { name, body, behind } of chunks) {
    if (!["tEXt", "zTXt", "iTXt"].includes(name)) continue;
    const isPacket = begins(body, XMP);
    const packed = name === "zTXt" || (name === "iTXt" && body[XMP.length] !== 0);
    if (SPOKEN.test(text(body, 0, 80)) || (isPacket && (packed || behind))) {
      throw new Refused("a text in it may say how it lies");
    }
    if (isPacket) packet = body;
  }
  return packet;
}

/** Whether its colours are those of sRGB; see `ssah_tf.data.png.png_profile`. */
async function isInSrgb(first) {
  const coding = first("cICP");
  if (coding) {
    if (text(coding) !== SRGB) throw new Refused("its chunk cICP says that it is not sRGB");
    return true;
  }
  const profile = first("iCCP");
  if (profile) return isSrgb(await unpacked(profile.subarray(profile.indexOf(0) + 2)));
  const gamma = first("gAMA");
  if (first("sRGB") || !gamma) return true;
  const value = u32(gamma, 0);
  return !first("cHRM") && value >= LEAST_GAMMA && value <= MOST_GAMMA;
}

async function unpacked(packed) {
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  try {
    return new Uint8Array(await new Response(stream).arrayBuffer());
  } catch {
    throw new Refused("its colour profile is damaged");
  }
}
