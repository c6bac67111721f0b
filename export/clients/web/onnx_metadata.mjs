// What an ONNX file says of itself: the fields `metadata_props` of its message `ModelProto`.

const METADATA = 14;
const [KEY, VALUE] = [1, 2];
/** Kinds of fields of Protocol Buffers. */
const [VARINT, EIGHT_BYTES, LENGTH, FOUR_BYTES] = [0, 1, 2, 5];

/**
 * Metadata of an ONNX file.
 *
 * @param {Uint8Array} content The file.
 * @returns {Map<string, string>}
 * @throws {Error} It is no such file.
 */
export function metadataOf(content) {
  const found = new Map();
  for (const { number, body } of fields(content)) {
    if (number !== METADATA || !body) continue;
    const entry = new Map([...fields(body)].map((field) => [field.number, new TextDecoder().decode(field.body)]));
    found.set(entry.get(KEY) ?? "", entry.get(VALUE) ?? "");
  }
  return found;
}

/** The fields of a message, one after another: its number, and its bytes if it has a length. */
function* fields(message) {
  let at = 0;
  const varint = () => {
    let [value, factor] = [0, 1];
    for (;;) {
      if (at >= message.length) throw new Error("not an ONNX file");
      const byte = message[at++];
      value += (byte & 127) * factor;
      if (byte < 128) return value;
      factor *= 128;
    }
  };
  while (at < message.length) {
    const tag = varint();
    const number = Math.floor(tag / 8);
    let body = null;
    if (tag % 8 === VARINT) varint();
    else if (tag % 8 === EIGHT_BYTES) at += 8;
    else if (tag % 8 === FOUR_BYTES) at += 4;
    else if (tag % 8 === LENGTH) {
      const size = varint();
      body = message.subarray(at, at + size);
      at += size;
    } else throw new Error("not an ONNX file");
    if (at > message.length) throw new Error("not an ONNX file");
    yield { number, body };
  }
}
