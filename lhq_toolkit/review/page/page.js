// The review: which list is open, which photo is chosen, and what the keys do.

import {Refused, get, post} from "./ask.js";
import {Grid} from "./grid.js";
import {offer, query, restore} from "./lists.js";
import {Outbox} from "./server.js";
import {SIGNS, WORDS, agreement, caption, element, nameOf, number, time} from "./show.js";

const CHUNK = 100; // photos asked for at once
const CHUNKS = 60; // of them kept
const by = (id) => document.getElementById(id);

const KEYS = [
  ["k", "K", "keep", () => decide("keep")], ["x", "X", "reject", () => decide("reject")],
  ["f", "F", "flag", () => decide("flag")], ["u", "U", "undo", undo],
  ["ArrowLeft", "←", "back", () => choose(chosen - 1)], ["ArrowRight", "→", "next", () => choose(chosen + 1)],
  ["Enter", "⏎", "one / grid", () => single(!alone)],
];
const MORE = {n: () => choose(chosen + 1), p: () => choose(chosen - 1), c: () => decide("undecided"),
  r: () => decide("reject"), ArrowUp: () => choose(grid.beside(-1)), ArrowDown: () => choose(grid.beside(1)),
  Home: () => choose(0), End: () => choose(open.total - 1), Escape: () => single(false), " ": () => single(!alone)};

let known = null; // what the server said at the start
let open = {list: "", total: 0, decided: 0}; // the list
let asked = null; // how it was asked for
let chunks = new Map(); // number -> items, or null on their way
let places = new Map(); // photo id -> place in the list
let chosen = 0;
let alone = false;
let outbox = null;

const grid = new Grid(by("scroller"), by("sheet"),
  {itemAt, wanted, chosen: (at) => choose(at), opened: (at) => { choose(at); single(true); }});

function itemAt(at) {
  return chunks.get(Math.floor(at / CHUNK))?.[at % CHUNK];
}

function hold(number, items) {
  chunks.set(number, items);
  items.forEach((item, at) => places.set(item.id, number * CHUNK + at));
  for (const old of chunks.keys()) {
    if (chunks.size <= CHUNKS) break;
    if (Math.abs(old - number) > 2 && chunks.get(old)) {
      for (const item of chunks.get(old)) places.delete(item.id);
      chunks.delete(old);
    }
  }
}

function wanted(first, last) {
  for (let number = Math.floor(first / CHUNK); number <= Math.floor(last / CHUNK); number++) {
    if (!chunks.has(number)) load(number);
  }
}

async function load(number) {
  const list = open.list;
  chunks.set(number, null);
  try {
    const items = await get(`/api/items?list=${encodeURIComponent(list)}&first=${number * CHUNK}&count=${CHUNK}`);
    if (list !== open.list) return;
    hold(number, items);
    grid.filled(number * CHUNK, number * CHUNK + items.length - 1);
    if (Math.floor(chosen / CHUNK) === number) tell();
  } catch (error) {
    if (list !== open.list) return;
    chunks.delete(number);
    if (error instanceof Refused && error.status === 410) await list_(asked, itemAt(chosen)?.id);
    else trouble(error);
  }
}

// Lists.

async function list_(query, keepAt = null) {
  asked = query;
  let found;
  try {
    found = await post("/api/list", query);
  } catch (error) {
    if (asked === query) trouble(error);
    return;
  }
  if (asked !== query) return; // another list was asked for meanwhile
  quiet();
  open = found;
  by("scroller").dataset.list = found.list;
  chunks = new Map();
  places = new Map();
  hold(0, found.first);
  history.replaceState(null, "", `#${new URLSearchParams(Object.entries(query).filter(([, value]) => value !== null))}`);
  const nothing = !found.total;
  by("empty").hidden = !nothing;
  by("empty").textContent = nothing
    ? (query.undecided ? "Nothing is left to decide in this list." : "No photo is in this list.") : "";
  chosen = 0;
  single(alone && !nothing);
  by("scroller").hidden = nothing || alone;
  grid.show(found.ratios);
  choose(places.get(keepAt) ?? 0);
  count();
}

function changed() {
  by("author-field").hidden = JSON.parse(by("list").value)[0] !== "author";
  if (by("author-field").hidden || by("author").value) list_(query());
  else by("author").focus();
}

// Choosing and deciding.

function choose(at) {
  if (!open.total) return;
  const next = Math.min(open.total - 1, Math.max(0, at));
  if (at >= open.total) say("this was the last one of the list");
  chosen = next;
  grid.select(next);
  wanted(next, next);
  tell();
}

function tell() {
  const item = itemAt(chosen);
  if (!alone || !item) return;
  const picture = by("picture"), address = `/view/${item.file}`;
  if (picture.dataset.file !== item.file) {
    picture.dataset.file = item.file;
    picture.src = `/thumb/${item.file}`; // at once, until the large one is there
    const large = new Image();
    large.onload = () => { if (picture.dataset.file === item.file) picture.src = address; };
    large.src = address;
    const after = itemAt(chosen + 1);
    if (after) new Image().src = `/view/${after.file}`;
  }
  picture.alt = nameOf(item);
  by("verdict").dataset.verdict = item.mine || "";
  by("verdict").textContent = SIGNS[item.mine] || "";
  by("caption").replaceChildren(
    element("p", {className: "place", textContent: `${number(chosen + 1)} of ${number(open.total)}`
      + (item.mine ? ` · you ${WORDS[item.mine]} it` : "")}),
    ...caption(item));
}

function single(yes) {
  alone = yes && open.total > 0;
  by("single").hidden = !alone;
  by("scroller").hidden = alone || !open.total;
  if (alone) tell();
  else { grid.arrange(); by("scroller").focus({preventScroll: true}); }
}

function mark(at, verdict) {
  const item = itemAt(at);
  if (!item) return;
  const now = verdict === "undecided" ? null : verdict;
  open.decided += (now ? 1 : 0) - (item.mine ? 1 : 0);
  item.mine = now;
  grid.fill(at);
  count();
}

function decide(verdict) {
  const item = itemAt(chosen);
  if (!item) return;
  mark(chosen, verdict);
  outbox.add("/api/decide", {photo: item.id, verdict});
  say(`${WORDS[verdict]}: ${item.title || item.id}`);
  if (verdict === "undecided") tell();
  else choose(chosen + 1);
}

function undo() {
  outbox.add("/api/undo", {});
}

function undone(answer) {
  if (answer.photo === null) {
    say("there is nothing to undo");
    return;
  }
  const at = places.get(answer.photo);
  say(`undone: ${at === undefined ? answer.photo : itemAt(at).title || answer.photo}`);
  if (at === undefined) return;
  mark(at, answer.verdict);
  choose(at);
}

// What is told.

function count() {
  const left = open.total - open.decided;
  by("bar").max = Math.max(1, open.total);
  by("bar").value = open.decided;
  const pace = known.seconds_each;
  const rest = left && pace ? `, about ${time(left * pace)} left` : "";
  by("count").textContent = `${number(open.decided)} of ${number(open.total)} decided${rest} · `
    + `${number(known.mine)} of ${number(known.photos)} in all`;
  by("disagreements").textContent = `disagreements (${number(known.disagreements)})`;
}

function say(text) {
  by("said").textContent = text;
}

function trouble(error) {
  const gone = !(error instanceof Refused);
  by("banner").textContent = gone ? "The server does not answer. Is it still running?" : error.message;
  by("banner").hidden = false;
}

function quiet() {
  by("banner").hidden = true;
}

function waiting(count, refused) {
  const why = refused === null ? "The server does not answer" : refused.message;
  by("banner").textContent = `${why}. ${number(count)} ${count === 1 ? "decision waits" : "decisions wait"} in this `
    + "browser and will be sent when it can be: start lhq review again and open the address that it prints.";
  by("banner").hidden = false;
  by("said").dataset.waiting = String(count);
}

function sent(one, answer, left) {
  Object.assign(known, answer);
  by("said").dataset.waiting = String(left);
  quiet();
  if (one.path === "/api/undo") undone(answer);
  count();
}

function lost(one, error) {
  say(`not saved: ${one.body.photo ?? "undo"} (${error.message})`);
}

async function numbers() {
  try {
    by("agreement-body").replaceChildren(...agreement(await get("/api/agreement")));
    by("agreement").showModal();
  } catch (error) {
    trouble(error);
  }
}

function pressed(event) {
  const typing = ["INPUT", "SELECT"].includes(event.target.tagName) && event.target.type !== "checkbox";
  if (typing || by("agreement").open || event.metaKey || event.altKey) return;
  const undoes = event.ctrlKey && event.key === "z";
  if (event.ctrlKey && !undoes) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (event.target.tagName === "BUTTON" && ["Enter", " "].includes(key)) return;
  if (event.target.tagName === "A" && key === "Enter") return;
  const does = undoes ? undo : KEYS.find((one) => one[0] === key)?.[3] ?? MORE[key];
  if (!does) return;
  event.preventDefault();
  does();
}

async function begin() {
  try {
    known = await get("/api/start");
  } catch (error) {
    trouble(error);
    setTimeout(begin, 2000);
    return;
  }
  quiet();
  by("dataset").replaceChildren(known.subset === "curated" ? known.dataset : `${known.dataset}: ${known.subset}`,
    element("small", {textContent: known.reviewer}));
  document.title = `${known.dataset} - review`;
  by("keys").replaceChildren(...KEYS.map(([key, shown, text, does]) => {
    const button = element("button", {type: "button", "aria-keyshortcuts": key, className: text.split(" ")[0]},
      element("kbd", {textContent: shown}), ` ${text}`);
    button.addEventListener("click", () => { does(); button.blur(); });
    return button;
  }));
  outbox = new Outbox(`${known.key} ${known.reviewer}`, {sent, lost, waiting});
  offer(known.stages);
  restore();
  by("author-field").hidden = JSON.parse(by("list").value)[0] !== "author";
  for (const id of ["list", "sort", "undecided", "author"]) {
    by(id).addEventListener("change", (event) => {
      if (id === "list") by("sort").selectedIndex = 0; // a list has an order of its own
      changed();
      event.target.blur();
    });
  }
  by("author").addEventListener("input", async () => {
    const names = await get(`/api/authors?has=${encodeURIComponent(by("author").value)}`).catch(() => []);
    by("authors").replaceChildren(...names.map((name) => element("option", {value: name})));
  });
  by("numbers").addEventListener("click", numbers);
  document.addEventListener("keydown", pressed);
  await list_(query());
}

begin();
