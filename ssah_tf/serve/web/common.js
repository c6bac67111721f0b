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
