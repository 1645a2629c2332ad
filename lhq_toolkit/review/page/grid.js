// A justified grid of any number of photos: rows of equal width, of which only those near the window exist.

import {SIGNS, element, nameOf} from "./show.js";

const GAP = 4; // pixels
const NARROW = 0.4, WIDE = 4; // width over height, beyond which a tile cuts the picture off
const SETTLE = 80; // milliseconds without scrolling, after which pictures are asked for

export class Grid {
  constructor(scroller, sheet, {itemAt, wanted, chosen, opened}) {
    Object.assign(this, {scroller, sheet, itemAt, wanted, chosen, opened});
    this.ratios = [];
    this.rows = [];
    this.tiles = new Map();
    this.selected = 0;
    this.width = 0;
    scroller.addEventListener("scroll", () => { this.draw(); this.later(); }, {passive: true});
    new ResizeObserver(() => { if (scroller.clientWidth !== this.width) this.arrange(); else this.draw(); })
      .observe(scroller);
  }

  show(ratios) {
    this.ratios = ratios;
    this.selected = 0;
    this.scroller.scrollTop = 0;
    this.arrange();
  }

  arrange() {
    this.width = this.scroller.clientWidth;
    if (!this.width) return;
    for (const tile of this.tiles.values()) tile.remove();
    this.tiles.clear();
    const inner = this.width - 2 * GAP;
    const height = this.width < 600 ? 110 : 190;
    this.rows = [];
    let top = GAP, first = 0, sum = 0;
    for (let at = 0; at < this.ratios.length; at++) {
      sum += this.ratio(at);
      const count = at - first + 1;
      const fitting = (inner - GAP * (count - 1)) / sum;
      const last = at === this.ratios.length - 1;
      if (fitting > height && !last) continue;
      const tall = Math.min(fitting, height * 1.5);
      this.rows.push({top, height: last && fitting > height ? height : tall, first, count});
      top += this.rows.at(-1).height + GAP;
      first = at + 1;
      sum = 0;
    }
    this.sheet.style.height = `${top}px`;
    this.reveal();
    this.draw();
    this.load();
  }

  ratio(at) {
    return Math.min(WIDE, Math.max(NARROW, this.ratios[at] / 100));
  }

  // The number of the row that reaches down to this height, or that holds this photo.
  rowAt(test) {
    let low = 0, high = this.rows.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (test(this.rows[middle])) high = middle; else low = middle + 1;
    }
    return low;
  }

  rowOf(at) {
    return this.rowAt((row) => row.first + row.count > at);
  }

  draw() {
    if (!this.rows.length) return;
    const {scrollTop, clientHeight} = this.scroller;
    const from = this.rowAt((row) => row.top + row.height > scrollTop - clientHeight / 2);
    const to = this.rowAt((row) => row.top + row.height > scrollTop + clientHeight * 1.5);
    const first = this.rows[from].first, last = this.rows[to].first + this.rows[to].count - 1;
    for (const [at, tile] of this.tiles) {
      if (at < first || at > last) {
        tile.querySelector("img").removeAttribute("src"); // no longer wanted: gives up what is on its way
        tile.remove();
        this.tiles.delete(at);
      }
    }
    for (let number = from; number <= to; number++) this.drawRow(this.rows[number]);
    this.wanted(first, last);
  }

  drawRow(row) {
    let left = GAP;
    for (let at = row.first; at < row.first + row.count; at++) {
      const width = row.height * this.ratio(at);
      if (!this.tiles.has(at)) {
        const tile = this.make(at);
        Object.assign(tile.style, {top: `${row.top}px`, left: `${left}px`, width: `${width}px`, height: `${row.height}px`});
        this.tiles.set(at, tile);
        this.sheet.append(tile);
        this.fill(at);
      }
      left += width + GAP;
    }
  }

  make(at) {
    const tile = element("div", {className: "tile", id: `tile-${at}`, role: "option"},
      element("img", {alt: "", decoding: "async", draggable: false}), element("span", {className: "name"}),
      element("span", {className: "sign"}));
    tile.addEventListener("click", () => this.chosen(at));
    tile.addEventListener("dblclick", () => this.opened(at));
    return tile;
  }

  // Writes what is known of a photo into its tile.
  fill(at) {
    const tile = this.tiles.get(at), item = this.itemAt(at);
    if (!tile) return;
    tile.setAttribute("aria-selected", String(at === this.selected));
    if (!item) return;
    const verdict = item.mine || "";
    tile.dataset.verdict = verdict;
    tile.setAttribute("aria-label", nameOf(item) + (verdict ? `, ${verdict}` : ""));
    tile.querySelector(".name").textContent = item.title || item.id;
    tile.querySelector(".sign").textContent = SIGNS[verdict] || "";
    tile.dataset.file = item.file;
  }

  // Asks for the pictures of tiles that stay; while scrolling none is asked for.
  load() {
    for (const tile of this.tiles.values()) {
      const image = tile.querySelector("img");
      const address = tile.dataset.file ? `/thumb/${tile.dataset.file}` : "";
      if (address && image.getAttribute("src") !== address) image.src = address;
    }
  }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.load(), SETTLE);
  }

  filled(first, last) {
    for (let at = first; at <= last; at++) this.fill(at);
    this.later();
  }

  select(at) {
    const before = this.selected;
    this.selected = at;
    this.reveal();
    this.draw();
    this.fill(before);
    this.fill(at);
    this.scroller.setAttribute("aria-activedescendant", `tile-${at}`);
  }

  reveal() {
    if (!this.rows.length || !this.scroller.clientHeight) return;
    const row = this.rows[this.rowOf(this.selected)];
    const {scrollTop, clientHeight} = this.scroller;
    if (row.top < scrollTop) this.scroller.scrollTop = row.top - GAP;
    else if (row.top + row.height > scrollTop + clientHeight) {
      this.scroller.scrollTop = row.top + row.height - clientHeight + GAP;
    }
  }

  // The photo above or below the chosen one.
  beside(step) {
    const number = this.rowOf(this.selected) + step;
    if (number < 0 || number >= this.rows.length) return this.selected;
    const from = this.rows[number - step], to = this.rows[number];
    return Math.min(to.first + to.count - 1,
      to.first + Math.round(((this.selected - from.first) / Math.max(1, from.count)) * to.count));
  }
}
