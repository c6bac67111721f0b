"use strict";
// The options of a search, and the filters.

const narrow = matchMedia("(max-width: 52rem)");
const DATE_FIELDS = ["from", "to"], TEXT_FIELDS = ["path", "folder"];

const anyRadius = () => Number($("radius").max);
const radiusText = (value) => (value >= anyRadius() ? "any" : value === 0 ? "same code" : `${likeness(value, about.bits)}, up to ${bitsText(value)}`);

function fillOptions(asked) {
  $("k").value = asked.k;
  $("radius").value = asked.radius === null ? anyRadius() : asked.radius;
  $("radius-text").textContent = radiusText(Number($("radius").value));
  $("order").value = asked.order;
  for (const name of [...TEXT_FIELDS, ...DATE_FIELDS]) if ($(name) !== document.activeElement) $(name).value = asked[name];
  $("like").value = asked.like;
  for (const field of document.querySelectorAll(".of-search")) field.hidden = !searching(asked) || (field.id === "order-field" && !about.appearance_bits);
  for (const box of $("chips").querySelectorAll("input")) box.checked = asked.labels.includes(box.value);
  orderChips();
  const active = filtered(asked) + (asked.radius !== null) + (asked.order === "id");
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
    const box = element("input", { type: "checkbox", value: label });
    return element("label", { class: "chip" }, box, element("span", {}, ...breakable(label), " ", element("small", {}, count(photos))));
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
for (const name of TEXT_FIELDS) $(name).addEventListener("input", () => soon(() => change({ [name]: $(name).value.trim() })));
for (const name of DATE_FIELDS) $(name).addEventListener("input", () => { if ($(name).checkValidity()) soon(() => change({ [name]: $(name).value })); });
$("form").addEventListener("submit", (event) => event.preventDefault());
$("reset").addEventListener("click", () => change(UNFILTERED));
$("words").addEventListener("submit", (event) => {
  event.preventDefault();
  const like = $("like").value.trim();
  if (like) go({ ...NOTHING, like });
});

const fold = () => { $("options").open = !narrow.matches; };
narrow.addEventListener("change", fold);
fold();
