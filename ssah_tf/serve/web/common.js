"use strict";
// What the scripts of all pages use.

const $ = (id) => document.getElementById(id);

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/* ---- Words ---- */

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
const count = (n) => n.toLocaleString("en");
const number = (n, one, more = one + "s") => `${count(n)} ${n === 1 ? one : more}`;

/** Names of files, folders and labels: a line may end behind a mark in them. */
const breakable = (text) => text.split(/(?<=[/_.-])/).flatMap((part) => [part, element("wbr")]);

/* ---- The service ---- */

/** The page for the token, which leads back here. */
function logIn() {
  const page = location.pathname.split("/").pop() + location.search;
  location.assign("login" + (page ? "?next=" + encodeURIComponent(page) : ""));
}

/* ---- Pictures ---- */

const TRIES = 6; // of a picture, while the service is busy

/** Has a picture say why it does not come; while the service is busy it is asked for again. */
function watchPicture(image, tell = (why) => image.replaceWith(element("span", { class: "gone" }, why))) {
  let tries = 0;
  image.addEventListener("error", async () => {
    const address = image.src;
    const { why, wait } = await whyNot(address);
    if (image.src !== address) return; // another one is wanted by now
    if (!wait) tell(why);
    else if ((tries += 1) < TRIES) setTimeout(() => { if (image.src === address) image.src = address; }, 1000 * wait * (0.75 + Math.random() / 2));
    else tell(wait < 1 ? "This file cannot be shown" : "The service is busy: load the page again later");
  });
  image.addEventListener("load", () => { tries = 0; });
}

/** Why a picture does not come, or the seconds after which it may. */
async function whyNot(address) {
  let answer;
  try {
    answer = await fetch(address);
  } catch { return { why: "The service does not answer" }; }
  if (answer.status === 401) { logIn(); return { why: "Log in first" }; }
  if (answer.ok) return { wait: 0.2 }; // it does by now
  if (answer.status === 429 || answer.status === 503) return { wait: Math.max(1, Number(answer.headers.get("retry-after")) || 1) };
  return { why: { 404: "No longer in the index", 410: "The file is gone" }[answer.status] ?? "This file cannot be shown" };
}
