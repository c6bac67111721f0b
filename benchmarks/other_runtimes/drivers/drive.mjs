// What the drivers in JavaScript do: as drive.py, for Node.js.
//
//     node DRIVER FILE WORK PASSES

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const BATCH = 16;

// Uint8Array and shape of what numpy.save wrote.
function readImages(path) {
  const content = readFileSync(path);
  const start = 10 + content.readUInt16LE(8);
  const shape = /'shape': \(([^)]*)\)/.exec(content.toString("latin1", 10, start))[1];
  return [new Uint8Array(content.subarray(start)), shape.split(",").map(Number)];
}

// What numpy.load reads.
function writeCodes(path, rows, width) {
  const about = `{'descr': '|u1', 'fortran_order': False, 'shape': (${rows.length / width}, ${width}), }`;
  const text = about.padEnd(117) + "\n";
  const head = Buffer.from("\x93NUMPY\x01\x00\x76\x00" + text, "latin1");
  writeFileSync(path, Buffer.concat([head, rows]));
}

// prepare(file) gives run(bytes, shape), which gives [packed codes, bytes of one].
export async function drive(prepare) {
  const [file, work, passes] = process.argv.slice(2);
  const [pixels, [count, ...shape]] = readImages(join(work, "images.npy"));
  const run = await prepare(file, work);
  const size = shape.reduce((a, b) => a * b);
  const part = (i) => {
    const images = pixels.subarray(i * size, (i + BATCH) * size);
    return run(images, [images.length / size, ...shape]);
  };
  const found = [];
  let width = 0;
  for (let i = 0; i < count; i += BATCH) {
    const [codes, bytes] = await part(i);
    found.push(Buffer.from(codes));
    width = bytes;
  }
  writeCodes(join(work, "codes.npy"), Buffer.concat(found), width);
  const seconds = [];
  for (let pass = 0; pass < Number(passes); pass++) {
    const began = process.cpuUsage();
    await part(0);
    const { user, system } = process.cpuUsage(began);
    seconds.push((user + system) / 1e6 / BATCH);
  }
  console.log(JSON.stringify(seconds));
}
