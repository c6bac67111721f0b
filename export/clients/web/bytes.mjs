// Numbers and texts in bytes; behind the end there are zeros, so that nothing has to be asked twice.

export const u16 = (bytes, at, little = false) =>
  little ? byte(bytes, at) + 256 * byte(bytes, at + 1) : 256 * byte(bytes, at) + byte(bytes, at + 1);

export const u32 = (bytes, at, little = false) =>
  little
    ? u16(bytes, at, true) + 65536 * u16(bytes, at + 2, true)
    : 65536 * u16(bytes, at) + u16(bytes, at + 2);

/** With a sign. */
export const i32 = (bytes, at) => u32(bytes, at) | 0;

/** Bytes as text, a character each; ASCII is what it means. */
export const text = (bytes, from, to) => new TextDecoder("latin1").decode(bytes.subarray(from, to));

export const begins = (bytes, wanted, at = 0) => text(bytes, at, at + wanted.length) === wanted;

/** Several pieces behind each other. */
export function joined(pieces) {
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

const byte = (bytes, at) => bytes[at] ?? 0;
