"use strict";
// The page of a review: a group after the other. What is decided goes to the service at once; the
// answer is what is on disk, and what the page then shows.

const list = $("list"), view = $("view");
let state = null;
let keep = new Set(); // numbers of the photos of the shown group that stay
let busy = false;
const AGAIN = 1000; // ms

/* ---- Asking the service ---- */

/** Ask, one after another, and show what comes; `then` gives the group to go on to. */
async function send(url, body, then = () => null) {
  if (busy) return;
  busy = true;
  list.setAttribute("aria-busy", "true");
  try {
    let found = await ask(url, body);
    const said = found.said, next = then(found);
    if (next !== null && next !== found.group?.number) found = await ask(`duplicates?group=${next}`);
    message(said.map(sentence).join(" "));
    show(found);
  } catch (error) {
    if (error.status === 503 && !state) waitFor(error.message); else message(error.message);
  } finally {
    busy = false;
    list.setAttribute("aria-busy", "false");
  }
}

/** Photos are still compared, or the service is busy: say so, and ask again. */
function waitFor(why) {
  message("");
  $("status").textContent = why;
  setTimeout(load, AGAIN);
}

const load = (group = null) => send(group === null ? "duplicates" : `duplicates?group=${group}`);
const megabytes = (n) => n < 1e5 ? `${(n / 1e3).toFixed(1)}\u00a0kB` : `${(n / 1e6).toFixed(1)}\u00a0MB`;
const open = () => Boolean(state?.group) && !state.group.status;

/* ---- Showing the state ---- */

function show(found) {
  const same = state?.group?.number === found.group?.number;
  const place = tiles().indexOf(document.activeElement);
  state = found;
  const group = state.group;
  keep = new Set(group?.photos.filter((photo) => photo.keep).map((photo) => photo.id));
  const before = state.remembered ? `, ${count(state.remembered)} kept before` : "";
  $("facts").textContent = `${number(state.groups, "group")}, ${count(state.open)} to go${before}`;
  $("logout").hidden = !state.token;
  $("lost").textContent = state.lost && sentence(state.lost);
  $("headline").textContent = group ? `Group ${count(state.place + 1)} of ${count(state.groups)}` : "No duplicates";
  $("where").textContent = !state.folder ? "To set photos aside, start with --set-aside FOLDER."
    : `${number(state.set_aside, "photo")} set aside in ${state.folder}`;
  $("previous-group").disabled = state.previous === null;
  $("next-group").disabled = state.next === null;
  $("undo").disabled = !state.steps;
  $("keys").hidden = !group;
  $("first").value = state.first;
  $("prefer").replaceChildren(element("option", { value: "" }, "any"), ...state.folders.map((name) => element("option", { value: name }, name)));
  $("prefer").value = state.prefer;
  list.classList.toggle("many", (group?.photos.length ?? 0) > 12);
  list.replaceChildren(...(group ? group.photos.map(tile) : []));
  decide();
  focusOn(tiles()[same && place >= 0 ? place : Math.max(0, group?.photos.findIndex((photo) => photo.keep) ?? 0)]);
}

const WORDS = { first: "", copy: "exact copy", near: "alike", link: "link", mirrored: "mirrored", turned: "turned", burst: "of a burst" };

function tile(photo, place) {
  const most = (fact) => state.group.photos.every((other) => fact(other) <= fact(photo));
  const some = (fact) => state.group.photos.some((other) => fact(other) !== fact(photo));
  const fact = (text, value) => element("span", { class: some(value) && most(value) ? "fact better" : "fact" }, text);
  const size = photo.width ? [fact(`${photo.width} × ${photo.height}`, (p) => p.width * p.height), ", "] : [];
  const day = (each) => each.date.slice(0, 10);
  const date = new Date(photo.date).toLocaleDateString("en", { dateStyle: "medium" });
  const dated = photo.dated_by === "camera" ? `taken ${date}` : `file of ${date}`;
  const alike = photo.kind === "near" ? `${Math.round(100 * photo.ssim)} % alike` : WORDS[photo.kind];
  const about = element("span", { class: "text" },
    element("span", { class: "said" }, element("span", { class: "verdict" }), element("small", {}, alike)),
    element("span", { class: "file" }, ...breakable(photo.path)),
    element("span", { class: "fact" }, ...size, fact(megabytes(photo.bytes), (p) => p.bytes), ", ", fact(dated, (p) => -Date.parse(day(p)))));
  if (photo.labels.length) about.append(element("span", { class: "labels" }, ...photo.labels.map((name) => element("span", {}, ...breakable(name)))));
  if (photo.beside.length) about.append(element("span", { class: "fact" }, `with ${photo.beside.join(", ")}`));
  const image = element("img", { src: photo.image, alt: "", loading: "lazy" });
  watchPicture(image);
  const button = element("button", { type: "button", class: "tile", "data-id": photo.id },
    element("span", { class: "frame" }, image), about);
  if (!open() || photo.link) button.setAttribute("aria-disabled", "true");
  return element("li", {}, button);
}

const tiles = () => [...list.querySelectorAll(".tile")];
const photoOf = (button) => state.group.photos[tiles().indexOf(button)];
const real = () => state.group.photos.filter((photo) => !photo.link);

/** Put on the page which photos stay. */
function decide() {
  const group = state.group;
  for (const button of tiles()) {
    const photo = photoOf(button), stays = photo.link || keep.has(photo.id);
    button.setAttribute("aria-pressed", stays);
    button.querySelector(".verdict").textContent =
      photo.link ? "stays" : group.status ? (stays ? "kept" : "set aside") : stays ? "✓ keep" : "set aside";
  }
  const going = group && open() ? real().filter((photo) => !keep.has(photo.id)) : [];
  const ready = going.length > 0 && going.length < real().length && Boolean(state.folder);
  $("aside").disabled = !ready;
  $("aside").firstChild.textContent = going.length ? `Set ${count(going.length)} aside ` : "Set aside ";
  $("keep-all").disabled = !open();
  $("status").textContent = !group ? (state.remembered ? "Nothing is left: the others are kept as they are" : "Nothing is there twice")
    : group.status === "aside" ? "Set aside, but for what is kept" : group.status === "kept" ? "All are kept"
    : going.length === real().length ? "Keep at least one" : going.length ? `${number(going.length, "photo")} to set aside, ${megabytes(going.reduce((sum, photo) => sum + photo.bytes, 0))}` : "All would be kept";
  if (group && !state.open) $("status").textContent += ". All groups are done.";
}

function focusOn(button) {
  if (!button) return;
  for (const each of tiles()) each.tabIndex = each === button ? 0 : -1;
  if (!view.open) button.focus({ preventScroll: true });
  button.scrollIntoView({ block: "nearest" });
}

const current = () => list.querySelector("[tabindex='0']");

/* ---- Deciding ---- */

function toggle(button) {
  focusOn(button);
  const photo = photoOf(button);
  if (!open() || photo.link) return;
  if (!keep.delete(photo.id)) keep.add(photo.id);
  decide();
}

function only(place) {
  const photo = state.group?.photos[place];
  if (!photo || !open() || photo.link) return;
  keep = new Set([photo.id]);
  decide();
  focusOn(tiles()[place]);
}

const onward = (found) => found.next_open;
function setAside() {
  if ($("aside").disabled) return;
  send("duplicates/set-aside", { group: state.group.number, keep: [...keep] }, onward);
}
function keepAll() {
  if ($("keep-all").disabled) return;
  send("duplicates/keep-all", { group: state.group.number }, onward);
}
const undo = () => { if (state?.steps) send("duplicates/undo", {}); };
const go = (group) => { if (group !== null) load(group); };
const choose = () => send("duplicates/rules", { first: $("first").value, prefer: $("prefer").value, group: state.group?.number ?? null });

$("aside").addEventListener("click", setAside);
$("keep-all").addEventListener("click", keepAll);
$("undo").addEventListener("click", undo);
$("previous-group").addEventListener("click", () => go(state.previous));
$("next-group").addEventListener("click", () => go(state.next));
$("first").addEventListener("change", choose);
$("prefer").addEventListener("change", choose);
list.addEventListener("click", (event) => {
  const button = event.target.closest(".tile");
  if (button) toggle(button);
});
list.addEventListener("dblclick", (event) => {
  const button = event.target.closest(".tile");
  if (button) look(button);
});

document.addEventListener("keydown", (event) => {
  if (!state || event.target.matches("select")) return;
  if (view.open) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step) { event.preventDefault(); beside(step); }
    return;
  }
  if ((event.ctrlKey || event.metaKey) && event.key === "z") { event.preventDefault(); undo(); return; }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const inTile = event.target.matches(".tile"), other = event.target.closest("button, a") && !inTile;
  const key = event.key.toLowerCase(), all = tiles(), place = all.indexOf(current());
  if (/^[1-9]$/.test(key)) only(Number(key) - 1);
  else if (key === "s") setAside();
  else if (key === "k") keepAll();
  else if (key === "backspace") undo();
  else if (key === "arrowup") go(state.previous);
  else if (key === "arrowdown") go(state.next);
  else if (key === "arrowright" && !other) focusOn(all[Math.min(place + 1, all.length - 1)]);
  else if (key === "arrowleft" && !other) focusOn(all[Math.max(place - 1, 0)]);
  else if (key === "enter" && inTile) look(event.target);
  else return; // such as Space, which clicks
  event.preventDefault();
});

/* ---- One photo, large; the others in its place ---- */

function look(button) {
  const photo = photoOf(button);
  focusOn(button);
  $("view-image").src = photo.image;
  $("view-image").alt = $("view-name").textContent = photo.path;
  $("view-previous").disabled = button === tiles().at(0);
  $("view-next").disabled = button === tiles().at(-1);
  if (view.open) return;
  view.showModal();
  $("close").focus();
}

function beside(step) {
  const all = tiles(), place = all.indexOf(current()) + step;
  if (all[place]) look(all[place]);
}

$("view-previous").addEventListener("click", () => beside(-1));
$("view-next").addEventListener("click", () => beside(1));
$("close").addEventListener("click", () => view.close());
view.addEventListener("click", (event) => { if (event.target === view) view.close(); });
view.addEventListener("close", () => focusOn(current()));
window.addEventListener("focus", () => { if (state && !view.open && !busy && open()) refresh(); });

/** Another page may have decided: what is marked here stays if the group is still open. */
async function refresh() {
  try {
    const found = await ask(`duplicates?group=${state.group.number}`);
    if (!busy && (found.group?.number !== state.group.number || found.group.status)) show(found);
  } catch { /* said at the next step */ }
}

showPages(location.pathname !== "/"); // else this page is alone
load();
