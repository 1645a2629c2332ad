// How hands and keys move the strip: drag and fling, wheel, arrows, pages; and how a stretch is selected.

const STEP = 60; // pixels of the screen that an arrow moves
const PAGE = 0.9; // of the view
const LINE = 20; // pixels of the screen, of a wheel that counts lines
const MEMORY = 100; // milliseconds of a drag that make the fling
const CLICK = 4; // pixels of the screen: less is no selection

export class Moves {
  constructor(strip, {selecting, selected}) {
    Object.assign(this, {strip, selecting, selected});
    this.hand = null; // {id, began, x, trail: [[time, x]], from}: `from` is where a selection began, else null
    const box = strip.box;
    box.addEventListener("pointerdown", (event) => this.down(event));
    box.addEventListener("pointermove", (event) => this.move(event));
    box.addEventListener("pointerup", (event) => this.up(event));
    box.addEventListener("pointercancel", () => this.cancel());
    box.addEventListener("wheel", (event) => this.wheel(event), {passive: false});
  }

  // The panorama's pixel under a point of the screen.
  under(x) {
    return this.strip.left + (x - this.strip.box.getBoundingClientRect().left) / this.strip.scale;
  }

  down(event) {
    if (this.hand || event.button !== 0) return;
    this.strip.box.setPointerCapture(event.pointerId);
    this.strip.box.focus({preventScroll: true});
    const selects = this.strip.facts.span !== null && (event.shiftKey || this.selecting());
    const from = selects ? this.under(event.clientX) : null;
    this.strip.held = from === null;
    if (this.strip.held) this.strip.drag(this.strip.place.x); // stops what moves
    this.hand = {id: event.pointerId, began: event.clientX, x: this.strip.place.x, trail: [], from};
    event.preventDefault();
  }

  move(event) {
    const hand = this.hand;
    if (hand?.id !== event.pointerId) return;
    if (hand.from !== null) {
      const to = this.under(event.clientX);
      this.strip.selection = [Math.min(hand.from, to), Math.max(hand.from, to)];
      this.strip.redraw();
      return;
    }
    this.strip.drag(hand.x + (hand.began - event.clientX) / this.strip.scale);
    hand.trail = [...hand.trail, [event.timeStamp, event.clientX]]
      .filter(([time]) => event.timeStamp - time < MEMORY);
  }

  up(event) {
    const hand = this.hand;
    if (hand?.id !== event.pointerId) return;
    this.hand = null;
    this.strip.held = false;
    if (hand.from !== null) {
      if (Math.abs(event.clientX - hand.began) < CLICK) this.strip.selection = null;
      this.selected();
      return;
    }
    const trail = hand.trail.filter(([time]) => event.timeStamp - time < MEMORY);
    if (trail.length < 2) return;
    const [[began, from], [ended, to]] = [trail[0], trail.at(-1)];
    if (ended > began) this.strip.letGo((from - to) / (ended - began) / this.strip.scale);
  }

  cancel() {
    if (this.hand && this.hand.from !== null) this.strip.selection = null;
    this.hand = null;
    this.strip.held = false;
    this.strip.redraw();
  }

  wheel(event) {
    if (event.ctrlKey) return; // the browser's zoom
    event.preventDefault();
    const by = Math.abs(event.deltaX) > Math.abs(event.deltaY) ? event.deltaX : event.deltaY;
    const unit = [1, LINE, this.strip.box.clientWidth][event.deltaMode] ?? 1;
    this.strip.glideBy(by * unit / this.strip.scale);
  }

  // Whether a key moved the strip.
  key(name) {
    const {strip} = this;
    const step = STEP / strip.scale, page = PAGE * strip.width;
    const moves = {
      ArrowLeft: () => strip.glideBy(-step), ArrowRight: () => strip.glideBy(step),
      ArrowDown: () => strip.glideBy(-step), ArrowUp: () => strip.glideBy(step),
      PageUp: () => strip.glideBy(-page), PageDown: () => strip.glideBy(page), Home: () => strip.glide(0),
    };
    if (!Object.hasOwn(moves, name)) return false;
    moves[name]();
    return true;
  }
}
