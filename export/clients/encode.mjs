// Codes of image files by ONNX Runtime in JavaScript.
//
//   ONNXRUNTIME_NODE_INSTALL=skip npm install onnxruntime-node sharp
//   node encode.mjs runs/folder/export/encoder.onnx photo.jpg ...
//   find photos -name "*.jpg" | node encode.mjs runs/folder/export/encoder.onnx
//
// Prints a line an image: the code in hexadecimal, and the file. It is the code that Python gives,
// to the last bit, but where a line to standard error says what sharp decodes otherwise. Another line
// names each file that sharp cannot read, and the exit status is then 1.

import { createInterface } from "node:readline";
import { InferenceSession, Tensor } from "onnxruntime-node";
import sharp from "sharp";
import { prepare } from "./prepare.mjs";

const [model, ...named] = process.argv.slice(2);
if (!model) {
  console.error("usage: node encode.mjs encoder.onnx [IMAGE...]");
  process.exit(2);
}
// Many files come by standard input, round a crash of onnxruntime-node 1.30.
const files = named.length ? named : createInterface({ input: process.stdin });
const exactIntegers = { session: { x64quantprecision: "1" } };
const session = await InferenceSession.create(model, { extra: exactIntegers }).catch(({ message }) => {
  console.error(`${model}: cannot be loaded (${firstLine(message)})`);
  process.exit(1);
});
const size = session.inputMetadata[0].shape[1];

/** A message without what follows its first line. */
function firstLine(message) {
  return message.split("\n")[0].trim();
}

/** What of a file sharp does not decode as Python does, in words; empty if nothing. */
function otherwise({ format, width, height, space, depth, icc, xmp }) {
  return [
    !["jpeg", "png", "webp"].includes(format) && `it is ${format}`,
    format === "jpeg" && Math.min(width, height) >= 4 * size && "Python decodes it at a fraction",
    space === "cmyk" && "it is CMYK",
    depth !== "uchar" && "it has more than 8 bits",
    icc && "it has a colour profile",
    xmp?.includes("Orientation") && "it is turned by XMP",
  ].filter(Boolean);
}

/** Pixels of a file as the encoder takes them. Rejects what sharp cannot read. */
async function pixelsOf(file) {
  const differs = otherwise(await sharp(file).metadata());
  const upright = sharp(file).rotate().toColourspace("srgb").raw({ depth: "uchar" });
  const { data, info } = await upright.toBuffer({ resolveWithObject: true });
  if (differs.length) console.error(`${file}: a few bits may differ: ${differs.join(", ")}`);
  return prepare(data, info.width, info.height, size);
}

for await (const file of files) {
  const pixels = await pixelsOf(file).catch(({ message }) => {
    console.error(`skipped: ${file}: sharp cannot read it (${firstLine(message)})`);
    process.exitCode = 1;
  });
  if (!pixels) continue;
  const images = new Tensor("uint8", pixels, [1, size, size, 3]);
  const { codes } = await session.run({ images }, ["codes"]);
  console.log(Buffer.from(codes.data).toString("hex"), file);
}
