// ONNX Runtime for Node.js, on one thread.

import ort from "onnxruntime-node";
import { drive } from "./drive.mjs";

await drive(async (file) => {
  const session = await ort.InferenceSession.create(file, {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
  });
  return async (images, shape) => {
    const given = new ort.Tensor("uint8", images, shape);
    const { codes } = await session.run({ images: given }, ["codes"]);
    return [codes.data, codes.dims[1]];
  };
});
