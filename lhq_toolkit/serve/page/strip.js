// The visible part of the panorama: one canvas in the network's own pixels, of which the browser makes the size.
//
// Tiles are put side by side pixel by pixel, so nothing can show between them; what is left of a place after the
// whole pixel moves the canvas as one.

import {limitOf, stretchesText} from "./place.js";

const LARGEST = 6; // pixels of the screen for one of the panorama
const AHEAD = 0.75, BEHIND = 0.25; // screens that are brought beyond what is seen
const FORESIGHT = 0.7; // seconds of travel
const EASE = 90; // milliseconds in which a goal is two thirds reached
const FRICTION = 325; // milliseconds in which a fling loses two thirds of its speed
const STALE = 0.55; // how strongly a picture is shown that is about to be replaced
const RATES = 60; // frames over which the rate is told
const GRAIN = 1 / 16; // of a pixel: what places are kept to, which is exact as far as one may go

export class Strip {
  constructor(facts, tiles, {box, canvas, marks, selection}, {moved}) {
    Object.assign(this, {facts, tiles, box, canvas, marks, moved});
    this.selectionBox = selection;
    this.pen = canvas.getContext("2d");
    this.limit = limitOf(facts);
    this.place = null; // {seed, x, truncation, redrawn}; x is the middle of the view, in the panorama's pixels
    this.selection = null; // [left, right], pixels of the panorama
    this.goal = null; // where x is on its way to
    this.fling = 0; // pixels a millisecond, of a hand that let go
    this.held = false; // a hand drags it
    this.drawn = 0; // x when it was drawn last
    this.speed = 0; // pixels a millisecond, smoothed
    this.direction = 1;
    this.scale = 1;
    this.last = null; // time of the last frame while something moves
    this.gaps = []; // milliseconds between the last frames
    this.asked = false;
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
    new ResizeObserver(() => this.fit()).observe(box.parentElement);
  }

  fit() {
    const {clientWidth, clientHeight} = this.box.parentElement;
    const height = Math.max(32, Math.min(clientHeight, clientWidth, LARGEST * this.facts.frame));
    this.scale = height / this.facts.frame;
    this.box.style.height = `${height}px`;
    this.canvas.style.height = `${height}px`;
    this.redraw();
  }

  // How much of the panorama is seen, in its pixels.
  get width() { return this.box.clientWidth / this.scale; }
  get left() { return this.place.x - this.width / 2; }

  show(place) {
    this.place = place;
    this.goal = null;
    this.fling = 0;
    this.redraw();
  }

  // Moving.

  jump(x) {
    const next = Math.max(-this.limit, Math.min(this.limit, Math.round(x / GRAIN) * GRAIN));
    if (next !== this.place.x) this.direction = Math.sign(next - this.place.x);
    this.place.x = next;
    this.redraw();
  }

  drag(to) {
    this.goal = null;
    this.fling = 0;
    this.jump(to);
  }

  glide(to) {
    this.fling = 0;
    const far = Math.abs(to - this.place.x) > 20 * this.width;
    if (this.calm.matches || far) { this.goal = null; this.jump(to); }
    else { this.goal = Math.max(-this.limit, Math.min(this.limit, to)); this.redraw(); }
  }

  glideBy(by) {
    this.glide((this.goal ?? this.place.x) + by);
  }

  letGo(speed) {
    this.fling = this.calm.matches || Math.abs(speed) * this.scale < 0.1 ? 0 : speed;
    this.redraw();
  }

  redraw() {
    if (this.asked || !this.place) return;
    this.asked = true;
    requestAnimationFrame((now) => this.step(now));
  }

  step(now) {
    const gap = this.last === null ? 16 : Math.max(1, now - this.last);
    if (this.goal !== null) {
      const way = this.goal - this.place.x;
      const by = Math.max(GRAIN, Math.abs(way) * (1 - Math.exp(-gap / EASE))); // less would be rounded away
      const there = (Math.abs(way) - by) * this.scale < 0.5;
      this.jump(there ? this.goal : this.place.x + Math.sign(way) * by);
      if (there) this.goal = null;
    } else if (this.fling) {
      this.jump(this.place.x + this.fling * gap);
      this.fling *= Math.exp(-gap / FRICTION);
      if (Math.abs(this.fling) * this.scale < 0.02) this.fling = 0;
    }
    if (this.last !== null) {
      this.gaps = [...this.gaps, gap].slice(-RATES);
      this.speed += (Math.abs(this.place.x - this.drawn) / gap - this.speed) * 0.2;
    }
    const moves = this.goal !== null || this.fling !== 0 || this.held;
    if (!moves) this.speed = 0;
    this.last = moves ? now : null;
    this.drawn = this.place.x;
    this.draw();
    this.asked = false;
    if (moves) this.redraw();
  }

  // Drawing.

  address(index) {
    const {seed, truncation} = this.place;
    const edits = stretchesText(this.reaching(index));
    return `/tile/${index}?seed=${seed}&truncation=${truncation}${edits ? `&edits=${edits}` : ""}`;
  }

  // What was drawn anew and reaches a tile: from the anchor before to the one after, as the server has it too.
  reaching(index) {
    const {span, tile} = this.facts;
    return this.place.redrawn.filter((one) =>
      (one.first - 1) * span < (index + 1) * tile && index * tile < (one.first + one.count) * span);
  }

  draw() {
    const {tile, frame} = this.facts;
    const from = Math.floor(this.left) - 1, width = Math.ceil(this.width) + 3; // the browser mixes neighbours
    if (this.canvas.width !== width || this.canvas.height !== frame) Object.assign(this.canvas, {width, height: frame});
    this.canvas.style.width = `${width * this.scale}px`;
    this.canvas.style.transform = `translateX(${(from - this.left) * this.scale}px)`;
    this.pen.clearRect(0, 0, width, frame);
    const first = Math.floor(from / tile), last = Math.floor((from + width - 1) / tile);
    let pending = 0;
    for (let index = first; index <= last; index++) {
      const found = this.tiles.at(index, this.address(index));
      if (!found?.current) pending++;
      if (!found) continue;
      this.pen.globalAlpha = found.current ? 1 : STALE;
      this.pen.drawImage(found.bitmap, index * tile - from, 0);
    }
    this.box.dataset.pending = String(pending);
    this.box.setAttribute("aria-busy", String(pending > 0));
    this.drawMarks();
    this.want(first, last);
    this.moved();
  }

  drawMarks() {
    const {span} = this.facts;
    const seen = this.place.redrawn
      .map((one) => [(one.first - 1) * span, (one.first + one.count) * span])
      .filter(([left, right]) => right > this.left && left < this.left + this.width);
    while (this.marks.children.length > seen.length) this.marks.lastChild.remove();
    while (this.marks.children.length < seen.length) this.marks.append(document.createElement("div"));
    seen.forEach((one, at) => this.lay(this.marks.children[at], one));
    this.selectionBox.hidden = this.selection === null;
    if (this.selection) this.lay(this.selectionBox, this.selection);
  }

  lay(box, [left, right]) {
    const from = Math.max(left, this.left - 1), to = Math.min(right, this.left + this.width + 1);
    box.style.left = `${(from - this.left) * this.scale}px`;
    box.style.width = `${Math.max(0, to - from) * this.scale}px`;
  }

  // First what is seen, from the middle on, then what comes next in the direction of travel, then what was passed.
  want(first, last) {
    const {tile} = this.facts;
    const middle = this.place.x / tile - 0.5;
    const some = (screens) => Math.ceil(screens * this.width / tile);
    const ahead = Math.min(24, some(AHEAD) + Math.ceil(FORESIGHT * 1000 * this.speed / tile)), behind = some(BEHIND);
    const seen = [], next = [], passed = [];
    for (let index = first; index <= last; index++) seen.push(index);
    seen.sort((one, other) => Math.abs(one - middle) - Math.abs(other - middle));
    const onward = this.direction < 0 ? first : last, back = this.direction < 0 ? last : first;
    for (let by = 1; by <= ahead; by++) next.push(onward + this.direction * by);
    for (let by = 1; by <= behind; by++) passed.push(back - this.direction * by);
    const every = [...seen, ...next, ...passed].filter((one) => one >= -this.facts.tiles && one < this.facts.tiles);
    this.tiles.want(every.map((index) => [index, this.address(index)]), middle);
  }

  // Frames a second while it moved last; null before it did.
  rate() {
    const sum = this.gaps.reduce((total, gap) => total + gap, 0);
    return this.gaps.length < 5 ? null : 1000 * this.gaps.length / sum;
  }

  // The visible part, its whole pixels alone, on a canvas of its own; null while a tile of it is missing.
  picture() {
    const {tile, frame} = this.facts;
    const from = Math.ceil(this.left), width = Math.max(1, Math.floor(this.left + this.width) - from);
    const made = Object.assign(document.createElement("canvas"), {width, height: frame});
    for (let index = Math.floor(from / tile); index * tile < from + width; index++) {
      const found = this.tiles.at(index, this.address(index));
      if (!found?.current) return null;
      made.getContext("2d").drawImage(found.bitmap, index * tile - from, 0);
    }
    return {canvas: made, from, width};
  }
}
