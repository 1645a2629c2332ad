// What the page's address says after the #: seed, place, truncation, and what was drawn anew. All of it is checked.

const SEEDS = 2n ** 64n;

// The canonical text of a whole number in [least, most] (BigInt), or null.
function whole(text, least, most) {
  if (!/^-?\d{1,20}$/.test(text)) return null;
  const value = BigInt(text);
  return value >= least && value <= most ? String(value) : null;
}

export function seedOf(text) {
  return whole(text.trim(), 0n, SEEDS - 1n);
}

// A place in pixels, kept to a sixteenth; null where it is none or too far.
export function placeOf(text, limit) {
  if (!/^-?\d{1,16}(\.\d{1,9})?$/.test(text)) return null;
  const value = Math.round(Number(text) * 16) / 16;
  return Math.abs(value) <= limit ? value : null;
}

function shareOf(text) {
  return /^(0(\.\d{1,3})?|1(\.0{1,3})?)$/.test(text) ? Number(text) : null;
}

// "first.count.seed", separated by commas: stretches of anchors; null where one is not.
function stretchesOf(text, facts) {
  if (text === "") return [];
  if (facts.span === null) return null;
  const most = BigInt(Math.floor(limitOf(facts) / facts.span));
  const every = text.split(",");
  if (every.length > facts.redrawn) return null;
  const found = every.map((one) => {
    const [first, count, seed, ...more] = one.split(".");
    const parts = [whole(first, -most, most), whole(count ?? "", 1n, BigInt(facts.anchors)), seedOf(seed ?? "")];
    return more.length || parts.includes(null) ? null : {first: Number(parts[0]), count: Number(parts[1]), seed: parts[2]};
  });
  return found.includes(null) ? null : found;
}

// How far one may go, in pixels from the panorama's beginning.
export function limitOf(facts) {
  return (facts.tiles - 16) * facts.tile;
}

export function stretchesText(stretches) {
  return stretches.map((one) => `${one.first}.${one.count}.${one.seed}`).join(",");
}

export function start() {
  return {seed: "0", x: 0, truncation: 1, redrawn: []};
}

// {place, wrong}: what an address says; of what is wrong in it, what is said, and what was taken instead stands in `place`.
export function read(fragment, facts) {
  const said = new URLSearchParams(fragment.replace(/^#/, "").slice(0, 8192));
  const place = start(), wrong = [];
  const take = (name, value, key, what) => {
    if (value === null) wrong.push(`${name} in the address is not ${what}`);
    else place[key] = value;
  };
  if (said.has("seed")) take("seed", seedOf(said.get("seed")), "seed", `a whole number from 0 to ${SEEDS - 1n}`);
  if (said.has("x")) {
    take("x", placeOf(said.get("x"), limitOf(facts)), "x", `a number from -${limitOf(facts)} to ${limitOf(facts)}`);
  }
  if (said.has("truncation")) {
    take("truncation", shareOf(said.get("truncation")), "truncation", "a number from 0 to 1 with at most three decimals");
  }
  if (said.has("edits")) {
    take("edits", stretchesOf(said.get("edits"), facts), "redrawn",
      facts.span === null ? "possible with this model" : `a list of at most ${facts.redrawn} first.count.seed`);
  }
  return {place, wrong};
}

export function write({seed, x, truncation, redrawn}) {
  const edits = redrawn.length ? `&edits=${stretchesText(redrawn)}` : "";
  return `#seed=${seed}&x=${Math.round(x * 16) / 16}&truncation=${truncation}${edits}`;
}
