"use strict";
// How pages that change something ask the service, and say what went wrong.

/** What the service answers; a body is posted. */
async function ask(url, body) {
  let answer;
  try {
    answer = await fetch(url, body === undefined ? {} : {
      method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body),
    });
  } catch {
    throw new Error("The service does not answer: it may have been stopped.");
  }
  if (answer.status === 401) { logIn(); throw new Error("Log in first."); }
  const found = await answer.json().catch(() => ({ error: `status ${answer.status}` }));
  if (!answer.ok) throw Object.assign(new Error(sentence(found.error)), { status: answer.status });
  return found;
}

function message(text) {
  $("message").hidden = !text;
  $("message").classList.toggle("bad", Boolean(text));
  $("message").replaceChildren(...(text ? [element("strong", {}, text)] : []));
}

/** The links between the pages of labels and of duplicates, if both are there. */
function showPages(both) {
  for (const link of document.querySelectorAll("a.page")) link.hidden = !both;
}
