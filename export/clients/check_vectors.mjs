// Runs the vectors through prepare.mjs: node check_vectors.mjs. Fails at the first other byte.

import { readdirSync, readFileSync } from "node:fs";
import { prepare } from "./prepare.mjs";

const folder = new URL("vectors/", import.meta.url);
const names = readdirSync(folder).filter((name) => name.endsWith(".bin"));
for (const name of names) {
  const [width, height, channels, size] = name.match(/\d+/g).map(Number);
  const bytes = readFileSync(new URL(name, folder));
  const count = width * height * channels;
  const found = prepare(bytes.subarray(0, count), width, height, size);
  const differ = found.filter((value, at) => value !== bytes[count + at]).length;
  if (found.length !== bytes.length - count || differ) {
    console.error(`${name}: ${differ} of ${found.length} bytes differ`);
    process.exit(1);
  }
}
console.log(`${names.length} vectors: every byte is the same`);
