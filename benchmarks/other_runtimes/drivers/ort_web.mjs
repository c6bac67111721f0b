// ONNX Runtime Web: WebAssembly, as browsers run it, on one thread.

import * as ort from "onnxruntime-web";
import { readFileSync } from "node:fs";
import { drive } from "./drive.mjs";

ort.env.wasm.numThreads = 1;

await drive(async (file) => {
  const session = await ort.InferenceSession.create(readFileSync(file), {
    executionProviders: ["wasm"],
  });
  return async (images, shape) => {
    const given = new ort.Tensor("uint8", images, shape);
    const { codes } = await session.run({ images: given }, ["codes"]);
    return [codes.data, codes.dims[1]];
  };
});
