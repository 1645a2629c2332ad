// The menus: which lists there are, and in which order they can be shown.

import {element, number} from "./show.js";

const by = (id) => document.getElementById(id);
const LISTS = [
  ["in", "in the subset"], ["out", "not in the subset"], ["all", "all photos"], ["sample", "random sample"],
  ["flag", "flagged"], ["keep", "kept by review"], ["reject", "rejected by review"], ["author", "by author …"],
];

// What the menus ask for now.
export function query() {
  const [kind, stage, reason] = JSON.parse(by("list").value);
  const [sort, down] = JSON.parse(by("sort").value);
  return {kind, stage: stage ?? null, reason: reason ?? null, author: kind === "author" ? by("author").value : null,
    undecided: by("undecided").checked, sort, down};
}

function option(text, value) {
  return element("option", {textContent: text, value: JSON.stringify(value)});
}

// Fills the menus with the lists and orders that there are.
export function offer(stages) {
  const lists = LISTS.map(([kind, text]) => option(text, [kind]));
  lists.push(option("disagreements", ["disagreements"]));
  lists.at(-1).id = "disagreements";
  const groups = [];
  for (const stage of stages) {
    const group = element("optgroup", {label: stage.name});
    if (stage.cut !== null) group.append(option(`${stage.name}: near the threshold`, ["near", stage.name]));
    if (stage.out) group.append(option(`${stage.name}: all it does not keep (${number(stage.out)})`, ["stage", stage.name]));
    for (const [reason, times] of stage.reasons) {
      group.append(option(`${reason ?? "no reason"} (${number(times)})`, ["stage", stage.name, reason]));
    }
    if (group.children.length) groups.push(group);
  }
  by("list").replaceChildren(...lists, ...groups);
  const sorts = [option("in the list's order", [null, false]), option("in reverse", [null, true])];
  for (const stage of stages.filter((one) => one.scored)) {
    sorts.push(option(`${stage.name}, lowest first`, [stage.name, false]));
    sorts.push(option(`${stage.name}, highest first`, [stage.name, true]));
  }
  by("sort").replaceChildren(...sorts);
}

// What the address says was open before a reload, as far as it is still offered.
export function restore() {
  const said = new URLSearchParams(location.hash.slice(1));
  const pick = (id, value) => {
    const text = JSON.stringify(value);
    if ([...by(id).options].some((one) => one.value === text)) by(id).value = text;
  };
  if (!said.has("kind")) return;
  pick("list", [said.get("kind"), said.get("stage"), said.get("reason")].filter((one) => one !== null));
  pick("sort", [said.get("sort"), said.get("down") === "true"]);
  by("author").value = said.get("author") ?? "";
  by("undecided").checked = said.get("undecided") !== "false";
}
