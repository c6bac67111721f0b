"use strict";
// Codes pictures on this machine, so that they are not sent, where the service offers that.

let coding = null; // what is loaded, or on its way: the encoder of which model

/** The encoder of the index, loaded once; a failure is no reason not to try again. */
async function encoderHere() {
  if (coding?.model !== about.model_id) {
    const address = (path) => new URL(path, document.baseURI).href;
    const load = import(address("coding/web/encoder.mjs")).then((part) =>
      part.loadEncoder(address("encoder"), address("coding/runtime/")));
    forgetEncoder();
    const mine = (coding = { model: about.model_id, load });
    load.catch(() => { if (coding === mine) coding = null; });
  }
  return coding.load;
}

/** The code of a picture, and what is to be said of it; `send` searches for the picture itself. */
async function codeHere(file, send) {
  running?.abort();
  const { signal } = (running = new AbortController());
  try {
    progress("Loading the encoder");
    const encoder = await unlessAborted(signal, encoderHere());
    progress(`Coding ${file.name}`);
    const { code, appearance, differs } = await unlessAborted(signal, encoder.encode(file));
    const note = ["Coded in this browser, not sent."];
    if (differs.length) note.push(`Its code may be a few bits off: ${differs.join("; ")}.`);
    return { code: code + appearance, model: encoder.modelId, note: note.join(" ") };
  } catch (error) {
    if (error.name === "AbortError") throw error;
    const refused = error.name === "Refused";
    if (!refused) forgetEncoder();
    throw new Trouble(
      refused ? `${file.name} is not coded in the browser` : "The encoder cannot be run in this browser",
      `${sentence(error.message)} The service can code the picture, if you send it.`,
      [["Send it", () => work(send, true)]],
    );
  } finally {
    if (running?.signal === signal) progress(null);
  }
}

/** What a promise gives, unless the signal comes before. */
function unlessAborted(signal, promise) {
  return new Promise((resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason));
    promise.then(resolve, reject);
  });
}

/** Ends the encoder that is loaded, if there is one; the next picture loads it anew. */
function forgetEncoder() {
  coding?.load.then((encoder) => encoder.close(), () => {});
  coding = null;
}
