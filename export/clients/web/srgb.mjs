// Whether a colour profile is that of sRGB: ssah_tf.data.icc.is_srgb, in the same whole numbers.

import { i32, text, u16, u32 } from "./bytes.mjs";

/** Colorants of sRGB in 65,536ths, X, Y, Z each, and how far others may lie beside them. */
const COLORANTS = { rXYZ: [28578, 14581, 912], gXYZ: [25241, 46981, 6362], bXYZ: [9376, 3976, 46799] };
const COLORANT_SLACK = 131;
/** Parameters of its curve in 65,536ths, likewise. */
const CURVE = [157286, 62119, 3417, 5072, 2651];
const CURVE_SLACK = 66;
/** Tags with tables: such a profile is not told by its colorants and curves. */
const TABLES = ["A2B0", "A2B1", "A2B2", "D2B0", "D2B1", "D2B2", "D2B3"];
const MOST_TAGS = 100;
/** Longest table of a curve. */
const LONGEST = 65536;

/**
 * Whether a profile is that of sRGB, or of grey with its curve, whoever wrote it.
 *
 * @param {Uint8Array} profile
 */
export function isSrgb(profile) {
  const held = tagsOf(profile);
  if (!held.size || TABLES.some((name) => held.has(name))) return false;
  const tag = (name) => held.get(name) ?? new Uint8Array();
  if (text(profile, 16, 20) === "GRAY") return isCurve(tag("kTRC"));
  if (text(profile, 16, 24) !== "RGB XYZ ") return false;
  return (
    Object.entries(COLORANTS).every(
      ([name, wanted]) => isNear(tag(name), "XYZ ", 8, wanted, COLORANT_SLACK),
    ) && ["rTRC", "gTRC", "bTRC"].every((name) => isCurve(tag(name)))
  );
}

function tagsOf(profile) {
  const found = new Map();
  const count = u32(profile, 128);
  if (text(profile, 36, 40) !== "acsp" || count > MOST_TAGS) return found;
  if (profile.length < 132 + 12 * count) return found;
  for (let k = 0; k < count; k++) {
    const at = 132 + 12 * k;
    const [name, start] = [text(profile, at, at + 4), u32(profile, at + 4)];
    if (!found.has(name)) found.set(name, profile.subarray(start, start + u32(profile, at + 8)));
  }
  return found;
}

function isNear(tag, kind, start, wanted, slack) {
  if (text(tag, 0, 4) !== kind || tag.length < start + 4 * wanted.length) return false;
  return wanted.every((value, k) => Math.abs(i32(tag, start + 4 * k) - value) <= slack);
}

function isCurve(tag) {
  const kind = text(tag, 0, 4);
  if (kind === "para") return u16(tag, 8) === 3 && isNear(tag, kind, 12, CURVE, CURVE_SLACK);
  const count = u32(tag, 8);
  if (kind !== "curv" || count < 2 || count > LONGEST || tag.length < 12 + 2 * count) return false;
  const entry = (k) => u16(tag, 12 + 2 * Math.min(k, count - 1));
  for (let level = 0; level < 256; level++) {
    const place = level * (count - 1);
    const [left, part] = [Math.floor(place / 255), place % 255];
    const light = entry(left) * (255 - part) + entry(left + 1) * part; // in 65,535ths, times 255
    if (light < Math.floor(lightOf(level - 1)) || light > Math.ceil(lightOf(level + 1))) return false;
  }
  return true;
}

/** Light of a level of sRGB (IEC 61966-2-1), in 65,535ths, times 255. */
function lightOf(level) {
  const v = level / 255;
  const light = v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  return light * 65535 * 255;
}
