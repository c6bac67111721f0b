"use strict";
// Pictures from outside: dropped, pasted or chosen.

async function take(file) {
  if (!file) return;
  if (file.size > about.max_upload && !about.encode_in_browser) {
    trouble("That file is too large", `${file.name} has ${megabytes(file.size)}; at most ${megabytes(about.max_upload)} are taken.`);
    return;
  }
  if (!file.size) {
    trouble("That file is empty", `${file.name} holds nothing.`);
    return;
  }
  scrollTo(0, 0);
  await work(() => search({ ...readAddress(), ...NOTHING }, file), true);
}

function trouble(title, text) {
  scrollTo(0, 0);
  message(title, text, [["Choose another", () => $("file").click()]], true);
}

const megabytes = (bytes) => `${(bytes / 2 ** 20).toPrecision(2)} MiB`;

/** A small copy of a picture that is not sent, to be shown again when one comes back to this search. */
async function small(file) {
  try {
    const bitmap = await createImageBitmap(file);
    const scale = Math.min(1, 480 / Math.max(bitmap.width, bitmap.height));
    const canvas = element("canvas", { width: Math.max(1, Math.round(bitmap.width * scale)), height: Math.max(1, Math.round(bitmap.height * scale)) });
    const paint = canvas.getContext("2d");
    paint.fillStyle = "white";
    paint.fillRect(0, 0, canvas.width, canvas.height);
    paint.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    return bitmap.width <= 64 ? canvas.toDataURL("image/png") : canvas.toDataURL("image/jpeg", 0.8);
  } catch {
    return null; // a format that the service reads and the browser does not
  }
}

/** The number of the photo that a dropped link leads to, if it is one of this service. */
function ownPhoto(text) {
  try {
    const url = new URL(text);
    if (url.origin !== location.origin) return null;
    const match = /\/photos\/(\d+)\//.exec(url.pathname) ?? /^(\d+)$/.exec(url.searchParams.get("id") ?? "");
    return match && Number(match[1]);
  } catch { return null; }
}

let depth = 0;
const carries = (event) => [...event.dataTransfer.types].some((type) => type === "Files" || type === "text/uri-list");
addEventListener("dragenter", (event) => {
  if (!carries(event)) return;
  event.preventDefault();
  depth += 1;
  $("curtain").hidden = false;
});
addEventListener("dragleave", () => {
  depth = Math.max(0, depth - 1);
  if (!depth) $("curtain").hidden = true;
});
addEventListener("dragover", (event) => { if (carries(event)) event.preventDefault(); });
addEventListener("drop", (event) => {
  if (!carries(event)) return;
  event.preventDefault();
  depth = 0;
  $("curtain").hidden = true;
  const id = ownPhoto(event.dataTransfer.getData("text/uri-list"));
  if (id !== null) go({ ...NOTHING, id });
  else if (event.dataTransfer.files.length) take(event.dataTransfer.files[0]);
  else trouble("That was a link, not a file", "This page fetches nothing from elsewhere: save the picture, then drop the file.");
});
addEventListener("paste", (event) => {
  const file = [...event.clipboardData.files].find((each) => each.type.startsWith("image/"));
  if (file) { event.preventDefault(); take(file); }
  else if (!event.target.matches("input")) trouble("There is no picture in the clipboard", "Copy a picture, or choose a file.");
});
$("choose").addEventListener("click", () => $("file").click());
$("file").addEventListener("change", () => { take($("file").files[0]); $("file").value = ""; });
