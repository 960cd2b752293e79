// The page: from what the user does to a query, and from a query to what is seen. The address says which one.

import { read, written } from "./address.js";
import { Boxes } from "./boxes.js";
import { isSeen, make, the, whenSeen } from "./dom.js";
import { Gallery } from "./gallery.js";
import { Hits } from "./hits.js";
import { coco, FIRST, Query } from "./query.js";
import { Service } from "./service.js";
import { Stage } from "./stage.js";
import { Uploads } from "./uploads.js";
import { Viewer } from "./viewer.js";

/** Milliseconds in which a further change makes one search with the last. */
const SETTLED = 300;

const service = new Service();
const gallery = new Gallery(the("images"), service);
const hits = new Hits(the("hits"), service);
const viewer = new Viewer(the("viewer"), service);
const uploads = new Uploads(the("pick"), the("file"));
const options = the("options").querySelectorAll("input");

let collections = [];
let query = new Query();
let answer = null;
let answered = null;
let editor = null;
let timer = 0;
let going = null;

// What is said.

const sayLeast = (probability) => (the("least").textContent = probability.toFixed(2));
const say = (text) => (the("status").textContent = text);
const count = (number, one, many = `${one}s`) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;

function tell(problem) {
  if (problem.name === "AbortError") return;
  const again = make("button", { type: "button", onclick: () => search(0) }, "Try again");
  const isQuery = query.isAsked && problem.status !== undefined;
  the("problem").replaceChildren(make("p", {}, problem.message), isQuery ? again : "");
  the("problem").hidden = false;
  say("");
}

function tellNothing() {
  the("problem").hidden = true;
  the("problem").replaceChildren();
}

// From a query to what is seen.

const factsOf = (collection) => collections.find((one) => one.name === collection);

/** Shows a query. `how`: `push` makes a step that "back" takes back, `replace` does not, `none`: the address has it already. */
function apply(next, how = "push") {
  const before = query;
  query = next;
  const address = written(query);
  if (how !== "none" && address !== location.hash) history[`${how}State`](null, "", address);
  the("collection").value = query.collection;
  the("where").value = query.where;
  for (const input of options) {
    if (input.type === "checkbox") input.checked = query[input.name];
    else input.value = query[input.name];
  }
  sayLeast(query.min_probability);
  if (query.picture !== before.picture) showPicture();
  else if (editor && JSON.stringify(editor.value) !== JSON.stringify(query.boxes)) editor.value = query.boxes;
  the("drop").hidden = Boolean(query.picture) || !factsOf(query.collection).model;
  the("whole").hidden = query.boxes.length > 0;
  the("whole").setAttribute("aria-pressed", String(query.whole));
  the("facts").textContent = count(factsOf(query.collection).images, "image");
  the("columns").textContent = `Columns: ${factsOf(query.collection).columns.join(", ")}`;
  document.title = query.picture ? `${query.picture.path} – patchdex` : "patchdex";
  if (query.isAsked) return search(how === "none" ? 0 : SETTLED);
  stop();
  hits.clear();
  answer = answered = null;
  the("hits").hidden = the("sharing").hidden = true;
  if (query.picture) {
    gallery.hide();
    tellNothing();
    the("found-title").textContent = "Hits";
    say("Drag a box around the object in the picture.");
  } else browse();
}

function showPicture() {
  const { picture } = query;
  the("asked").hidden = !picture;
  editor = null;
  the("editor").replaceChildren();
  if (!picture) return;
  const stage = new Stage(picture, `The picture that is looked at: ${picture.path}`);
  stage.image.loading = "eager";
  if (picture.id) service.show(stage.image, service.thumbnail(query.collection, picture.id, 1024));
  else stage.image.src = picture.url;
  the("editor").append(stage.element);
  the("picture").textContent = `${picture.path} (${picture.width} × ${picture.height} pixels)`;
  editor = new Boxes(stage, "keys");
  editor.value = query.boxes;
  editor.drawsNot = document.querySelector("[name=kind]:checked").value === "not";
  let isStep = false;
  editor.addEventListener("release", ({ detail }) => {
    // Many small steps of the keys are one step back.
    const how = isStep && detail === "step" ? "replace" : "push";
    isStep = detail === "step";
    if (!editor.value.length) the("add").focus({ preventScroll: true });
    apply(query.with({ boxes: editor.value, whole: false, top: FIRST }), how);
  });
  editor.addEventListener("select", () => {
    the("switch").disabled = the("remove").disabled = !editor?.selected;
  });
  the("switch").disabled = the("remove").disabled = true;
}

async function browse() {
  the("found-title").textContent = "Images";
  tellNothing();
  gallery.hide();
  say("");
  if (!factsOf(query.collection).model) {
    return tell(new Error("This collection is of foreign vectors: ask it by vectors, through the API."));
  }
  try {
    const page = await gallery.show(query.collection, query.where);
    if (!page) return;
    say(query.where ? `${count(page.total, "image")} of that kind` : "");
    await gallery.more();
  } catch (problem) {
    tell(problem);
  }
}

// Searches.

function stop() {
  point(null);
  clearTimeout(timer);
  going?.abort();
  going = null;
  the("progress").hidden = true;
}

function search(delay) {
  stop();
  gallery.hide();
  the("found-title").textContent = "Hits";
  the("progress").hidden = false;
  timer = setTimeout(ask, delay);
}

async function ask() {
  const asked = query;
  const mine = (going = new AbortController());
  const { signal } = mine;
  say("Searching …");
  tellNothing();
  const start = performance.now();
  try {
    let file = asked.picture.file;
    if (!asked.isIndexed && !file) file = await service.file((await service.image(asked.collection, asked.picture.id)).links.file, signal);
    answer = await service.json("/v1/search", { ...asked.request(file), signal });
    const before = answered;
    answered = asked;
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    hits.show(asked.collection, answer.hits, before && written(before) === written(asked.with({ top: before.top })));
    the("hits").hidden = the("sharing").hidden = false;
    const what = answer.hits.length ? count(answer.hits.length, "hit") : "Nothing found";
    const cut = answer.is_cut ? "; the time was too short for the whole search" : "";
    say(`${what} in ${count(answer.searched_images, "image")}, ${seconds} s${cut}`);
    setTimeout(() => isSeen(the("end")) && moreHits());
  } catch (problem) {
    if (mine === going) tell(problem);
  } finally {
    if (mine === going) {
      going = null;
      the("progress").hidden = true;
    }
  }
}

/** Asks for more hits, where there may be some. */
function moreHits() {
  if (!answer || going || answered !== query || answer.hits.length < query.top || query.more === query.top) return;
  apply(query.with({ top: query.more }), "replace");
}

function point(detail) {
  const show = { rectangles: the("matches").checked, heat: the("heat").checked };
  point.last?.stage.drawMatches(null);
  point.last = detail;
  detail?.stage.drawMatches(detail.hit, "patch_box", show);
  editor?.stage.drawMatches(detail?.hit, "query_box", show);
}

// Pictures.

function startWith(picture, boxes = []) {
  apply(query.with({ picture, boxes, whole: false, top: FIRST }));
  scrollTo(0, 0);
  the("add").focus({ preventScroll: true });
}

// The address.

let restoring = 0;

async function restore() {
  const mine = ++restoring;
  const { query: said, image, upload: number } = read(location.hash);
  if (!factsOf(said.collection)) said.collection = collections[0].name;
  if (viewer.dialog.open) viewer.dialog.close();
  const held = query.picture;
  try {
    if (number) said.picture = uploads.find(number);
    else if (image) {
      const isHeld = held?.id === image && query.collection === said.collection;
      said.picture = isHeld ? held : await service.image(said.collection, image);
    }
  } catch (problem) {
    if (mine !== restoring) return;
    apply(said.with({ boxes: [], whole: false }), "none");
    return tell(problem);
  }
  // Back and forward may be pressed faster than images are asked for.
  if (mine !== restoring) return;
  if (!said.picture) Object.assign(said, { boxes: [], whole: false });
  apply(said, "none");
  if (number && !said.picture) tell(new Error("A link cannot hold a picture of your own: choose it again."));
}

/** The link of what is seen. */
function link() {
  const { origin, pathname } = location;
  return `${origin}${pathname}${written(query.picture?.upload ? query.with({ picture: null, boxes: [] }) : query)}`;
}

/** What each can be copied as is called, and its text. */
const COPIES = {
  link: ["the link", link],
  curl: ["the command", () => query.curl(location.origin, service.hasToken)],
  json: ["the answer", () => JSON.stringify(answer, (name, value) => (name === "heat_map" ? undefined : value), 1)],
  coco: ["the hits as COCO results", () => JSON.stringify(coco(answer), null, 1)],
};

async function copy(kind) {
  const [name, textOf] = COPIES[kind];
  const text = textOf();
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Only pages on this host or over TLS may write to the clipboard.
    const area = make("textarea", { "aria-label": "Copied" });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  const isLost = kind === "link" && query.picture?.upload;
  say(`Copied ${name}${isLost ? ", without the picture: a link cannot hold one of your own" : ""}.`);
}

// What the user does.

function askToken(why) {
  const dialog = the("token");
  const input = dialog.querySelector("input");
  the("token-problem").textContent = why ?? "";
  input.value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((done) => {
    dialog.addEventListener("close", () => done(dialog.returnValue === "go" ? input.value.trim() : null), { once: true });
  });
}

function listen() {
  the("options").addEventListener("change", () => {
    const values = { top: FIRST };
    for (const { name, type, checked, value } of options) values[name] = type === "checkbox" ? checked : Number(value);
    apply(query.with(values));
  });
  the("options").addEventListener("input", ({ target }) => target.type === "range" && sayLeast(Number(target.value)));
  the("filter").addEventListener("submit", (event) => {
    event.preventDefault();
    apply(query.with({ where: the("where").value.trim() }));
  });
  the("collection").addEventListener("change", () => apply(new Query({ collection: the("collection").value })));
  the("home").addEventListener("click", (event) => {
    event.preventDefault();
    apply(new Query({ collection: query.collection }));
  });
  the("another").addEventListener("click", () => {
    apply(query.with({ picture: null, boxes: [], whole: false }));
    the("pick").focus();
  });
  the("whole").addEventListener("click", () => apply(query.with({ whole: true })));
  the("add").addEventListener("click", () => editor.add());
  the("switch").addEventListener("click", () => editor.switch());
  the("remove").addEventListener("click", () => editor.remove());
  the("tools").addEventListener("change", (event) => (editor.drawsNot = event.target.value === "not"));
  the("sharing").addEventListener("click", (event) => event.target.dataset.copy && copy(event.target.dataset.copy));

  gallery.addEventListener("pick", (event) => startWith(event.detail));
  uploads.addEventListener("picture", (event) => startWith(event.detail));
  uploads.addEventListener("problem", (event) => tell(event.detail));
  hits.addEventListener("point", (event) => point(event.detail));
  hits.addEventListener("open", (event) => viewer.open(answered.collection, answer.hits, event.detail));
  viewer.addEventListener("search", (event) => startWith(event.detail.facts, [{ at: event.detail.box.map(Math.round), not: false }]));
  whenSeen(the("end"), () => (query.isAsked ? moreHits() : gallery.more().catch(tell)));
  addEventListener("popstate", restore);
}

async function start() {
  service.askToken = askToken;
  listen();
  try {
    collections = await service.collections();
  } catch (problem) {
    return tell(problem);
  }
  the("collection").append(...collections.map(({ name }) => make("option", { value: name }, name)));
  the("choice").hidden = collections.length < 2;
  await restore();
}

start();
