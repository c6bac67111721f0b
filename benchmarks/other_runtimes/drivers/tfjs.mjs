// TensorFlow.js with its WebAssembly, as browsers run it, from the SavedModel.

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { drive } from "./drive.mjs";

const require = createRequire(import.meta.url);
const tf = require("@tensorflow/tfjs-core");
require("@tensorflow/tfjs-backend-wasm");
const { loadGraphModel } = require("@tensorflow/tfjs-converter");

await tf.setBackend("wasm");

await drive(async (folder, work) => {
  const target = join(work, "tfjs");
  const convert = [join(import.meta.dirname, "tfjs_convert.py"), folder, target];
  execFileSync(join(import.meta.dirname, "bin", "python"), convert, { stdio: ["ignore", "ignore", "inherit"] });
  const model = await loadGraphModel({ load: async () => artefacts(target) });
  return async (images, shape) => {
    const given = tf.tensor(Int32Array.from(images), shape, "int32");
    const codes = model.execute(given);
    const found = [Uint8Array.from(await codes.data()), codes.shape[1]];
    tf.dispose([given, codes]);
    return found;
  };
});

// What a graph model consists of, from its folder.
function artefacts(folder) {
  const { modelTopology, weightsManifest, signature, format } = JSON.parse(readFileSync(join(folder, "model.json")));
  const parts = weightsManifest.flatMap(({ paths }) => paths.map((path) => readFileSync(join(folder, path))));
  const whole = Uint8Array.from(Buffer.concat(parts));
  return {
    modelTopology,
    weightSpecs: weightsManifest.flatMap(({ weights }) => weights),
    weightData: whole.buffer,
    signature,
    format,
  };
}
