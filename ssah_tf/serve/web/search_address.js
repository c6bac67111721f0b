"use strict";
// The address of the search page says what it shows, so that back, forward, reload and bookmarks
// work; a picture from elsewhere is there as its code.

const STEP = 24;
const NOTHING = { id: null, code: null, like: "", view: "newest", k: STEP }; // to search for
const UNFILTERED = { radius: null, order: "appearance", labels: [], path: "", folder: "", from: "", to: "" };
const VIEWS = ["newest", "oldest", "folders", "random"];

function readAddress() {
  const query = new URLSearchParams(location.search);
  const whole = (name) => (/^\d+$/.test(query.get(name) ?? "") ? Number(query.get(name)) : null);
  const text = (name) => query.get(name) ?? "";
  return {
    id: whole("id"),
    code: query.get("code"),
    model: query.get("model"), // whose code that is
    like: text("like"),
    view: VIEWS.includes(text("view")) ? text("view") : VIEWS[0],
    k: Math.max(1, Math.min(whole("k") ?? STEP, about.max_k)),
    radius: whole("radius"),
    order: text("order") === "id" ? "id" : "appearance",
    labels: query.getAll("label"),
    path: text("path"),
    folder: text("folder"),
    from: text("from"),
    to: text("to"),
  };
}

/** An address relative to the page, wherever that is served. */
function address(asked) {
  const query = new URLSearchParams();
  if (asked.id !== null) query.set("id", asked.id);
  else if (asked.code) {
    query.set("code", asked.code);
    query.set("model", asked.model);
  } else if (asked.like) query.set("like", asked.like);
  else if (asked.view !== VIEWS[0]) query.set("view", asked.view);
  if (asked.k !== STEP) query.set("k", asked.k);
  if (asked.radius !== null) query.set("radius", asked.radius);
  if (asked.order === "id") query.set("order", "id");
  for (const label of asked.labels) query.append("label", label);
  for (const name of ["path", "folder", "from", "to"]) if (asked[name]) query.set(name, asked[name]);
  const text = query.toString();
  return text ? "./?" + text : "./";
}

const searching = (asked) => asked.id !== null || Boolean(asked.code || asked.like);
const filtered = (asked) => asked.labels.length + ["path", "folder", "from", "to"].filter((name) => asked[name]).length;

const quoted = (label) => (/^"|[|]/.test(label) ? '"' + label.replaceAll('"', '""') + '"' : label);

/** The conditions of the service for what the address asks for. */
function filters(asked) {
  const query = new URLSearchParams();
  if (asked.labels.length) query.append("filter", "label=" + asked.labels.map(quoted).join("|"));
  if (asked.path) query.append("filter", "path=" + asked.path);
  if (asked.folder) query.append("filter", "folder=" + asked.folder);
  if (asked.from) query.append("filter", "date>=" + asked.from);
  if (asked.to) query.append("filter", "date<=" + asked.to);
  return query;
}

/* ---- Going from search to search ---- */

function go(changes, state = null) {
  // Back leads to the place where one was.
  history.replaceState({ ...history.state, loaded: shown.length, top: scrollY }, "");
  history.pushState(state, "", address({ ...readAddress(), ...changes }));
  scrollTo(0, 0);
  show();
}

/** Another option for the same search: the address changes, the history does not grow. */
function change(changes) {
  history.replaceState(history.state, "", address({ ...readAddress(), ...changes }));
  return show();
}

const plainClick = (event) => !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || event.button);

/** Has a link go where it leads without loading the page anew. */
function leads(link, changes) {
  link.href = address({ ...readAddress(), ...changes });
  link.onclick = (event) => {
    if (plainClick(event)) { event.preventDefault(); go(changes); }
  };
  return link;
}
