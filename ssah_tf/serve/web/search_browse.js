"use strict";
// Without a search: photos by date, folders, or any photos.

const PAGE = 60, FAR = 3000; // photos that come at once, and that one comes back to
let timeline = null; // what the tiles go on with: { asked, ended, busy }

async function browse(asked) {
  document.title = "Search by picture";
  timeline = null;
  if (!about.photos) {
    clear();
    $("headline").textContent = "No photos yet";
    status("");
    message("The index is empty", "Run “ssah index” with your folder; this page takes it up by itself.");
    return;
  }
  const titles = { folders: "Folders", random: "Some photos" };
  const inside = asked.folder && asked.folder !== "." ? ` in ${asked.folder}` : "";
  $("headline").textContent = (titles[asked.view] ?? "Photos") + inside;
  const how = { folders: browseFolders, random: browseAny }[asked.view] ?? browseDates;
  await how(asked);
  if (!tiles.length) nothing(asked);
}

async function browseDates(asked) {
  const query = filters(asked);
  const [months, photos] = await both(asked, query);
  fillMonths(months, asked);
  const all = months.reduce((sum, month) => sum + month.photos, 0);
  const undated = photos[0]?.taken_from === "";
  status(!all ? "" : undated ? `${number(all, "photo")}. Their dates are not read yet: run “ssah index” again.`
    : `${number(all, "photo")}. Drop, paste or choose a picture, or click one of these.`);
  const mine = (timeline = { asked, ended: photos.length < PAGE, busy: false });
  draw(photos, 0, true);
  $("more").hidden = timeline.ended;
  if (!filtered(asked) && all !== about.photos) { // the index was made anew
    await learn();
    fillOptions(asked);
  }
  await returnTo(history.state, mine);
}

/** Comes back to where one was in a timeline, if that is not too far. */
async function returnTo(state, mine) {
  if (!state?.top || state.loaded > FAR) return;
  while (timeline === mine && !mine.ended && shown.length < state.loaded) await more();
  if (timeline === mine) scrollTo(0, state.top);
}

/** Months and first photos; the first request is the one that the page waits for. */
async function both(asked, query) {
  const first = ask("photos?" + next(asked));
  const months = askBeside("months?" + query, running.signal);
  months.catch(() => {}); // told with the first
  const photos = await first;
  return [await months, photos];
}

/** The query of the photos behind those that are shown. */
function next(asked, after = null) {
  const query = filters(asked);
  query.set("order", asked.view);
  query.set("count", PAGE);
  if (after !== null) query.set("after", after);
  return query;
}

/** Shows more, of a timeline or of a search. */
async function more() {
  const mine = timeline;
  if (!mine || mine.ended || mine.busy) return;
  mine.busy = true;
  try {
    const photos = await askBeside("photos?" + next(mine.asked, shown.at(-1).id), running.signal);
    if (timeline !== mine) return;
    mine.ended = photos.length < PAGE;
    add(photos, 0, true);
    $("more").hidden = mine.ended;
  } catch (error) {
    if (error.name === "AbortError" || timeline !== mine) return;
    mine.ended = true;
    message(error.title ?? "An error of this page", error.message, [["Try again", () => show()]], true);
  } finally { mine.busy = false; }
}

async function browseFolders(asked) {
  const folders = await ask("folders?" + filters(asked));
  status(folders.length ? `${number(folders.length, "folder")} with photos.` : "");
  const below = (name) => folders.filter(({ folder }) => !name || folder === name || folder.startsWith(name + "/"));
  drawFolders(folders.map((one) => ({ ...one, photos: below(one.folder).reduce((sum, { photos }) => sum + photos, 0) })));
}

async function browseAny(asked) {
  const query = filters(asked);
  query.set("count", "36");
  const photos = await ask("photos?" + query);
  status(photos.length ? "Drop, paste or choose a picture, or click one of these." : "");
  draw(photos);
  $("shuffle").hidden = photos.length >= about.photos || !photos.length;
}

/* ---- The months ---- */

function fillMonths(months, asked) {
  const dated = months.filter(({ month }) => month);
  if (asked.view === "oldest") dated.reverse();
  $("month-field").hidden = dated.length < 2;
  $("month").replaceChildren(element("option", { value: "" }, "Go to a month"),
    ...dated.map(({ month, photos }) => element("option", { value: month }, `${monthName(month)} (${count(photos)})`)));
}

/** The last day of a month. */
const lastDay = (month) => new Date(Date.UTC(...month.split("-").map(Number), 0)).toISOString().slice(0, 10);

$("month").addEventListener("change", () => {
  const month = $("month").value;
  if (month) go(readAddress().view === "oldest" ? { from: month + "-01" } : { to: lastDay(month) });
});
$("shuffle").addEventListener("click", () => show());

/** What comes into view asks for what follows. */
new IntersectionObserver((entries) => {
  if (timeline && entries.some((entry) => entry.isIntersecting)) more().then(again);
}, { rootMargin: "800px" }).observe($("more"));

/** The next ones, too, if all that came is on the screen already. */
function again() {
  if (timeline && !timeline.ended && $("more").getBoundingClientRect().top < innerHeight + 800) more().then(again);
}
