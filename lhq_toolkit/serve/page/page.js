// The viewer: what is shown stands in the address, and the controls change it.

import {Refused, get} from "./ask.js";
import {Moves} from "./moves.js";
import {limitOf, placeOf, read, seedOf, write} from "./place.js";
import {Strip} from "./strip.js";
import {Tiles} from "./tiles.js";

const SETTLE = 500; // milliseconds after which the address says where we are
const UNDONE = 100; // steps that undo goes back
const by = (id) => document.getElementById(id);

let facts = null; // what the server said at the start
let strip = null;
let moves = null;
let place = null; // {seed, x, truncation, redrawn}
let before = []; // lists of what was drawn anew, as they were before each re-roll
let timer = null;
let written = null; // the fragment that we wrote last
let saving = false; // a download waits for its tiles

// What is shown.

function take(found, how = "replaceState") {
  place = found;
  before = place.redrawn.map((_, at) => place.redrawn.slice(0, at));
  strip.selection = null;
  strip.show(place);
  tell();
  written = location.hash;
  remember(how);
}

function fromAddress() {
  if (location.hash === written) return;
  const {place: found, wrong} = read(location.hash, facts);
  take(found);
  say(wrong.length ? `${wrong.join("; ")}: left out` : "");
}

function remember(how = "replaceState") {
  clearTimeout(timer);
  timer = null;
  if (location.hash !== written) return; // another was typed in, which will be read in a moment
  const text = write(place);
  if (location.hash !== text) history[how](null, "", text);
  written = text;
  const frame = place.x / facts.frame;
  const box = by("strip");
  box.setAttribute("aria-valuenow", frame.toFixed(2));
  box.setAttribute("aria-valuetext", `frame ${frame.toFixed(2)} of seed ${place.seed}`);
}

function moved() {
  timer ??= setTimeout(() => remember(), SETTLE);
  if (document.activeElement !== by("frame")) by("frame").value = (place.x / facts.frame).toFixed(2);
  numbers();
  if (saving) save();
}

function tell() {
  by("seed").value = place.seed;
  by("truncation").value = String(place.truncation);
  by("share").textContent = place.truncation.toFixed(2);
  by("undo").disabled = !before.length;
  for (const id of ["seed", "frame"]) by(id).removeAttribute("aria-invalid");
}

function numbers() {
  const rate = strip.rate(), latency = strip.tiles.latency();
  by("rate").textContent = rate === null ? "-" : `${Math.round(rate)}/s`;
  by("latency").textContent = latency === null ? "-"
    : `${Math.round(latency[0])} ms (server ${Math.round(latency[1])})`;
  by("pending").textContent = String(strip.tiles.missing().length);
}

function say(text) {
  by("said").textContent = text;
}

function trouble(text) {
  by("banner").hidden = text === null;
  if (text !== null && by("banner").textContent !== text) by("banner").textContent = text;
}

// What the controls do.

function seed(text) {
  const found = seedOf(text);
  if (found === null) {
    by("seed").setAttribute("aria-invalid", "true");
    say("a seed is a whole number from 0 to 18446744073709551615");
    return;
  }
  if (found === place.seed) { tell(); return; }
  remember(); // the browser's way back leads to the seed before
  take({...place, seed: found, redrawn: []}, "pushState");
  say("");
}

function another() {
  seed(String(crypto.getRandomValues(new Uint32Array(1))[0]));
}

function goTo(text) {
  const found = /^\s*-?[\d.]+\s*$/.test(text) ? placeOf((Number(text) * facts.frame).toFixed(4), limitOf(facts)) : null;
  if (found === null) {
    by("frame").setAttribute("aria-invalid", "true");
    say(`a frame is a number from -${limitOf(facts) / facts.frame} to ${limitOf(facts) / facts.frame}`);
    return;
  }
  tell();
  say("");
  strip.glide(found);
}

function truncation() {
  place.truncation = Math.round(Number(by("truncation").value) * 1000) / 1000;
  by("share").textContent = place.truncation.toFixed(2);
  strip.redraw();
}

// The anchors that stand in a stretch; where none does, the nearest to its middle.
function anchorsIn(left, right) {
  const first = Math.ceil(left / facts.span), last = Math.floor(right / facts.span);
  if (last < first) return {first: Math.round((left + right) / 2 / facts.span), count: 1};
  return {first, count: Math.min(facts.anchors, last - first + 1)};
}

function redraw() {
  if (facts.span === null) return;
  const [left, right] = strip.selection ?? [strip.left, strip.left + strip.width];
  const stretch = {...anchorsIn(left, right), seed: String(crypto.getRandomValues(new Uint32Array(1))[0])};
  const covered = (one) => one.first >= stretch.first && one.first + one.count <= stretch.first + stretch.count;
  const next = [...place.redrawn.filter((one) => !covered(one)), stretch];
  if (next.length > facts.redrawn) {
    say(`an address holds ${facts.redrawn} stretches: undo some, or choose another seed`);
    return;
  }
  before = [...before, place.redrawn].slice(-UNDONE);
  place.redrawn = next;
  strip.selection = null;
  changed();
  const frames = [stretch.first - 1, stretch.first + stretch.count].map((one) => one * facts.span / facts.frame);
  say(`drawn anew: frames ${frames[0]} to ${frames[1]}`);
}

function undo() {
  if (!before.length) {
    say("there is nothing to undo");
    return;
  }
  place.redrawn = before.pop();
  changed();
  say("undone");
}

function changed() {
  tell();
  strip.redraw();
  remember();
}

function selecting(yes) {
  by("select").setAttribute("aria-pressed", String(yes));
  by("strip").classList.toggle("selecting", yes);
  if (yes) say("drag over the stretch to re-roll");
}

function selected() {
  selecting(false);
  say(strip.selection ? "selected: R draws it anew, Escape lets it be" : "");
  strip.redraw();
}

function escape() {
  selecting(false);
  strip.selection = null;
  strip.redraw();
  say("");
}

function save() {
  const made = strip.picture();
  saving = made === null;
  if (saving) {
    say("the download waits for its tiles");
    return;
  }
  made.canvas.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${facts.model}-seed${place.seed}-x${made.from}-${made.width}x${facts.frame}.png`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    say(`saved ${made.width} by ${facts.frame} pixels`);
  }, "image/png");
}

const KEYS = {r: redraw, s: () => selecting(by("select").getAttribute("aria-pressed") !== "true"), u: undo, d: save,
  Escape: escape};

function pressed(event) {
  if (event.metaKey || event.altKey) return;
  const undoes = event.ctrlKey && event.key === "z";
  if (event.target.tagName === "INPUT" || (event.ctrlKey && !undoes)) return;
  const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (undoes) undo();
  else if (Object.hasOwn(KEYS, name) && (facts.span !== null || !["r", "s", "u"].includes(name))) KEYS[name]();
  else if (!moves.key(name)) return;
  event.preventDefault();
}

function listen() {
  by("where").addEventListener("submit", (event) => { event.preventDefault(); document.activeElement.blur(); });
  by("seed").addEventListener("change", () => seed(by("seed").value));
  by("frame").addEventListener("change", () => goTo(by("frame").value));
  by("truncation").addEventListener("input", truncation);
  for (const [id, does] of Object.entries({another, redraw, undo, download: save})) by(id).addEventListener("click", does);
  by("select").addEventListener("click", KEYS.s);
  document.addEventListener("keydown", pressed);
  addEventListener("hashchange", fromAddress);
}

async function begin() {
  try {
    facts = await get("/api/start");
  } catch (error) {
    trouble(error instanceof Refused ? error.message : "The server does not answer. Is it still running?");
    setTimeout(begin, 2000);
    return;
  }
  trouble(null);
  by("name").textContent = `${facts.run} `;
  const about = `${facts.model}, ${facts.frame} pixels, ${facts.images.toLocaleString("en")} images seen, ${facts.device}`;
  by("name").append(Object.assign(document.createElement("small"), {textContent: about}));
  document.title = `${facts.run} - panorama`;
  const tiles = new Tiles(facts, {changed: () => strip.redraw(), failed: trouble});
  strip = new Strip(facts, tiles, {box: by("strip"), canvas: by("canvas"), marks: by("marks"), selection: by("selection")},
    {moved});
  moves = new Moves(strip, {selecting: () => by("select").getAttribute("aria-pressed") === "true", selected});
  const most = limitOf(facts) / facts.frame;
  by("strip").setAttribute("aria-valuemin", String(-most));
  by("strip").setAttribute("aria-valuemax", String(most));
  if (facts.span === null) {
    for (const id of ["redraw", "select", "undo"]) by(id).hidden = true;
  }
  listen();
  fromAddress();
  if (facts.span === null && !by("said").textContent) {
    say(`${facts.model} has one style for a whole panorama: no stretch of it can be re-rolled, another seed draws all anew`);
  }
  by("strip").focus({preventScroll: true});
}

begin();
