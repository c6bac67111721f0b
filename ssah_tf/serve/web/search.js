"use strict";
// The search page: shows what its address asks for.

let turn = 0; // number of what is done now

async function show() {
  const asked = readAddress(), focused = document.activeElement;
  fillOptions(asked);
  showViews(asked);
  if (!searching(asked)) showQuery(null);
  await work(searching(asked) ? () => search(asked) : () => browse(asked), false, focused);
}

/** Does something that changes what is shown; with `keep` a mistake leaves that as it was. */
async function work(job, keep = false, focused = document.activeElement) {
  const mine = (turn += 1);
  message(null);
  grid.setAttribute("aria-busy", "true");
  const slow = setTimeout(skeleton, 250);
  try {
    await job();
  } catch (error) {
    if (error.name === "AbortError" || mine !== turn) return;
    if (error instanceof Stale) await learn().catch(() => {}); // if it is silent, the next search says so
    if (!keep) {
      timeline = null;
      clear();
      status("");
      for (const id of ["shuffle", "month-field"]) $(id).hidden = true;
      $("headline").textContent = "Nothing to show";
    }
    const known = error instanceof Trouble;
    const way = keep ? ["Choose another", () => $("file").click()] : ["Try again", () => work(job)];
    message(known ? error.title : "An error of this page", error.message, [...(error.ways ?? []), way], true);
    if (!known) throw error;
  } finally {
    clearTimeout(slow);
    if (mine === turn) {
      noSkeleton();
      grid.removeAttribute("aria-busy");
      keepFocus(focused);
    }
  }
}

/** Where the focus was on something that is gone now, it goes on with the photos. */
function keepFocus(focused) {
  const lost = (one) => one !== document.body && !(one.isConnected && one.getClientRects().length);
  const now = document.activeElement;
  if (lost(now) || (now === document.body && lost(focused))) $("results").focus({ preventScroll: true });
}

/** Searches for what an address says, or for a file: its code, or with `send` itself. */
async function search(asked, file = null, send = !about.encode_in_browser) {
  const own = file && !send ? await codeHere(file, () => search(asked, file, true)) : null;
  if (own) asked = { ...asked, code: own.code, model: own.model };
  const query = filters(asked);
  if (asked.radius !== null) query.set("radius", asked.radius);
  if (asked.order === "id") query.set("order", "id");
  // A photo of the index finds itself: one more, and it is left out.
  query.set("k", Math.min(asked.k + (asked.id !== null), about.max_k));
  if (asked.id !== null) query.set("id", asked.id);
  else if (file && !own) query.set("preview", true); // the service may turn it otherwise than a browser
  else if (asked.code) {
    query.set("code", asked.code);
    query.set("model_id", asked.model ?? "");
  } else query.set("label_like", asked.like);
  const begin = performance.now();
  const found = await ask("search?" + query, send ? file : null);
  const time = Math.max(1, Math.round(performance.now() - begin));
  if (found.photos !== about.photos || found.model_id !== about.model_id) {
    await learn(); // the index was made anew
    fillOptions(asked);
  }
  if (file) {
    asked = { ...asked, code: found.query.code + found.query.appearance, model: found.model_id };
    const state = own
      ? { name: file.name, preview: await small(file), note: own.note }
      : { name: file.name, preview: found.query.preview, note: capital(found.query.damaged.replace("the image: ", "")) };
    history.pushState(state, "", address(asked));
    fillOptions(asked);
    showViews(asked);
  }
  timeline = null;
  showQuery(found.query);
  const near = found.neighbours.filter((photo) => photo.id !== asked.id).slice(0, asked.k);
  tell(found, near, time);
  if (!near.length) nothing(asked);
  draw(near, found.bits);
  for (const id of ["shuffle", "month-field"]) $(id).hidden = true;
  $("more").hidden = near.length < asked.k || asked.k >= about.max_k;
}

/** Says what was found. */
function tell(found, near, time) {
  const label = found.query.labels[0], name = nameOf(found.query) ?? "a picture", n = near.length;
  $("headline").replaceChildren(...breakable(label
    ? `${n === 1 ? "One photo" : n ? `${count(n)} photos` : "No photos"} like those of “${label}”`
    : n ? `${n === 1 ? "The neighbour" : `${count(n)} neighbours`} of ${name}` : `No neighbours of ${name}`));
  document.title = `${name}: Search by picture`;
  if (!n) { status(""); return; }
  const [first, last] = [near[0], near.at(-1)].map((photo) => likeness(photo.distance, found.bits));
  status(`${capital(first === last ? first : `${first} to ${last}`)}; from ${number(found.photos, "photo")} in ${time} ms`);
}

/** The photo, the label or the file that is searched for. */
const nameOf = (query) => query.photo?.path ?? query.labels[0] ?? history.state?.name;

function nothing(asked) {
  const ways = [];
  if (searching(asked) && asked.radius !== null) ways.push(["Any distance", () => change({ radius: null })]);
  if (filtered(asked)) ways.push(["Clear the filters", () => change({ ...UNFILTERED, radius: asked.radius, order: asked.order })]);
  const near = asked.radius === null ? "" : asked.radius ? ` within ${bitsText(asked.radius)}` : " with the same code";
  const met = filtered(asked) ? " that the filters let through" : "";
  if (!searching(asked)) { message("Nothing found", `There is no photo${met}.`, ways); return; }
  const kind = asked.like && !asked.labels.length ? "no photo without a label" : "no other photo";
  message("Nothing found", `There is ${kind}${near}${met}.`, ways);
}

/* ---- What is searched for ---- */

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
  $("asked-name").replaceChildren(...breakable(name));
  tags($("asked-labels"), photo?.labels ?? []);
  const others = query.labels.slice(1);
  $("asked-note").textContent = history.state?.note ?? "";
  if (others.length) $("asked-labels").append("Also matches ", ...others.map((like) => leads(element("a", {}, like), { ...NOTHING, like })));
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

/** The ways to look at all photos; which one is taken. */
function showViews(asked) {
  for (const link of $("views").querySelectorAll("a")) {
    const { view: its } = link.dataset;
    leads(link, { ...NOTHING, view: its, ...(its === "folders" ? { folder: "" } : {}) });
    if (!searching(asked) && asked.view === its) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (searching(asked) || !["newest", "oldest"].includes(asked.view)) $("month-field").hidden = true;
  if (searching(asked) || asked.view !== "random") $("shuffle").hidden = true;
  document.body.classList.toggle("searching", searching(asked));
  leads($("home"), { ...NOTHING, ...UNFILTERED });
}

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
  place.replaceChildren(element("strong", {}, ...breakable(title)), element("p", {}, text), ...(ways.length ? [buttons] : []));
}

/** The button for more: of a search, or of a timeline. The focus goes to the first new photo. */
async function showMore() {
  const before = tiles.length, byKeyboard = document.activeElement === $("more");
  if (timeline) await more();
  else await change({ k: Math.min(readAddress().k + 2 * STEP, about.max_k) });
  if (byKeyboard && tiles.length > before) focusTile(before);
}

/** What is served. */
async function learn() {
  about = await ask("about");
  $("facts").textContent = `${number(about.photos, "photo")}, codes of ${about.bits} bits`;
  $("facts").title = `Model ${about.model_id}, ssah-tf ${about.version}`;
  $("k").max = about.max_k;
  $("radius").max = Math.ceil(about.bits / 2) + 1;
  $("logout").hidden = !about.token;
  $("here").hidden = !about.encode_in_browser;
  makeChips();
}

/* ---- Start ---- */

addEventListener("popstate", show);
$("clear").addEventListener("click", () => go(NOTHING));
$("more").addEventListener("click", showMore);
$("preview").addEventListener("load", () => $("preview").classList.toggle("pixels", $("preview").naturalWidth <= 64));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if ($("hex").textContent) drawBits($("hex").textContent); });
work(learn).then(() => { if (about.bits) show(); });
