// Codes of image files by ONNX Runtime in JavaScript.
//
//   npm install onnxruntime-node sharp
//   node encode.mjs runs/folder/export/encoder.onnx photo.jpg ...
//   find photos -name "*.jpg" | node encode.mjs runs/folder/export/encoder.onnx
//
// Prints a line an image: the code in hexadecimal, and the file. A file of just the encoder's size
// gets the code that Python gives it. Others are resized by sharp, which rounds otherwise than the
// rule of training: a few bits may differ, so let one side, this or Python, encode all images.

import { createInterface } from "node:readline";
import { InferenceSession, Tensor } from "onnxruntime-node";
import sharp from "sharp";

const [model, ...named] = process.argv.slice(2);
if (!model) {
  console.error("usage: node encode.mjs encoder.onnx [IMAGE...]");
  process.exit(2);
}
// Many files come by standard input, round a crash of onnxruntime-node 1.30.
const files = named.length ? named : createInterface({ input: process.stdin });
const session = await InferenceSession.create(model);
const size = session.inputMetadata[0].shape[1];

for await (const file of files) {
  const upright = await sharp(file).rotate().flatten({ background: "white" }).toColourspace("srgb");
  const { data, info } = await upright.removeAlpha().raw().toBuffer({ resolveWithObject: true });
  const side = Math.min(info.width, info.height);
  const left = Math.floor((info.width - side) / 2);
  const top = Math.floor((info.height - side) / 2);
  let square = sharp(data, { raw: info }).extract({ left, top, width: side, height: side });
  if (side !== size) square = square.resize(size, size, { kernel: "linear" });
  const pixels = new Uint8Array(await square.raw().toBuffer());
  const images = new Tensor("uint8", pixels, [1, size, size, 3]);
  const { codes } = await session.run({ images }, ["codes"]);
  console.log(Buffer.from(codes.data).toString("hex"), file);
}
