"use strict";
// The map of all photos on the page of labelling: a region is selected by a line around it, by the
// picture of a cluster, or by the ring of the keyboard; then labels go to what is selected.

const map = {
  open: false, drawing: null, key: "", clusters: [], cluster: [], asked: false,
  selected: new Set(), revision: -1, selecting: false, known: new Map(), frame: 0,
};
const RING = 70, STEP = 60, ZOOM = 1.4, PICTURE = 56, NEAR = 12, SHOWN = 24, MOVED = 4; // in CSS pixels, but for SHOWN
const plane = $("plane"), surface = $("map-canvas");
const darkness = matchMedia("(prefers-color-scheme: dark)");

/* ---- Opening and closing ---- */

function openMap(open) {
  map.open = open;
  map.asked = false;
  $("show-map").setAttribute("aria-pressed", open);
  $("show-groups").setAttribute("aria-pressed", !open);
  $("map").hidden = !open;
  list.hidden = open;
  $("keys").hidden = open || !photos.size;
  show(state);
  if (!open) focusOn(firstOpen(0));
  else if (innerWidth <= 832) $("map").scrollIntoView(); // the panel covers the lower half
}

/** Bring the map up to the state: ask for it if it is not there, and for what was said if that is old. */
async function showMap() {
  if (!map.open) return;
  const there = Boolean(state.map);
  $("map-tools").hidden = plane.hidden = $("chosen").hidden = $("legend").hidden = !there;
  $("map-wait").hidden = there;
  $("map-wait").textContent = state.no_map ? sentence(state.no_map)
    : state.error ? "There is no map." : "All photos are being laid out, so that alike ones lie near each other. You can go on labelling meanwhile.";
  $("map-old").hidden = !state.map_lacks;
  $("map-anew").disabled = Boolean(state.progress.what) || Boolean(state.no_map);
  $("map-lacks").textContent = `The map lacks ${number(state.map_lacks, "photo")}, which came later.`;
  try {
    if (!there) {
      if (state.no_map || state.error || state.progress.what || map.asked) return;
      map.asked = true;
      return void show(await ask("labelling/map", {}));
    }
    if (map.key !== state.map) await takeMap(await ask("labelling/map"));
    if (map.revision !== state.revision) takeLabels(await ask("labelling/map/labels"));
  } catch (error) { message(error.message); }
}

async function takeMap(found) {
  map.key = found.key;
  map.cluster = found.cluster;
  map.clusters = found.clusters;
  const places = (values) => Float32Array.from(values, (value) => value / 65535);
  map.drawing = new MapCanvas(surface, places(found.x), places(found.y));
  clearSelection();
  $("map-pictures").replaceChildren(...found.clusters.map(({ photos, example }, i) => {
    const text = `Cluster ${i + 1}, ${number(photos, "photo")} like ${example.path}: select`;
    const button = element("button", { type: "button", "aria-label": text, title: `${number(photos, "photo")}: select` },
      element("img", { alt: "", src: example.thumbnail, draggable: "false", loading: "lazy" }), element("small", { "aria-hidden": "true" }, count(photos)));
    button.addEventListener("click", () => select(points((point) => map.cluster[point] === i)));
    return button;
  }));
  resize();
}

function points(condition) {
  const found = [];
  for (let point = 0; point < map.cluster.length; point++) if (condition(point)) found.push(point);
  return found;
}

/** What was said of all photos; the signs of the classes. */
function takeLabels({ revision, classes, first, marked }) {
  if (waiting) return; // what is shown is ahead of it
  map.revision = revision;
  const { kinds } = map.drawing;
  kinds.fill(NONE);
  for (const photo of marked) kinds[photo] = MARKED;
  for (const [photo, kind] of first) kinds[photo] = kind;
  const shown = [...new Set(first.map(([, kind]) => kind))].sort((a, b) => a - b).slice(0, 40);
  $("legend").replaceChildren(...shown.map((kind) => element("li", {}, signOf(kind, darkness.matches), classes[kind])),
    element("li", { class: "without" }, "● no label", marked.length ? ", ✚ skipped or not sure" : ""));
  map.known.clear();
  showChosen();
  redraw();
}

/* ---- Drawing ---- */

function resize() {
  if (!map.drawing || !plane.clientWidth) return;
  map.drawing.dark = darkness.matches;
  map.drawing.resize(plane.clientWidth, plane.clientHeight, Math.min(2, devicePixelRatio));
  redraw();
}

function redraw() {
  map.frame ||= requestAnimationFrame(() => { map.frame = 0; drawMap(); });
}

function drawMap() {
  map.drawing.ring = document.activeElement === surface && surface.matches(":focus-visible") ? RING : 0;
  map.drawing.draw();
  placePictures();
}

/** Pictures at their photos, as far as there is room: those of large clusters first. */
function placePictures() {
  const taken = [], { width, height } = map.drawing, hide = !$("with-pictures").checked;
  const buttons = $("map-pictures").children;
  for (const [i, { example }] of map.clusters.entries()) {
    const [x, y] = map.drawing.on(example.id), style = buttons[i].style;
    const outside = x < 0 || y < 0 || x > width || y > height;
    const over = taken.some(([a, b]) => Math.abs(a - x) < PICTURE && Math.abs(b - y) < PICTURE);
    style.display = hide || outside || over ? "none" : "";
    if (hide || outside || over) continue;
    taken.push([x, y]);
    style.transform = `translate(${Math.round(x - PICTURE / 2)}px, ${Math.round(y - PICTURE / 2)}px)`;
  }
}

/* ---- What is selected ---- */

function select(chosen) {
  map.selected = new Set(chosen);
  showSelection();
}

function toggle(photo) {
  if (!map.selected.delete(photo)) map.selected.add(photo);
  showSelection();
}

const clearSelection = () => select([]);

function showSelection() {
  const { selected } = map.drawing;
  selected.fill(0);
  for (const photo of map.selected) selected[photo] = 1;
  showChosen();
  redraw();
}

const withoutLabel = () => [...map.selected].filter((photo) => map.drawing.kinds[photo] === NONE);

/** The photos that a label goes to: the selected ones without a label; or else all of them. */
function meantOnMap(several) {
  const open = withoutLabel();
  return open.length && !several ? open : [...map.selected];
}

/** How many are selected, and some of them as tiles, spread evenly. */
async function showChosen() {
  const all = [...map.selected].sort((a, b) => a - b), open = withoutLabel().length;
  const rest = all.length - open;
  $("chosen-text").textContent = !all.length ? "Nothing is selected."
    : `${number(all.length, "photo is", "photos are")} selected.`
    + (rest && open ? ` A label goes to the ${count(open)} of which nothing was said.` : "");
  $("clear-selection").disabled = !all.length;
  const some = all.length <= SHOWN ? all : Array.from({ length: SHOWN }, (_, i) => all[Math.floor(i * all.length / SHOWN)]);
  $("chosen-note").textContent = all.length > SHOWN ? `${SHOWN} of them, spread evenly; a click takes a photo out.` : all.length ? "A click takes a photo out." : "";
  try {
    const found = await describe(some);
    if (all.length === map.selected.size && all.every((photo) => map.selected.has(photo))) $("chosen-list").replaceChildren(...found.map(chosenTile));
  } catch (error) { message(error.message); }
}

/** Photos as the service describes them; those that are known are not asked for again. */
async function describe(wanted) {
  const missing = wanted.filter((photo) => !map.known.has(photo));
  if (missing.length) for (const photo of await ask("labelling/described", { photos: missing })) map.known.set(photo.id, photo);
  return wanted.map((photo) => map.known.get(photo)).filter(Boolean);
}

const saidOf = (photo) => photo.labels.join(", ") || { skipped: "skipped", unsure: "not sure" }[photo.mark] || "no label";

function chosenTile(photo) {
  const item = tile(photo), button = item.firstChild;
  button.querySelector(".said").textContent = saidOf(photo);
  button.removeAttribute("tabindex");
  button.setAttribute("aria-pressed", "true");
  button.setAttribute("aria-label", `${photo.path}, ${saidOf(photo)}`);
  button.addEventListener("click", () => toggle(photo.id));
  return item;
}

/** Say something of the selected photos; what they are now is shown ahead of the answer. */
function sayOnMap(chosen, action, label) {
  const kind = state.classes.findIndex(({ name }) => name === label);
  for (const photo of chosen) {
    if (action === "label" || action === "add" && map.drawing.kinds[photo] < 0) map.drawing.kinds[photo] = kind;
    else if (action === "skip" || action === "unsure") map.drawing.kinds[photo] = MARKED;
  }
  if (action !== "add" && action !== "remove") clearSelection();
  map.revision = -1;
  redraw();
  send("labelling/said", { photos: chosen, action, label });
}

/* ---- Mouse and touch ---- */

const pointers = new Map();
let gesture = null; // what the pointers do: where it began, and whether it moves, selects or zooms

const placeOf = (event) => {
  const box = plane.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
};

plane.addEventListener("pointerdown", (event) => {
  if (event.button || event.target.closest(".bubble")) return;
  pointers.set(event.pointerId, placeOf(event));
  const [x, y] = placeOf(event);
  gesture = { x, y, line: [x, y], moved: pointers.size > 1, lasso: pointers.size === 1 && map.selecting !== event.shiftKey, on: event.target };
  if (pointers.size > 1) map.drawing.line = null;
});

plane.addEventListener("pointermove", (event) => {
  const [x, y] = placeOf(event);
  if (!pointers.has(event.pointerId)) { if (event.pointerType === "mouse") hover(x, y, event.target); return; }
  const [oldX, oldY] = pointers.get(event.pointerId);
  if (!gesture.moved && Math.hypot(x - gesture.x, y - gesture.y) < MOVED) return;
  if (!plane.hasPointerCapture(event.pointerId)) plane.setPointerCapture(event.pointerId);
  gesture.moved = true;
  hideHover();
  pointers.set(event.pointerId, [x, y]);
  if (pointers.size > 1) {
    const [[otherX, otherY]] = [...pointers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
    const before = Math.hypot(oldX - otherX, oldY - otherY), now = Math.hypot(x - otherX, y - otherY);
    map.drawing.zoom(now / Math.max(before, 1), (x + otherX) / 2, (y + otherY) / 2);
    map.drawing.pan((x - oldX) / 2, (y - oldY) / 2);
  } else if (gesture.lasso) {
    gesture.line.push(x, y);
    map.drawing.line = gesture.line;
  } else map.drawing.pan(x - oldX, y - oldY);
  redraw();
});

function release(event) {
  if (!pointers.delete(event.pointerId) || pointers.size) return;
  const { line } = map.drawing;
  map.drawing.line = null;
  if (event.type === "pointerup" && line) select(map.drawing.inside(line));
  else if (event.type === "pointerup" && !gesture.moved && gesture.on === surface) {
    const photo = map.drawing.nearest(gesture.x, gesture.y, NEAR);
    if (photo >= 0) toggle(photo);
  }
  redraw();
}
plane.addEventListener("pointerup", release);
plane.addEventListener("pointercancel", release);
plane.addEventListener("pointerleave", () => hideHover());
plane.addEventListener("wheel", (event) => {
  event.preventDefault();
  map.drawing.zoom(Math.exp(-event.deltaY / (event.deltaMode ? 20 : 400)), ...placeOf(event));
  redraw();
}, { passive: false });

/** The photo below the mouse: its picture, its path, and what was said of it. */
let hovered = -1;
function hover(x, y, on) {
  const photo = on === surface ? map.drawing.nearest(x, y, NEAR) : -1;
  if (photo === hovered) return;
  hideHover();
  hovered = photo;
  if (photo < 0) return;
  setTimeout(async () => {
    if (photo !== hovered) return;
    const [found] = await describe([photo]).catch(() => []);
    if (!found || photo !== hovered) return;
    const [left, top] = map.drawing.on(photo);
    $("bubble").replaceChildren(element("img", { src: found.thumbnail, alt: "" }), element("span", {}, `${found.path}: ${saidOf(found)}`));
    $("bubble").hidden = false;
    const { offsetWidth, offsetHeight } = $("bubble");
    $("bubble").style.left = `${Math.max(4, Math.min(left + 14, plane.clientWidth - offsetWidth - 4))}px`;
    $("bubble").style.top = `${top + 14 + offsetHeight > plane.clientHeight ? Math.max(4, top - offsetHeight - 14) : top + 14}px`;
  }, 80);
}

function hideHover() {
  hovered = -1;
  $("bubble").hidden = true;
}

/* ---- Buttons and keyboard ---- */

function zoomBy(factor) { map.drawing.zoom(factor); redraw(); }

function setSelecting(selecting) {
  map.selecting = selecting;
  $("mode-move").setAttribute("aria-pressed", !selecting);
  $("mode-select").setAttribute("aria-pressed", selecting);
  plane.classList.toggle("selecting", selecting);
}

$("show-map").addEventListener("click", () => openMap(true));
$("show-groups").addEventListener("click", () => openMap(false));
$("mode-move").addEventListener("click", () => setSelecting(false));
$("mode-select").addEventListener("click", () => setSelecting(true));
$("zoom-in").addEventListener("click", () => zoomBy(ZOOM));
$("zoom-out").addEventListener("click", () => zoomBy(1 / ZOOM));
$("zoom-all").addEventListener("click", () => { map.drawing.fit(); redraw(); });
$("with-pictures").addEventListener("change", redraw);
$("map-anew").addEventListener("click", () => send("labelling/map", {}));
$("clear-selection").addEventListener("click", clearSelection);

surface.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !map.drawing) return;
  const moves = { ArrowLeft: [STEP, 0], ArrowRight: [-STEP, 0], ArrowUp: [0, STEP], ArrowDown: [0, -STEP] };
  const middle = [map.drawing.width / 2, map.drawing.height / 2];
  if (event.key in moves) map.drawing.pan(...moves[event.key]);
  else if (event.key === "+" || event.key === "=") map.drawing.zoom(ZOOM);
  else if (event.key === "-") map.drawing.zoom(1 / ZOOM);
  else if (event.key === " ") select([...(event.shiftKey ? map.selected : []), ...map.drawing.within(...middle, RING)]);
  else return; // labels, undo
  event.preventDefault();
  event.stopPropagation();
  redraw();
});
for (const kind of ["focus", "blur"]) surface.addEventListener(kind, () => { if (map.drawing) redraw(); });
darkness.addEventListener("change", () => { resize(); map.revision = -1; showMap(); });
new ResizeObserver(resize).observe(plane);
