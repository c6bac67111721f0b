// An encoder in a browser: the ONNX file of an export in ONNX Runtime Web. Pictures stay where they
// are; what is fetched is the encoder, the runtime, and the files of this module.

import { metadataOf } from "./onnx_metadata.mjs";
import { pixelsOf } from "./picture.mjs";

export { Refused } from "./refused.mjs";

/** The rule of decoding that is followed here; see `ssah_tf.data.decode`. */
const RULE = "2";

/**
 * Loads an encoder.
 *
 * @param {string|URL} model Address of `encoder.onnx`.
 * @param {string|URL} runtime Address of the folder with `ort.wasm.bundle.min.mjs` and
 *   `ort-wasm-simd-threaded.wasm`, of the npm package onnxruntime-web. It ends with a slash.
 * @returns {Promise<BrowserEncoder>}
 * @throws {Error} A file is missing, or is not an encoder that is understood here.
 */
export async function loadEncoder(model, runtime) {
  const folder = new URL(runtime, document.baseURI);
  const [ort, content] = await Promise.all([import(new URL("ort.wasm.bundle.min.mjs", folder).href), fetched(model)]);
  const about = metadataOf(content);
  const missing = ["model_id", "bits", "image_size"].filter((key) => !about.has(key));
  if (missing.length) throw new Error(`not an encoder of ssah-tf (${missing.join(", ")} missing)`);
  if (about.has("form")) throw new Error("a file for other runtimes: load encoder.onnx");
  if (about.get("decode_rule") !== RULE) throw new Error("an encoder with another rule of decoding: export it again");
  ort.env.wasm.numThreads = 1; // more need a page that is isolated from others
  const exactIntegers = { session: { x64quantprecision: "1" } };
  const session = await ort.InferenceSession.create(content, { executionProviders: ["wasm"], extra: exactIntegers });
  return new BrowserEncoder(session, ort.Tensor, about);
}

/**
 * Codes pictures in a browser.
 *
 * @property {string} modelId Codes of two ids must not be compared.
 * @property {number} bits Length of a code.
 * @property {number} size Side in pixels to which pictures are cropped and resized.
 */
export class BrowserEncoder {
  constructor(session, Tensor, about) {
    this.session = session;
    this.Tensor = Tensor;
    this.modelId = about.get("model_id");
    this.bits = Number(about.get("bits"));
    this.size = Number(about.get("image_size"));
    this.outputs = Number(about.get("appearance_bits") ?? 0) ? ["codes", "appearance"] : ["codes"];
  }

  /**
   * The code of a picture: that of Python, to the last bit, if `differs` is empty.
   *
   * @param {Blob} file JPEG or PNG.
   * @returns {Promise<{code: string, appearance: string, differs: string[]}>} Hexadecimal; the
   *   appearance code is "" if the encoder has none. `differs` says why some bits may be others.
   * @throws {Refused} It cannot be read here, or not as Python reads it.
   */
  async encode(file) {
    const { pixels, differs } = await pixelsOf(file, this.size);
    const images = new this.Tensor("uint8", pixels, [1, this.size, this.size, 3]);
    const found = await this.session.run({ images }, this.outputs);
    const [code, appearance = ""] = this.outputs.map((name) => hexadecimal(found[name].data));
    return { code, appearance, differs };
  }
}

async function fetched(address) {
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`the encoder does not come: status ${answer.status}`);
  return new Uint8Array(await answer.arrayBuffer());
}

const hexadecimal = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
