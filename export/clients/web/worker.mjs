// The worker of `encoder.mjs`: first it is given an encoder to load, then pictures to code.

import { loadHere } from "./onnx_encoder.mjs";

let encoder = null;
let last = Promise.resolve(); // what was asked before: the runtime does one thing at a time

addEventListener("message", ({ data }) => {
  last = last.then(() => answer(data));
});

async function answer({ number, file, model, runtime }) {
  try {
    postMessage({ number, found: file ? await encoder.encode(file) : await load(model, runtime) });
  } catch ({ name, message }) {
    postMessage({ number, error: { name, message } });
  }
}

async function load(model, runtime) {
  encoder = await loadHere(model, runtime);
  const { modelId, bits, size } = encoder;
  return { modelId, bits, size };
}
