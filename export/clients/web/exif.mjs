// How a picture lies, by EXIF, or by XMP if that names nothing: as Pillow understands them.

import { text, u16, u32 } from "./bytes.mjs";
import { Refused } from "./refused.mjs";

const ORIENTATION = 0x0112;
const [SHORT, LONG] = [3, 4];

/**
 * The orientation of a picture.
 *
 * @param {Uint8Array|null} exif From the header of TIFF on; null for none.
 * @param {Uint8Array|null} packet Of XMP; null for none.
 * @returns {number} 1 to 8; 1 is upright.
 * @throws {Refused} It cannot be told.
 */
export function orientationOf(exif, packet) {
  const named = (exif && ofExif(exif)) ?? (packet && ofXmp(packet)) ?? 1;
  return named >= 1 && named <= 8 ? named : 1;
}

function ofExif(exif) {
  const header = text(exif, 0, 4);
  if (!["II*\0", "MM\0*"].includes(header)) throw new Refused("its EXIF data are damaged");
  const little = header.startsWith("I");
  const directory = u32(exif, 4, little);
  for (let k = 0, count = u16(exif, directory, little); k < count; k++) {
    const at = directory + 2 + 12 * k;
    if (at + 12 > exif.length) break;
    if (u16(exif, at, little) !== ORIENTATION) continue;
    const [type, values] = [u16(exif, at + 2, little), u32(exif, at + 4, little)];
    if (![SHORT, LONG].includes(type) || values !== 1) {
      throw new Refused("its EXIF data name an orientation of an odd kind");
    }
    return type === SHORT ? u16(exif, at + 8, little) : u32(exif, at + 8, little);
  }
  return null;
}

function ofXmp(packet) {
  const found = /tiff:Orientation(="|>)([0-9])/.exec(text(packet));
  return found && Number(found[2]);
}
