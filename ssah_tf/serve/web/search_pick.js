"use strict";
// Photos are picked, from one search or several, and their list is taken along as a file.

const picked = new Map(); // id -> photo
let picking = false;
let lastPick = 0;         // place from which a row of photos is picked with Shift

function pickBox(photo, roving) {
  const box = element("input", { type: "checkbox", "aria-label": `Pick ${photo.path}`, ...roving });
  box.checked = picked.has(photo.id);
  return element("label", { class: "pick" }, box);
}

function pick(place, wanted) {
  const photo = shown[place];
  if (wanted) picked.set(photo.id, photo);
  else picked.delete(photo.id);
  tiles[place].querySelector(".pick input").checked = wanted;
  lastPick = place;
  setPicking(true);
}

function setPicking(on) {
  picking = on;
  grid.classList.toggle("picking", on);
  $("picked").hidden = !on;
  $("pick").setAttribute("aria-pressed", on);
  $("picked-count").textContent = `${number(picked.size, "photo")} picked`;
  $("export").disabled = $("pick-none").disabled = !picked.size;
}

function pickNone() {
  picked.clear();
  for (const box of grid.querySelectorAll(".pick input")) box.checked = false;
}

grid.addEventListener("click", (event) => {
  const tile = event.target.closest(".tile"), box = event.target.closest(".pick input");
  const place = Number((tile ?? box)?.dataset.place);
  if (!shown[place] || !(box || (tile && picking && !(event.metaKey || event.ctrlKey)))) return;
  if (tile) event.preventDefault();
  const wanted = box ? box.checked : !picked.has(shown[place].id);
  const [low, high] = event.shiftKey ? [Math.min(lastPick, place), Math.max(lastPick, place)] : [place, place];
  for (let each = low; each <= Math.min(high, shown.length - 1); each += 1) pick(each, wanted);
  lastPick = place;
});

const cell = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
/** The same path, such that no spreadsheet takes it for a formula. */
const plainPath = (path) => (/^[=+\-@\t\r]/.test(path) ? "./" + path : path);

/** The picked photos as a CSV file that is a label file, too: paths below the indexed folder. */
function pickedList() {
  const rows = [...picked.values()].map(({ path, labels, taken, camera }) => [plainPath(path), labels.join(";"), taken, camera]);
  return [["path", "label", "taken", "camera"], ...rows].map((row) => row.map(cell).join(",") + "\r\n").join("");
}

$("export").addEventListener("click", () => {
  const file = URL.createObjectURL(new Blob([pickedList()], { type: "text/csv" }));
  element("a", { href: file, download: "photos.csv" }).click();
  setTimeout(() => URL.revokeObjectURL(file), 60_000);
});
$("pick").addEventListener("click", () => setPicking(!picking));
$("pick-none").addEventListener("click", () => { pickNone(); setPicking(true); $("pick").focus(); });
$("pick-done").addEventListener("click", () => { pickNone(); setPicking(false); $("pick").focus(); });
