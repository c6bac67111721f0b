"use strict";
// The photos of the search page: tiles in groups, and how the keyboard moves among them.

const grid = $("grid");
let shown = [];       // photos in the tiles, in order
let tiles = [];       // list items, in order: of photos, or of folders
let focusFirst = false;

const bitsText = (n) => (n === 1 ? "1 bit" : `${n} bits`);

/** How alike two photos are, by the share of bits in which their codes differ; half is chance. */
const LIKENESS = [[0.05, "very alike"], [0.125, "alike"], [0.25, "somewhat alike"], [1, "little alike"]];
const likeness = (distance, bits) => LIKENESS.find(([share]) => distance <= share * bits)[1];
const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/* ---- Drawing ---- */

const MONTH = new Intl.DateTimeFormat("en", { month: "long", year: "numeric", timeZone: "UTC" });
const monthName = (month) => (month ? MONTH.format(new Date(month + "-01T00:00:00Z")) : "Without a date");

const large = (() => {
  const shape = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  shape.setAttribute("viewBox", "0 0 24 24");
  shape.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", "M14 4h6v6M20 4l-7 7M10 20H4v-6M4 20l7-7");
  shape.append(path);
  return shape;
})();

/** Shows photos in place of those that are there; with bits they are neighbours. */
function draw(photos, bits = 0, byMonth = false) {
  clear();
  add(photos, bits, byMonth);
  if (focusFirst && tiles.length) focusTile(0);
  focusFirst = false;
}

function clear() {
  [shown, tiles] = [[], []];
  grid.replaceChildren();
  $("more").hidden = $("keys").hidden = true;
  $("pick").hidden = !picking;
}

/** Shows more photos behind those that are there. */
function add(photos, bits = 0, byMonth = false) {
  for (const photo of photos) {
    const item = photoTile(photo, tiles.length, bits);
    group(byMonth ? photo.taken.slice(0, 7) : null).append(item);
    shown.push(photo);
    tiles.push(item);
  }
  $("keys").hidden = !tiles.length;
  $("pick").hidden = !tiles.length && !picking;
}

/** The list that the next tile goes to. */
function group(month) {
  const last = grid.lastElementChild;
  if (last && last.dataset.month === String(month)) return last.querySelector("ul");
  const list = element("ul", { class: "grid" });
  const part = element("section", { "data-month": month });
  if (month === null) list.setAttribute("aria-labelledby", "headline");
  else {
    const title = element("h2", { id: `month-${grid.childElementCount}` }, monthName(month));
    list.setAttribute("aria-labelledby", title.id);
    part.append(title);
  }
  part.append(list);
  grid.append(part);
  return list;
}

function framed(photo, place) {
  const image = element("img", { alt: "", src: photo.thumbnail, loading: place < 40 ? "eager" : "lazy", draggable: "true" });
  image.addEventListener("load", () => image.classList.toggle("pixels", image.naturalWidth <= 64));
  watchPicture(image);
  return element("span", { class: "frame" }, image);
}

function photoTile(photo, place, bits) {
  const roving = { "data-place": place, tabindex: place ? -1 : 0 };
  const text = element("span", { class: "text" });
  if (bits) {
    const bar = element("i");
    bar.style.width = `${100 - (100 * photo.distance) / bits}%`;
    text.append(element("span", { class: "far", title: bitsText(photo.distance) }, capital(likeness(photo.distance, bits)) + " ", element("span", { class: "near", "aria-hidden": "true" }, bar)));
  }
  text.append(element("span", { class: "file", title: photo.path }, photo.path.split("/").pop() + " "));
  if (photo.labels.length) text.append(tags(element("span", { class: "labels" }), photo.labels));
  const link = element("a", { class: "tile", href: address({ ...readAddress(), ...NOTHING, id: photo.id }), ...roving }, framed(photo, place), text);
  const look = element("button", { class: "look", type: "button", "aria-label": `Show ${photo.path} large`, ...roving }, large.cloneNode(true));
  return element("li", {}, link, look, pickBox(photo, roving));
}

/** Shows folders, each by its newest photo; the number is that of the photos in it and below. */
function drawFolders(folders) {
  clear();
  const list = group(null);
  folders.forEach(({ folder, photos, cover }, place) => {
    const name = folder || "All photos";
    const text = element("span", { class: "text" },
      element("span", { class: "name" }, ...breakable(name), " "), element("span", { class: "file" }, number(photos, "photo")));
    const link = element("a", { class: "tile", "data-place": place, tabindex: place ? -1 : 0 }, framed(cover, place), text);
    const item = element("li", {}, leads(link, { ...NOTHING, folder: folder || "." }));
    list.append(item);
    tiles.push(item);
  });
}

function tags(place, labels) {
  place.replaceChildren(...labels.map((label) => element("span", {}, ...breakable(label), " ")));
  return place;
}

/** Stands where photos will be; gone again with the next drawing, or with `noSkeleton`. */
function skeleton() {
  if (tiles.length) return;
  grid.replaceChildren(element("ul", { class: "grid skeleton", "aria-hidden": "true" }, ...Array.from({ length: 12 }, () => element("li", {},
    element("span", { class: "tile" }, element("span", { class: "frame" }), element("span", { class: "text" }, " "))))));
}

const noSkeleton = () => grid.querySelector(".skeleton")?.remove();

grid.addEventListener("click", (event) => {
  const look = event.target.closest(".look"), link = event.target.closest(".tile");
  const place = Number((look ?? link)?.dataset.place);
  if (look) open(place);
  else if (link && shown[place] && plainClick(event) && !picking) {
    event.preventDefault();
    focusFirst = event.detail === 0; // by the keyboard
    go({ ...NOTHING, id: shown[place].id });
  }
});

/* ---- Keyboard: one tile is a stop of the tabulator, the arrows move it ---- */

function makeStop(place) {
  for (const one of grid.querySelectorAll("[tabindex='0']")) one.tabIndex = -1;
  for (const one of tiles[place].querySelectorAll("[data-place]")) one.tabIndex = 0;
}

function focusTile(place) {
  const item = tiles[Math.max(0, Math.min(place, tiles.length - 1))];
  if (!item) return;
  makeStop(tiles.indexOf(item));
  item.querySelector(".tile").focus();
}

/** The tile of the next row, up or down, that is nearest to a place; the place itself if none is. */
function inNextRow(place, step) {
  const middle = (item) => item.getBoundingClientRect().left + item.offsetWidth / 2;
  const row = (item) => Math.round(item.getBoundingClientRect().top);
  let next = place + step;
  while (tiles[next] && row(tiles[next]) === row(tiles[place])) next += step;
  if (!tiles[next]) return place;
  const at = row(tiles[next]);
  let best = next;
  for (; tiles[next] && row(tiles[next]) === at; next += step) {
    if (Math.abs(middle(tiles[next]) - middle(tiles[place])) < Math.abs(middle(tiles[best]) - middle(tiles[place]))) best = next;
  }
  return best;
}

grid.addEventListener("keydown", (event) => {
  const place = Number(event.target.dataset.place);
  if (Number.isNaN(place) || event.altKey || event.ctrlKey || event.metaKey) return;
  const steps = {
    ArrowRight: () => place + 1, ArrowLeft: () => place - 1, Home: () => 0, End: () => tiles.length - 1,
    ArrowDown: () => inNextRow(place, 1), ArrowUp: () => inNextRow(place, -1),
  };
  const onTile = event.target.matches(".tile") && shown[place];
  if (event.key in steps) { event.preventDefault(); focusTile(steps[event.key]()); }
  else if (event.key === " " && onTile) { event.preventDefault(); open(place); }
  else if (event.key === "x" && onTile) pick(place, !picked.has(shown[place].id));
  else if (event.key === "Escape") $("choose").focus();
});
grid.addEventListener("focusin", (event) => {
  if (event.target.tabIndex === -1 && event.target.dataset.place) makeStop(Number(event.target.dataset.place));
});
