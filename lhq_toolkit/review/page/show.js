// How things are written into the page. Text from the web only ever becomes a text node, never markup.

export const SIGNS = {keep: "✓", reject: "✕", flag: "⚑"};
export const WORDS = {keep: "kept", reject: "rejected", flag: "flagged", undecided: "undecided again"};

export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made && name !== "list") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export function nameOf(item) {
  return `${item.title || "untitled"}, by ${item.author || "an unknown author"}`;
}

// A link to the web, or plain text where the address leads anywhere else.
export function link(text, address) {
  let parsed = null;
  try { parsed = new URL(address); } catch { /* none, or no address */ }
  if (!parsed || !["http:", "https:"].includes(parsed.protocol)) return element("span", {textContent: text});
  return element("a", {textContent: text, href: parsed.href, target: "_blank", rel: "noopener noreferrer nofollow"});
}

export function number(value) {
  if (value === null || value === undefined) return "";
  return Number.isInteger(value) ? value.toLocaleString("en") : String(Number(value.toPrecision(4)));
}

export function time(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${(seconds / 3600).toFixed(1)} h`;
  return `${(seconds / 86400).toFixed(1)} days`;
}

export function caption(item) {
  const lines = [
    element("h2", {textContent: item.title || "untitled"}),
    element("p", {}, "by ", link(item.author || "an unknown author", item.author_url), " · ", item.license),
    element("p", {}, `${number(item.width)} × ${number(item.height)} pixels · `, link(item.id, item.page_url)),
  ];
  if (item.said === undefined) {
    lines.push(element("p", {className: "faint",
      textContent: "In the random sample what the filters and others say is hidden, so that you judge for yourself."}));
    return lines;
  }
  const rows = item.said.map((one) => element("tr", {className: one.state},
    element("th", {scope: "row", textContent: one.stage}), element("td", {textContent: one.state}),
    element("td", {textContent: number(one.value)}),
    element("td", {textContent: [one.reason, one.about].filter(Boolean).join(": ")})));
  if (rows.length) lines.push(element("table", {}, element("tbody", {}, ...rows)));
  for (const [name, verdict] of Object.entries(item.others)) {
    lines.push(element("p", {textContent: `${SIGNS[verdict]} ${name} says ${verdict}`}));
  }
  return lines;
}

function share(one) {
  const percent = (value) => `${Math.round(value * 100)} %`;
  if (!one.of) return "nothing to tell from yet";
  return `${percent(one.value)} (${percent(one.interval[0])} to ${percent(one.interval[1])}), ${one.hits} of ${one.of}`;
}

export function agreement(found) {
  const flagged = found.flagged ? `, ${number(found.flagged)} of them flagged and left out` : "";
  const about = element("p", {textContent: `From the first ${number(found.sampled)} of ${number(found.photos)} photos in `
    + `random order${flagged}. To add to them go on with the list “random sample”, without a gap.`});
  if (!found.filters.length) return [about, element("p", {textContent: "This subset has no filters."})];
  const head = element("tr", {}, ...["filter", "precision: of what it rejects, people reject",
    "recall: of what people reject, it rejects"].map((text) => element("th", {scope: "col", textContent: text})));
  const rows = found.filters.map((one) => element("tr", {}, element("th", {scope: "row", textContent: one.filter}),
    element("td", {textContent: share(one.precision)}), element("td", {textContent: share(one.recall)})));
  return [about, element("table", {}, element("thead", {}, head), element("tbody", {}, ...rows)),
    element("p", {className: "faint", textContent: "In brackets: 95 % Wilson intervals. A filter is judged on the "
      + "photos that reached it."})];
}
