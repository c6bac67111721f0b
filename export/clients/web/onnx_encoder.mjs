// The ONNX file of an export in ONNX Runtime Web, in the thread that loads it. What is fetched is the
// encoder, the runtime, and the files of this module.

import { metadataOf } from "./onnx_metadata.mjs";
import { pixelsOf } from "./picture.mjs";

/** The rule of decoding that is followed here; see `ssah_tf.data.decode`. */
const RULE = "2";

/** Loads an encoder; see `loadEncoder` of `encoder.mjs`. Both addresses are whole ones. */
export async function loadHere(model, runtime) {
  const [ort, content] = await Promise.all([import(new URL("ort.wasm.bundle.min.mjs", runtime).href), fetched(model)]);
  const about = metadataOf(content);
  const missing = ["model_id", "bits", "image_size"].filter((key) => !about.has(key));
  if (missing.length) throw new Error(`not an encoder of ssah-tf (${missing.join(", ")} missing)`);
  if (about.has("form")) throw new Error("a file for other runtimes: load encoder.onnx");
  if (about.get("decode_rule") !== RULE) throw new Error("an encoder with another rule of decoding: export it again");
  ort.env.wasm.numThreads = 1; // more need a page that is isolated from others
  const exactIntegers = { session: { x64quantprecision: "1" } };
  const session = await ort.InferenceSession.create(content, { executionProviders: ["wasm"], extra: exactIntegers });
  return new OnnxEncoder(session, ort.Tensor, about);
}

/** Codes pictures, one at a time; see `BrowserEncoder` of `encoder.mjs`. */
export class OnnxEncoder {
  constructor(session, Tensor, about) {
    this.session = session;
    this.Tensor = Tensor;
    this.modelId = about.get("model_id");
    this.bits = Number(about.get("bits"));
    this.size = Number(about.get("image_size"));
    this.outputs = Number(about.get("appearance_bits") ?? 0) ? ["codes", "appearance"] : ["codes"];
  }

  /** The code of a picture; see `BrowserEncoder.encode`. */
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
