// An encoder in a browser. Pictures are coded in a worker, so that the page goes on meanwhile; they
// stay where they are.

import { Refused } from "./refused.mjs";

export { Refused };

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
  const whole = (address) => new URL(address, document.baseURI).href;
  const encoder = new BrowserEncoder(new Worker(new URL("worker.mjs", import.meta.url), { type: "module" }));
  try {
    return Object.assign(encoder, await encoder.ask({ model: whole(model), runtime: whole(runtime) }));
  } catch (error) {
    encoder.close();
    throw error;
  }
}

/**
 * Codes pictures in a worker, one after another.
 *
 * @property {string} modelId Codes of two ids must not be compared.
 * @property {number} bits Length of a code.
 * @property {number} size Side in pixels to which pictures are cropped and resized.
 */
export class BrowserEncoder {
  constructor(worker) {
    this.worker = worker;
    this.waiting = new Map(); // number of what was asked -> its promise
    this.asked = 0;
    worker.addEventListener("message", ({ data }) => this.take(data));
    worker.addEventListener("error", () => this.close("the browser cannot run the worker of the encoder"));
  }

  /**
   * The code of a picture: that of Python, to the last bit, if `differs` is empty.
   *
   * @param {Blob} file JPEG or PNG.
   * @returns {Promise<{code: string, appearance: string, differs: string[]}>} Hexadecimal; the
   *   appearance code is "" if the encoder has none. `differs` says why some bits may be others.
   * @throws {Refused} It cannot be read here, or not as Python reads it.
   */
  encode(file) {
    return this.ask({ file });
  }

  /** Ends the worker; what is still asked of it fails. */
  close(why = "the encoder is closed") {
    this.worker.terminate();
    this.closed = new Error(why);
    for (const { reject } of this.waiting.values()) reject(this.closed);
    this.waiting.clear();
  }

  ask(what) {
    if (this.closed) return Promise.reject(this.closed);
    return new Promise((resolve, reject) => {
      this.waiting.set(++this.asked, { resolve, reject });
      this.worker.postMessage({ number: this.asked, ...what });
    });
  }

  take({ number, found, error }) {
    const { resolve, reject } = this.waiting.get(number);
    this.waiting.delete(number);
    if (error) reject(error.name === "Refused" ? new Refused(error.message) : new Error(error.message));
    else resolve(found);
  }
}
