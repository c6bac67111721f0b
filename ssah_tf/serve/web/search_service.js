"use strict";
// How the search page asks the service, sends pictures, and says what went wrong.

let about = { bits: 0, photos: 0, labels: {}, max_k: 1000, max_upload: Infinity }; // what is served
let running = null; // the request that the page waits for

class Trouble extends Error {
  constructor(title, text, ways = []) { super(text); this.title = title; this.ways = ways; }
}

/** What the page knows of the service is no longer so. */
class Stale extends Trouble {}

const silent = () => new Trouble("The service does not answer", "It may have been stopped, or the network is down.");
const aborted = () => new DOMException("another is wanted", "AbortError");

/** What the service answers; of several requests the page waits for the last. */
async function ask(url, file = null) {
  running?.abort();
  const mine = (running = new AbortController());
  return read(file ? await sent(url, file, mine.signal) : await fetched(url, mine.signal));
}

/** What the service answers to something beside that. */
const askBeside = async (url, signal) => read(await fetched(url, signal));

async function fetched(url, signal) {
  let answer;
  try {
    answer = await fetch(url, { method: url.startsWith("search?") ? "POST" : "GET", signal });
  } catch (error) { throw error.name === "AbortError" ? error : silent(); }
  const text = await answer.text().catch(() => "");
  return { status: answer.status, wait: answer.headers.get("retry-after"), text };
}

/** Sends a file, and shows how far that is. */
function sent(url, file, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", url);
    request.setRequestHeader("content-type", "application/octet-stream");
    signal.addEventListener("abort", () => request.abort());
    request.upload.onprogress = (event) => progress(`Sending ${file.name}`, event.loaded / file.size);
    request.upload.onload = () => progress(`Searching for ${file.name}`);
    request.onload = () => resolve({ status: request.status, wait: request.getResponseHeader("retry-after"), text: request.responseText });
    request.onerror = () => reject(silent());
    request.onabort = () => reject(aborted());
    request.onloadend = () => progress(null);
    progress(`Sending ${file.name}`, 0);
    request.send(file);
  });
}

/** Shows how much of something is done; all that is known may be that it goes on. */
function progress(what, share = null) {
  $("progress").hidden = what === null;
  if (what === null) return;
  const percent = Math.round(100 * share);
  $("progress-text").replaceChildren(...breakable(share === null ? `${what} …` : `${what}: ${percent} %`));
  if (share === null) $("progress-bar").removeAttribute("value");
  else $("progress-bar").value = share;
}

function read({ status, wait, text }) {
  if (status === 401) { logIn(); throw aborted(); }
  let body;
  try { body = JSON.parse(text); } catch { body = { error: `status ${status}` }; }
  if (status >= 200 && status < 300) return body;
  if (status === 409) throw new Stale("The index has another encoder now", "That is a code of the one before. Drop the picture again.");
  if (wait) throw new Trouble("The service is busy", `${sentence(body.error)} Wait ${wait} s, then try again.`);
  const titles = { 404: "That photo is not in the index any more", 408: "That file came too slowly", 410: "The file is gone", 413: "That file is too large" };
  const picture = body.error.startsWith("the image: "), label = body.error.startsWith("no label ");
  throw new Trouble(
    titles[status] ?? (picture ? "That file cannot be read as a picture" : label ? "No label like that" : "That did not work"),
    sentence(body.error.replace("the image: ", "")),
  );
}

$("cancel").addEventListener("click", () => running?.abort());
