"use strict";
// One photo, large, with what is known of it.

const view = $("view");
let viewed = 0; // place of the photo that is shown

const DAY = { year: "numeric", month: "long", day: "numeric", timeZone: "UTC" };
const CLOCK = { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: "UTC" };

/** A date as the clock showed it where the photo was taken. */
function dateText(taken) {
  const clock = new Date(taken.slice(0, 19) + "Z");
  return `${clock.toLocaleDateString("en-GB", DAY)}, ${clock.toLocaleTimeString("en-GB", CLOCK)}`;
}

const SOURCES = { exif: "the clock of the camera", file: "the time of the file", none: "not known", "": "not read yet: run “ssah index” again" };

function open(place) {
  viewed = place;
  const photo = shown[place], image = $("view-image");
  image.classList.remove("pixels");
  image.hidden = false;
  $("view-fault").hidden = true;
  image.src = photo.image;
  image.alt = photo.path;
  $("view-name").textContent = photo.path;
  $("view-taken").textContent = [photo.taken && dateText(photo.taken), photo.camera].filter(Boolean).join(" · ");
  tags($("view-labels"), photo.labels);
  details(photo);
  $("copy").textContent = "Copy path";
  for (const id of ["original", "download"]) $(id).hidden = !about.originals;
  if (about.originals) {
    $("original").href = `photos/${photo.id}/original?show=true`;
    $("download").href = `photos/${photo.id}/original`;
  }
  bounds();
  if (!view.open) { view.showModal(); $("view-search").focus(); }
  if (place >= shown.length - 4) more().then(bounds);
}

/** Which ways lead on from the photo that is shown; the focus stays on one of them. */
function bounds() {
  for (const [id, end] of [["previous", viewed === 0], ["next", viewed === shown.length - 1]]) {
    if (end && document.activeElement === $(id)) $("view-search").focus();
    $(id).disabled = end;
  }
}

function details(photo) {
  const offset = photo.taken.slice(19);
  const rows = [];
  if (photo.distance !== undefined) rows.push(["Distance", `${bitsText(photo.distance)} of ${about.bits}: ${likeness(photo.distance, about.bits)}`]);
  rows.push(["Date from", SOURCES[photo.taken_from] + (offset ? `, UTC${offset}` : "")]);
  if (photo.second_pictures) rows.push(["Not searched for", photo.second_pictures]);
  if (about.show_place) rows.push(["Place", "…"]);
  $("details").replaceChildren(...rows.flatMap(([term, text]) => [element("dt", {}, term), element("dd", {}, text)]));
  if (about.show_place && $("details-of").open) place(photo);
}

/** Where it was taken is read from its file when it is asked for. */
async function place(photo) {
  const cell = $("details").lastElementChild;
  try {
    const { latitude, longitude } = await askBeside(`photos/${photo.id}/place`);
    cell.textContent = latitude === null ? "not known" : `${latitude.toFixed(5)}, ${longitude.toFixed(5)}`;
  } catch (error) {
    if (error.name !== "AbortError") cell.textContent = error.title ?? "not known";
  }
}

$("details-of").addEventListener("toggle", () => { if ($("details-of").open && about.show_place) place(shown[viewed]); });
$("view-image").addEventListener("load", () => $("view-image").classList.toggle("pixels", $("view-image").naturalWidth <= 64));
watchPicture($("view-image"), (why) => {
  $("view-image").hidden = true;
  $("view-fault").hidden = false;
  $("view-fault").textContent = why;
});
$("previous").addEventListener("click", () => open(viewed - 1));
$("next").addEventListener("click", () => open(viewed + 1));
$("close").addEventListener("click", () => view.close());
view.addEventListener("click", (event) => { if (event.target === view) view.close(); });
view.addEventListener("close", () => focusTile(viewed));
view.addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft" && viewed > 0) open(viewed - 1);
  if (event.key === "ArrowRight" && viewed < shown.length - 1) open(viewed + 1);
});
$("view-search").addEventListener("click", () => {
  const { id } = shown[viewed];
  focusFirst = true;
  view.close();
  go({ ...NOTHING, id });
});
$("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(shown[viewed].path);
    $("copy").textContent = "Copied";
  } catch { $("copy").textContent = "Not allowed here"; }
});
