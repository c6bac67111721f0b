"use strict";
// The page of labelling. What is said goes to the service at once, one after another; the answer
// is what is on disk, and what the page then shows.

const list = $("list"), view = $("view"), field = $("label");
const BUSY = 700, IDLE = 3000; // ms between looks at whether something changed
let state = null;
let photos = new Map(); // by number, as shown
let shown = "";         // which groups are drawn
let picked = new Set(); // numbers of photos in the current group that alone are meant
let queue = Promise.resolve();
let waiting = 0;        // changes that are not answered yet

/* ---- Asking the service ---- */

/** A change, after those before it; what was shown ahead is put right if it fails. */
function send(url, body) {
  waiting += 1;
  queue = queue.then(async () => {
    try {
      const found = await ask(url, body);
      message("");
      waiting -= 1;
      if (!waiting) show(found); // what the others change is shown ahead
    } catch (error) {
      waiting -= 1;
      message(error.message);
      await load(false);
    }
  });
  return queue;
}

async function load(clear = true) {
  try {
    show(await ask("labelling"));
    if (clear) message("");
  } catch (error) { message(error.message); }
}

async function look() {
  let wait = IDLE;
  if (!document.hidden && state && !waiting) {
    try {
      const now = await ask("labelling/progress");
      if (now.progress.what) wait = BUSY;
      if (!waiting && now.revision !== state.revision) await load();
      else if (!waiting) showProgress((state.progress = now.progress));
    } catch (error) { message(error.message); }
  }
  setTimeout(look, wait);
}

const share = (value) => value.toFixed(3).replace(/^0/, "");

/* ---- Showing the state ---- */

function show(found) {
  state = found;
  photos = new Map(state.groups.flat().map((photo) => [photo.id, photo]));
  const marked = state.marked ? `, ${count(state.marked)} skipped or not sure` : "";
  $("facts").textContent = `${number(state.photos, "photo")}, ${count(state.labelled)} labelled${marked}`;
  $("logout").hidden = !state.token;
  showPages(state.duplicates);
  $("undo").disabled = !state.steps;
  $("moved").hidden = !state.moved;
  $("moved-text").textContent = `${number(state.moved, "photo has", "photos have")} moved, and had labels where they were.`;
  if (state.error) message(sentence(state.error));
  $("asked").textContent = `${state.correcting}?`;
  $("headline").textContent = map.open ? "Map of all photos" : state.correcting ? `Believed to be ${state.correcting}` : "Photos to label";
  $("answers").hidden = $("answer-keys").hidden = !state.correcting || map.open;
  showClasses();
  showMeasured();
  showBelieved();
  draw();
  showProgress(state.progress);
  showMap();
}

function showClasses() {
  const place = $("classes"), classes = state.classes.slice(0, 60);
  const same = classes.findIndex(({ name }, i) => place.children[i]?.dataset.name !== name);
  const keep = same < 0 ? classes.length : same; // these keep the focus
  while (place.children.length > keep) place.lastChild.remove();
  for (const [i, { name }] of classes.entries()) {
    if (i < keep) continue;
    const key = i < 9 ? [element("kbd", {}, String(i + 1))] : [];
    const button = element("button", { type: "button", "data-name": name }, ...key, ` ${name} `, element("small"));
    button.addEventListener("click", () => give(name));
    place.append(button);
  }
  for (const [i, each] of classes.entries()) {
    place.children[i].title = number(each.photos, "photo");
    place.children[i].lastChild.textContent = count(each.photos);
  }
  $("names").replaceChildren(...state.classes.map(({ name }) => element("option", { value: name })));
}

function showProgress({ what, done, total }) {
  $("busy").hidden = !what;
  $("learn").disabled = $("others").disabled = Boolean(what);
  $("what").textContent = what && sentence(total ? `${what}: ${count(done)} of ${count(total)}` : what).replace(".", "");
  if (total) { $("bar").max = total; $("bar").value = done; } else $("bar").removeAttribute("value");
  if (map.open) { $("status").textContent = "Alike ones lie near each other"; return; }
  const open = [...photos.values()].filter(isOpen).length;
  $("status").textContent = open ? `${number(open, "photo")} to go`
    : state.correcting ? "All of these are done: Surest or Doubtful shows the next ones"
    : what ? "The first photos are being chosen" : photos.size ? "All of these are done: learn, or see other photos" : "All photos are done";
}

function showMeasured() {
  const [last, before] = [state.measured.at(-1), state.measured.at(-2)];
  $("measured").hidden = !last;
  if (!last) return;
  const parts = [];
  const about = (each) => `${share(each.map)} (${share(each.low)} to ${share(each.high)})`;
  if (last.map === null) parts.push(element("p", {}, "Too few labels to measure: two of a class are needed."));
  else {
    parts.push(element("p", {}, element("strong", {}, `mAP ${share(last.map)}`)));
    parts.push(element("p", {}, `95 % interval ${share(last.low)} to ${share(last.high)}: ${number(last.queries, "labelled photo was", "labelled photos were")} held out, and ${last.queries === 1 ? "looks" : "look"} for the others.`));
  }
  if (before && before.map !== null) parts.push(element("p", {}, `Before: ${about(before)}, with ${number(before.labelled, "label")}; now ${count(last.labelled)}.`));
  if (last.changed !== null) parts.push(element("p", {}, `${number(last.changed, "photo", "photos")} without a label ${last.changed === 1 ? "is" : "are"} believed to be of another class than before.`));
  const weak = last.weak.filter((each) => each.map < 1);
  if (weak.length) parts.push(element("p", {}, `Weakest: ${weak.map((each) => `${each.name} ${share(each.map)}`).join(", ")}.`));
  $("numbers").replaceChildren(...parts);
  const open = $("curve").querySelector("details")?.open;
  $("curve").replaceChildren(...[curveOf(state.measured)].filter(Boolean));
  if (open && $("curve").firstChild) $("curve").querySelector("details").open = true;
}

function showBelieved() {
  const chosen = $("believed-class").value;
  $("believed").hidden = !state.believed.length;
  $("believed-class").replaceChildren(...state.believed.map(({ name, photos }) => element("option", { value: name }, `${name} (${count(photos)})`)));
  const names = state.believed.map(({ name }) => name);
  $("believed-class").value = [state.correcting, chosen, ...names].find((name) => names.includes(name)) ?? "";
}

const isOpen = (photo) => !photo.labels.length && !photo.mark && !photo.rejected.includes(state.correcting);
const tileOf = (id) => list.querySelector(`[data-id="${id}"]`);

function draw() {
  const now = JSON.stringify(state.groups.map((group) => group.map((photo) => photo.thumbnail)));
  if (now !== shown) {
    shown = now;
    picked.clear();
    list.replaceChildren(...state.groups.map((group, place) => element("div", { class: "group", role: "group", "data-group": place, "aria-label": `Group ${place + 1}, ${number(group.length, "photo")}` },
      element("ul", { class: "grid" }, ...group.map(tile)))));
    $("keys").hidden = map.open || !photos.size;
    if (!map.open) scrollTo(0, 0);
    if (!map.open && photos.size && !document.activeElement.matches("input, .panel button")) focusOn(firstOpen(0));
  }
  for (const photo of photos.values()) update(photo);
  if (!list.querySelector("[tabindex='0']")) list.querySelector(".tile")?.setAttribute("tabindex", 0);
}

function tile(photo) {
  const image = element("img", { alt: "", src: photo.thumbnail, draggable: "false" });
  watchPicture(image);
  const button = element("button", { class: "tile", type: "button", "data-id": photo.id, tabindex: -1, title: photo.path },
    element("span", { class: "frame" }, image), element("span", { class: "text" }, element("span", { class: "said" })));
  return element("li", {}, button);
}

function update(photo) {
  const button = tileOf(photo.id), said = button.querySelector(".said");
  const mark = { skipped: "skipped", unsure: "not sure" }[photo.mark]
    ?? (state.correcting && photo.rejected.includes(state.correcting) ? "no"
    : photo.probability === null ? "" : `${Math.floor(100 * photo.probability)} %`);
  said.textContent = photo.labels.join(", ") || mark || "\u00a0";
  said.classList.toggle("mark", Boolean(mark) && !photo.labels.length);
  button.classList.toggle("done", !isOpen(photo));
  button.setAttribute("aria-pressed", picked.has(photo.id));
  button.setAttribute("aria-label", [photo.path, photo.labels.join(", ") || mark || "no label"].join(", "));
}

/* ---- Which photos are meant ---- */

const current = () => list.querySelector("[tabindex='0']");
const groupOf = (button) => state.groups[Number(button.closest(".group").dataset.group)];

/** The picked photos; or else those of the group that are open; or else the whole group. */
function meant(several) {
  const button = current();
  if (!button) return [];
  const group = groupOf(button);
  const some = group.filter((photo) => picked.has(photo.id));
  if (some.length) return some;
  const open = group.filter(isOpen);
  return open.length && !several ? open : group;
}

function focusOn(button, scroll = true) {
  if (!button) return;
  for (const other of list.querySelectorAll("[tabindex='0']")) other.tabIndex = -1;
  button.tabIndex = 0;
  button.focus({ preventScroll: true });
  if (scroll) button.closest(".group").scrollIntoView({ block: "nearest" });
}

/** The tile of the first open photo from a group on, and around. */
function firstOpen(from) {
  const groups = [...state.groups.slice(from), ...state.groups.slice(0, from)];
  const photo = groups.flat().find((each) => isOpen(each));
  return photo ? tileOf(photo.id) : current() ?? list.querySelector(".tile");
}

/* ---- Saying something ---- */

function act(action, label = "") {
  const several = action === "add" || action === "remove";
  const chosen = map.open ? meantOnMap(several) : meant(several);
  if (!chosen.length) return;
  if (label && action !== "reject" && !state.classes.some(({ name }) => name === label)) {
    state.classes.push({ name: label, photos: chosen.length });
    showClasses();
  }
  if (map.open) return sayOnMap(chosen, action, label);
  const place = Number(current().closest(".group").dataset.group);
  for (const photo of chosen) { // shown ahead of the answer
    const others = photo.labels.filter((each) => each !== label);
    const rejected = photo.rejected.filter((each) => each !== label);
    photo.mark = { skip: "skipped", unsure: "unsure" }[action] ?? "";
    photo.labels = { label: [label], add: [...others, label], remove: others, reject: others }[action] ?? [];
    photo.rejected = action === "reject" ? [...rejected, label] : rejected;
    update(photo);
  }
  send("labelling/said", { photos: chosen.map((photo) => photo.id), action, label });
  if (several) return;
  picked.clear();
  for (const photo of chosen) update(photo);
  focusOn(firstOpen(place));
  showProgress(state.progress);
}

function give(name) {
  if (!$("several").checked) return act("label", name);
  const all = !map.open && meant(true).every((photo) => photo.labels.includes(name));
  act(all ? "remove" : "add", name);
}

function pick(button) {
  const id = Number(button.dataset.id);
  if (!groupOf(button).some((photo) => picked.has(photo.id))) clearPicked(); // they are of another
  if (!picked.delete(id)) picked.add(id);
  update(photos.get(id));
  focusOn(button, false);
}

function clearPicked() {
  const before = [...picked];
  picked.clear();
  for (const id of before) if (photos.has(id)) update(photos.get(id));
}

const accept = () => { if (state.correcting && !map.open) act("label", state.correcting); };
const reject = () => { if (state.correcting && !map.open) act("reject", state.correcting); };
const correct = (label, doubtful = false) => (map.open && openMap(false), send("labelling/correct", { label, doubtful }).then(() => focusOn(firstOpen(0))));
const undo = () => { if (state?.steps) send("labelling/undo", {}); };
const learn = (train) => send("labelling/learn", { train });

$("skip").addEventListener("click", () => act("skip"));
$("unsure").addEventListener("click", () => act("unsure"));
$("undo").addEventListener("click", undo);
$("learn").addEventListener("click", () => learn(true));
$("others").addEventListener("click", () => learn(false));
$("accept").addEventListener("click", accept);
$("reject").addEventListener("click", reject);
$("surest").addEventListener("click", () => correct($("believed-class").value));
$("doubtful").addEventListener("click", () => correct($("believed-class").value, true));
$("suggested").addEventListener("click", () => correct(""));
$("take-moved").addEventListener("click", () => send("labelling/moved", {}));
$("words").addEventListener("submit", (event) => {
  event.preventDefault();
  const typed = field.value.trim();
  if (!typed) return;
  const same = state.classes.find(({ name }) => name.toLowerCase() === typed.toLowerCase());
  field.value = "";
  give(same ? same.name : typed);
  backToPhotos();
});
list.addEventListener("click", (event) => {
  const button = event.target.closest(".tile");
  if (button) pick(button);
});
list.addEventListener("dblclick", (event) => {
  const button = event.target.closest(".tile");
  if (button) open(button);
});

/* ---- Keyboard ---- */

/** The one class that what is typed begins: what is missing of it is filled in, marked. */
function complete() {
  const typed = field.value.toLowerCase();
  const fits = typed ? state.classes.filter(({ name }) => name.toLowerCase().startsWith(typed)) : [];
  if (fits.length !== 1 || fits[0].name.length === typed.length) return;
  field.value = fits[0].name;
  field.setSelectionRange(typed.length, field.value.length);
}

field.addEventListener("input", (event) => {
  if (event.inputType === "insertText" && !event.isComposing) complete();
});

function moveTo(step, vertical) {
  const tiles = [...list.querySelectorAll(".tile")], from = current();
  if (!from) return;
  if (!vertical) return focusOn(tiles[Math.max(0, Math.min(tiles.indexOf(from) + step, tiles.length - 1))]);
  const groups = [...list.children], place = groups.indexOf(from.closest(".group")) + step;
  focusOn(groups[Math.max(0, Math.min(place, groups.length - 1))].querySelector(".tile"));
}

document.addEventListener("keydown", (event) => {
  const inField = event.target === field, plain = !event.ctrlKey && !event.metaKey && !event.altKey;
  if (!state || view.open || event.target.matches("select")) return;
  if (event.key === "Escape") {
    if (map.open && map.drawing) clearSelection(); else clearPicked();
    field.value = "";
    backToPhotos();
    return;
  }
  if ((event.ctrlKey || event.metaKey) && event.key === "z" && !inField) { event.preventDefault(); undo(); return; }
  if (!plain || inField || event.isComposing) return;
  const inTile = event.target.matches(".tile"), other = event.target.closest("button, a, input") && !inTile;
  const arrows = { ArrowRight: [1, false], ArrowLeft: [-1, false], ArrowDown: [1, true], ArrowUp: [-1, true] };
  if (/^[1-9]$/.test(event.key)) {
    const found = state.classes[Number(event.key) - 1];
    if (found) give(found.name);
  } else if (event.key === "0") act("skip");
  else if (event.key === "?") act("unsure");
  else if (event.key === "Backspace") undo();
  else if (state.correcting && (event.key === "+" || event.key === "=")) accept();
  else if (state.correcting && event.key === "-") reject();
  else if (event.key in arrows && !other && !map.open) moveTo(...arrows[event.key]);
  else if (event.key === "Enter" && inTile && !map.open) open(event.target);
  else if (event.key.length === 1 && event.key !== " ") { field.focus(); return; } // it is typed there
  else return; // such as Space, which clicks
  event.preventDefault();
});

/* ---- One photo, large ---- */

function open(button) {
  const photo = photos.get(Number(button.dataset.id));
  focusOn(button, false);
  $("view-image").src = photo.image;
  $("view-image").alt = $("view-name").textContent = photo.path;
  view.showModal();
  $("close").focus();
}

$("close").addEventListener("click", () => view.close());
view.addEventListener("click", (event) => { if (event.target === view) view.close(); });
view.addEventListener("close", () => focusOn(current()));
const backToPhotos = () => { if (map.open) surface.focus({ preventScroll: true }); else focusOn(current()); };

// The other scripts of the page come after this one.
document.addEventListener("DOMContentLoaded", () => load().then(look));
