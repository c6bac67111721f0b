"use strict";
// The search page. Its address says what is searched for, so that back, forward, reload and
// bookmarks work; a picture from elsewhere is there as its code.

const grid = $("grid"), view = $("view"), narrow = matchMedia("(max-width: 52rem)");
const STEP = 24;
const NOTHING = { id: null, code: null, like: "", k: STEP }; // to search for
let about = { bits: 0, photos: 0, labels: {}, max_k: 1000, max_upload: Infinity };
let shown = [];       // photos in the grid
let running = null;   // the request that the page waits for
let viewed = 0;       // place in the grid of the photo in the large view
let focusFirst = false;

/* ---- What the address says ---- */

function readAddress() {
  const query = new URLSearchParams(location.search);
  const whole = (name) => (/^\d+$/.test(query.get(name) ?? "") ? Number(query.get(name)) : null);
  return {
    id: whole("id"),
    code: query.get("code"),
    model: query.get("model"), // whose code that is
    like: query.get("like") ?? "",
    k: Math.max(1, Math.min(whole("k") ?? STEP, about.max_k)),
    radius: whole("radius"),
    order: query.get("order") === "id" ? "id" : "appearance",
    labels: query.getAll("label"),
    path: query.get("path") ?? "",
  };
}

function address(asked) {
  const query = new URLSearchParams();
  if (asked.id !== null) query.set("id", asked.id);
  else if (asked.code) {
    query.set("code", asked.code);
    query.set("model", asked.model);
  } else if (asked.like) query.set("like", asked.like);
  if (asked.k !== STEP) query.set("k", asked.k);
  if (asked.radius !== null) query.set("radius", asked.radius);
  if (asked.order === "id") query.set("order", "id");
  for (const label of asked.labels) query.append("label", label);
  if (asked.path) query.set("path", asked.path);
  const text = query.toString();
  return text ? "./?" + text : "./";
}

function quoted(label) {
  return /^"|[|]/.test(label) ? '"' + label.replaceAll('"', '""') + '"' : label;
}

function filters(asked) {
  const query = new URLSearchParams();
  if (asked.labels.length) query.append("filter", "label=" + asked.labels.map(quoted).join("|"));
  if (asked.path) query.append("filter", "path=" + asked.path);
  return query;
}

/* ---- Asking the service ---- */

class Trouble extends Error {
  constructor(title, text) { super(text); this.title = title; }
}

async function ask(url, options = {}) {
  running?.abort();
  const mine = (running = new AbortController());
  let answer;
  try {
    answer = await fetch(url, { ...options, signal: mine.signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Trouble("The service does not answer", "It may have been stopped, or the network is down.");
  }
  if (answer.status === 401) {
    location.assign("login");
    throw new DOMException("login", "AbortError");
  }
  const body = await answer.json().catch(() => ({ error: `status ${answer.status}` }));
  if (answer.ok) return body;
  const wait = answer.headers.get("retry-after");
  if (wait) throw new Trouble("The service is busy", `${sentence(body.error)} Wait ${wait} s, then try again.`);
  const titles = { 404: "That photo is not in the index any more", 408: "That file came too slowly", 413: "That file is too large" };
  const picture = body.error.startsWith("the image: "), label = body.error.startsWith("no label ");
  throw new Trouble(
    titles[answer.status] ?? (picture ? "That file cannot be read as a picture" : label ? "No label like that" : "That did not work"),
    sentence(body.error.replace("the image: ", "")),
  );
}

const bitsText = (n) => (n === 1 ? "1 bit" : `${n} bits`);

/* ---- Showing what the address says ---- */

async function show() {
  const asked = readAddress();
  fillOptions(asked);
  const searching = asked.id !== null || asked.code || asked.like;
  if (!searching) showQuery(null);
  await work(searching ? () => search(asked) : () => browse(asked));
}

async function work(job, keep = false) {
  message(null);
  grid.setAttribute("aria-busy", "true");
  const slow = setTimeout(skeleton, 250);
  try {
    await job();
  } catch (error) {
    if (error.name === "AbortError") return;
    if (!keep) {
      draw([]);
      status("");
      $("shuffle").hidden = true;
      $("headline").textContent = "Nothing to show";
    }
    const known = error instanceof Trouble;
    const way = keep ? ["Choose another", () => $("file").click()] : ["Try again", () => work(job)];
    message(known ? error.title : "An error of this page", error.message, [way], true);
    if (!known) throw error;
  } finally {
    clearTimeout(slow);
    grid.removeAttribute("aria-busy");
  }
}

async function browse(asked) {
  $("headline").textContent = "Begin with a picture";
  document.title = "Search by picture";
  if (!about.photos) {
    draw([]);
    status("");
    message("No photos yet", "The index is empty. Run “ssah index” with your folder; this page takes it up by itself.");
    return;
  }
  const query = filters(asked);
  query.set("count", "36");
  const photos = await ask("photos?" + query);
  status(photos.length ? "Drop, paste or choose one, or click one of these." : "");
  draw(photos);
  $("shuffle").hidden = photos.length >= about.photos || !photos.length;
  if (!photos.length) nothing(asked);
}

async function search(asked, file = null) {
  if (asked.code && !file && asked.model !== about.model_id) {
    throw new Trouble("The index has another encoder now", "This address holds a code of the one before. Drop the picture again.");
  }
  const query = filters(asked);
  if (asked.radius !== null) query.set("radius", asked.radius);
  if (asked.order === "id") query.set("order", "id");
  // A photo of the index finds itself: one more, and it is left out.
  query.set("k", Math.min(asked.k + (asked.id !== null), about.max_k));
  if (asked.id !== null) query.set("id", asked.id);
  else if (!file && asked.code) query.set("code", asked.code);
  else if (!file) query.set("label_like", asked.like);
  const begin = performance.now();
  const found = await ask("search?" + query, file
    ? { method: "POST", body: file, headers: { "content-type": "application/octet-stream" } }
    : { method: "POST" });
  const time = Math.max(1, Math.round(performance.now() - begin));
  if (found.photos !== about.photos || found.model_id !== about.model_id) {
    await learn(); // the index was made anew
    fillOptions(asked);
  }
  if (file) {
    asked = { ...asked, code: found.query.code + found.query.appearance, model: found.model_id };
    const state = { name: file.name, preview: await small(file) };
    history.pushState(state, "", address(asked));
  }
  showQuery(found.query);
  const near = found.neighbours.filter((photo) => photo.id !== asked.id).slice(0, asked.k);
  const label = found.query.labels[0];
  const name = nameOf(found.query) ?? "a picture";
  $("headline").textContent = label
    ? `${near.length === 1 ? "One photo" : near.length ? `${count(near.length)} photos` : "No photos"} like those of “${label}”`
    : near.length ? `${near.length === 1 ? "The neighbour" : `${count(near.length)} neighbours`} of ${name}` : `No neighbours of ${name}`;
  document.title = `${name}: Search by picture`;
  if (near.length) {
    const [first, last] = [near[0].distance, near.at(-1).distance];
    const far = last === 0 ? "The same code" : `${first === last ? bitsText(first) : `${first} to ${bitsText(last)}`} away, of ${found.bits}`;
    status(`${far}; from ${count(found.photos)} photos in ${time} ms`);
  } else {
    status("");
    nothing(asked);
  }
  draw(near, found.bits);
  $("shuffle").hidden = true;
  $("more").hidden = near.length < asked.k || asked.k >= about.max_k;
}

/** The photo, the label or the file that is searched for. */
const nameOf = (query) => query.photo?.path ?? query.labels[0] ?? history.state?.name;

function nothing(asked) {
  const ways = [];
  if (asked.radius !== null) ways.push(["Any distance", () => change({ radius: null })]);
  if (asked.labels.length || asked.path) ways.push(["Clear the filters", () => change({ labels: [], path: "" })]);
  const near = asked.radius === null ? "" : asked.radius ? ` within ${bitsText(asked.radius)}` : " with the same code";
  const met = asked.labels.length || asked.path ? " that the filters let through" : "";
  const kind = asked.like && !asked.labels.length ? "no photo without a label" : "no other photo";
  message("Nothing found", `There is ${kind}${near}${met}.`, ways);
}

/* ---- Drawing ---- */

const svg = (() => {
  const shape = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  shape.setAttribute("viewBox", "0 0 24 24");
  shape.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", "M14 4h6v6M20 4l-7 7M10 20H4v-6M4 20l7-7");
  shape.append(path);
  return shape;
})();

function draw(photos, bits = 0) {
  shown = photos;
  grid.replaceChildren(...photos.map((photo, place) => tile(photo, place, bits)));
  $("more").hidden = true;
  $("keys").hidden = !photos.length;
  if (focusFirst && photos.length) grid.querySelector(".tile").focus();
  focusFirst = false;
}

function tile(photo, place, bits) {
  const image = element("img", { alt: "", src: photo.thumbnail, loading: place < 40 ? "eager" : "lazy", draggable: "true" });
  const frame = element("span", { class: "frame" }, image);
  image.addEventListener("load", () => image.classList.toggle("pixels", image.naturalWidth <= 64));
  image.addEventListener("error", () => image.replaceWith(element("span", { class: "gone" }, "The file is gone")));
  const text = element("span", { class: "text" });
  if (bits) {
    const bar = element("i");
    bar.style.width = `${100 - (100 * photo.distance) / bits}%`;
    text.append(element("span", { class: "far" }, bitsText(photo.distance), element("span", { class: "near", "aria-hidden": "true" }, bar)));
  }
  text.append(element("span", { class: "file", title: photo.path }, photo.path.split("/").pop()));
  if (photo.labels.length) text.append(tags(element("span", { class: "labels" }), photo.labels));
  const said = [bits ? bitsText(photo.distance) : "", photo.path, photo.labels.join(", ")].filter(Boolean).join(", ");
  const link = element("a", {
    class: "tile", href: address({ ...readAddress(), ...NOTHING, id: photo.id }),
    "aria-label": `${said}: search for it`, "data-place": place, tabindex: place ? -1 : 0,
  }, frame, text);
  const look = element("button", { class: "look", type: "button", "aria-label": `Show ${photo.path} large`, "data-place": place, tabindex: place ? -1 : 0 }, svg.cloneNode(true));
  return element("li", {}, link, look);
}

function tags(place, labels) {
  place.replaceChildren(...labels.map((label) => element("span", {}, label)));
  return place;
}

/** A link to the search by a label. */
function labelLink(label) {
  const link = element("a", { href: address({ ...readAddress(), ...NOTHING, like: label }) }, label);
  link.addEventListener("click", (event) => {
    if (plainClick(event)) { event.preventDefault(); go({ ...NOTHING, like: label }); }
  });
  return link;
}

function skeleton() {
  if (shown.length) return;
  grid.replaceChildren(...Array.from({ length: 12 }, () => element("li", { class: "skeleton", "aria-hidden": "true" },
    element("span", { class: "tile" }, element("span", { class: "frame" }), element("span", { class: "text" }, " ")))));
}

function showQuery(query) {
  const photo = query?.photo;
  const preview = photo ? photo.thumbnail : query && history.state?.preview;
  $("drop").classList.toggle("filled", Boolean(preview));
  $("picture").hidden = !preview;
  $("asked").hidden = !query;
  $("choose").textContent = query ? "Choose another" : "Choose a file";
  if (!query) { $("preview").removeAttribute("src"); return; }
  if (preview) $("preview").src = preview;
  const name = nameOf(query) ?? "A picture by its code";
  $("preview").alt = `What is searched for: ${name}`;
  $("asked-name").textContent = name;
  tags($("asked-labels"), photo?.labels ?? []);
  const others = query.labels.slice(1);
  if (others.length) $("asked-labels").append("Also matches ", ...others.map(labelLink));
  $("hex").textContent = query.code;
  drawBits(query.code);
}

/** The code as black and white cells, in the order of its bits. */
function drawBits(hex) {
  const canvas = $("bits"), paint = canvas.getContext("2d");
  const bits = [...hex].flatMap((digit) => [8, 4, 2, 1].map((bit) => Boolean(parseInt(digit, 16) & bit))).slice(0, about.bits);
  const rows = 4, columns = Math.ceil(bits.length / rows);
  [canvas.width, canvas.height] = [columns, rows];
  const style = getComputedStyle(document.documentElement);
  bits.forEach((on, i) => {
    paint.fillStyle = style.getPropertyValue(on ? "--accent" : "--fill");
    paint.fillRect(i % columns, Math.floor(i / columns), 1, 1);
  });
}

$("preview").addEventListener("load", () => $("preview").classList.toggle("pixels", $("preview").naturalWidth <= 64));

function status(text) { $("status").textContent = text; }

function message(title, text, ways = [], bad = false) {
  const place = $("message");
  place.hidden = !title;
  place.classList.toggle("bad", bad);
  if (!title) { place.replaceChildren(); return; }
  const buttons = element("div", { class: "buttons" });
  for (const [name, act] of ways) {
    const button = element("button", { class: "secondary", type: "button" }, name);
    button.addEventListener("click", act);
    buttons.append(button);
  }
  place.replaceChildren(element("strong", {}, title), element("p", {}, text), ...(ways.length ? [buttons] : []));
}

/* ---- Pictures from outside ---- */

async function take(file) {
  if (!file) return;
  if (file.size > about.max_upload) {
    trouble("That file is too large", `${file.name} has ${megabytes(file.size)}; at most ${megabytes(about.max_upload)} are taken.`);
    return;
  }
  if (!file.size) {
    trouble("That file is empty", `${file.name} holds nothing.`);
    return;
  }
  scrollTo(0, 0);
  const asked = { ...readAddress(), ...NOTHING };
  await work(() => search(asked, file), true);
}

function trouble(title, text) {
  scrollTo(0, 0);
  message(title, text, [["Choose another", () => $("file").click()]], true);
}

const megabytes = (bytes) => `${(bytes / 2 ** 20).toPrecision(2)} MiB`;

/** A small copy of a picture, to be shown again when one comes back to this search. */
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

const own = (text) => {
  try {
    const url = new URL(text);
    const base = new URL(".", location).href; // whatever path a proxy shows the page under
    if (!url.href.startsWith(base)) return null;
    const match = /^photos\/(\d+)\//.exec(url.href.slice(base.length));
    return match ? Number(match[1]) : url.searchParams.has("id") ? Number(url.searchParams.get("id")) : null;
  } catch { return null; }
};

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
  const id = own(event.dataTransfer.getData("text/uri-list"));
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

/* ---- Going from search to search ---- */

function go(changes, state = null) {
  history.pushState(state, "", address({ ...readAddress(), ...changes }));
  scrollTo(0, 0);
  show();
}

/** Another option for the same search: the address changes, the history does not grow. */
function change(changes) {
  history.replaceState(history.state, "", address({ ...readAddress(), ...changes }));
  show();
}

addEventListener("popstate", show);
$("home").addEventListener("click", (event) => {
  if (plainClick(event)) { event.preventDefault(); go({ ...NOTHING, radius: null, order: "appearance", labels: [], path: "" }); }
});
$("clear").addEventListener("click", () => go(NOTHING));
$("words").addEventListener("submit", (event) => {
  event.preventDefault();
  const like = $("like").value.trim();
  if (like) go({ ...NOTHING, like });
});
$("shuffle").addEventListener("click", show);
$("more").addEventListener("click", () => change({ k: Math.min(readAddress().k + 2 * STEP, about.max_k) }));
const plainClick = (event) => !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || event.button);

grid.addEventListener("click", (event) => {
  const look = event.target.closest(".look"), link = event.target.closest(".tile");
  if (look) open(Number(look.dataset.place));
  else if (link && link.href && plainClick(event)) {
    event.preventDefault();
    focusFirst = event.detail === 0; // by the keyboard
    go({ ...NOTHING, id: shown[link.dataset.place].id });
  }
});

/* ---- Keyboard ---- */

function stepTo(place) {
  const items = [...grid.children];
  const target = items[Math.max(0, Math.min(place, items.length - 1))];
  if (!target) return;
  for (const item of grid.querySelectorAll("[tabindex='0']")) item.tabIndex = -1;
  for (const item of target.querySelectorAll("a, button")) item.tabIndex = 0;
  target.firstChild.focus();
}

grid.addEventListener("keydown", (event) => {
  const place = Number(event.target.dataset.place);
  if (Number.isNaN(place) || event.altKey || event.ctrlKey || event.metaKey) return;
  const columns = getComputedStyle(grid).gridTemplateColumns.split(" ").length;
  const steps = { ArrowRight: place + 1, ArrowLeft: place - 1, ArrowDown: place + columns, ArrowUp: place - columns, Home: 0, End: shown.length - 1 };
  if (event.key in steps) { event.preventDefault(); stepTo(steps[event.key]); }
  else if (event.key === " " && event.target.matches(".tile")) { event.preventDefault(); open(place); }
  else if (event.key === "Escape") $("choose").focus();
});
grid.addEventListener("focusin", (event) => {
  if (event.target.tabIndex === -1 && event.target.dataset.place) stepTo(Number(event.target.dataset.place));
});

/* ---- One photo, large ---- */

function open(place) {
  viewed = place;
  const photo = shown[place], image = $("view-image");
  image.classList.remove("pixels");
  image.onload = () => image.classList.toggle("pixels", image.naturalWidth <= 64);
  image.onerror = () => { $("view-name").textContent = `${photo.path}: the file is gone`; };
  image.src = photo.image;
  image.alt = photo.path;
  $("view-name").textContent = photo.distance === undefined ? photo.path : `${photo.path}, ${bitsText(photo.distance)} away`;
  tags($("view-labels"), photo.labels);
  $("previous").disabled = place === 0;
  $("next").disabled = place === shown.length - 1;
  $("copy").textContent = "Copy path";
  if (!view.open) { view.showModal(); $("view-search").focus(); }
}

$("previous").addEventListener("click", () => open(viewed - 1));
$("next").addEventListener("click", () => open(viewed + 1));
$("close").addEventListener("click", () => view.close());
view.addEventListener("click", (event) => { if (event.target === view) view.close(); });
view.addEventListener("close", () => stepTo(viewed));
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

/* ---- Options ---- */

const anyRadius = () => Number($("radius").max);
const radiusText = (value) => (value >= anyRadius() ? "any" : value === 0 ? "same code" : `up to ${bitsText(value)}`);

function fillOptions(asked) {
  $("k").value = asked.k;
  $("radius").value = asked.radius === null ? anyRadius() : asked.radius;
  $("radius-text").textContent = radiusText(Number($("radius").value));
  $("order").value = asked.order;
  $("path").value = asked.path;
  $("like").value = asked.like;
  for (const box of $("chips").querySelectorAll("input")) box.checked = asked.labels.includes(box.value);
  orderChips();
  const active = asked.labels.length + (asked.radius !== null) + (asked.order === "id") + Boolean(asked.path);
  $("active").textContent = active;
  $("active").hidden = !active;
  $("reset").hidden = !active;
}

function makeChips() {
  const labels = Object.entries(about.labels).filter(([label]) => !label.includes("|"));
  $("labels-field").hidden = !labels.length;
  $("words").hidden = !Object.keys(about.labels).length;
  $("names").replaceChildren(...Object.keys(about.labels).slice(0, 1000).map((value) => element("option", { value })));
  $("label-search").hidden = labels.length <= 16;
  $("chips").replaceChildren(...labels.map(([label, photos]) => {
    const box = element("input", { type: "checkbox", value: label, "aria-label": `${label}, ${count(photos)} photos` });
    return element("label", { class: "chip" }, box, element("span", {}, label + " ", element("small", {}, count(photos))));
  }));
}

/** With many labels only the checked, the wanted and the most frequent are shown. */
function orderChips() {
  const wanted = $("label-search").value.trim().toLowerCase();
  let room = 16;
  for (const chip of $("chips").children) {
    const box = chip.firstChild;
    const fits = box.checked || (box.value.toLowerCase().includes(wanted) && room > 0);
    if (fits && !box.checked) room -= 1;
    chip.hidden = !fits;
  }
}

let pause = 0;
const soon = (act) => { clearTimeout(pause); pause = setTimeout(act, 250); };
$("label-search").addEventListener("input", orderChips);
$("chips").addEventListener("change", () => change({ labels: [...$("chips").querySelectorAll("input:checked")].map((box) => box.value) }));
$("k").addEventListener("input", () => { if ($("k").checkValidity() && $("k").value) soon(() => change({ k: Number($("k").value) })); });
$("radius").addEventListener("input", () => {
  const value = Number($("radius").value);
  $("radius-text").textContent = radiusText(value);
  soon(() => change({ radius: value >= anyRadius() ? null : value }));
});
$("order").addEventListener("change", () => change({ order: $("order").value }));
$("path").addEventListener("input", () => soon(() => change({ path: $("path").value.trim() })));
$("form").addEventListener("submit", (event) => event.preventDefault());
$("reset").addEventListener("click", () => change({ radius: null, order: "appearance", labels: [], path: "" }));

/* ---- Start ---- */

const fold = () => { $("options").open = !narrow.matches; };
narrow.addEventListener("change", fold);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if ($("hex").textContent) drawBits($("hex").textContent); });
fold();
work(learn).then(() => { if (about.bits) show(); });

/** What is served. */
async function learn() {
  about = await ask("about");
  $("facts").textContent = `${count(about.photos)} photos, codes of ${about.bits} bits`;
  $("facts").title = `Model ${about.model_id}, ssah-tf ${about.version}`;
  $("k").max = about.max_k;
  $("radius").max = Math.ceil(about.bits / 2) + 1;
  $("order-field").hidden = !about.appearance_bits;
  $("logout").hidden = !about.token;
  makeChips();
}
