// Brings tiles from the server: few at once, the most wanted first; what is no longer wanted is given up.

const LANES = 3; // requests at once
const ROOM = 96 * 2 ** 20; // bytes of pictures that are kept
const MOST = 512; // pictures that are kept
const AGAIN = 1000; // milliseconds after a failure, unless the server says how long
const SAMPLES = 20; // latencies of which the median is told

export class Tiles {
  constructor(facts, {changed, failed}) {
    Object.assign(this, {facts, changed, failed});
    this.room = Math.max(24, Math.min(MOST, Math.floor(ROOM / (4 * facts.tile * facts.frame))));
    this.kept = new Map(); // index -> {address, bitmap}
    this.busy = new Map(); // address -> {index, control}
    this.refused = new Set(); // addresses that the server will not answer
    this.wanted = []; // [index, address], the most wanted first
    this.times = []; // [milliseconds in all, at the server]
    this.paused = 0; // no request before this moment
    this.timer = null;
  }

  // Of all these tiles, in this order, bring what is missing; of others, what is on its way is given up.
  want(tiles, centre) {
    this.wanted = tiles.slice(0, this.room);
    const addresses = new Set(this.wanted.map(([, address]) => address));
    for (const [address, one] of this.busy) if (!addresses.has(address)) one.control.abort();
    for (const address of this.refused) if (!addresses.has(address)) this.refused.delete(address);
    this.makeRoom(centre);
    this.pump();
  }

  // The picture to show at a place, and whether it is the one that is wanted there.
  at(index, address) {
    const found = this.kept.get(index);
    return found ? {bitmap: found.bitmap, current: found.address === address} : null;
  }

  missing() {
    return this.wanted.filter(([index, address]) => this.kept.get(index)?.address !== address
      && !this.refused.has(address));
  }

  makeRoom(centre) {
    if (this.kept.size <= this.room) return;
    const wanted = new Set(this.wanted.map(([index]) => index));
    const others = [...this.kept.keys()].filter((index) => !wanted.has(index));
    others.sort((one, other) => Math.abs(other - centre) - Math.abs(one - centre));
    for (const index of others.slice(0, this.kept.size - this.room)) this.drop(index);
  }

  drop(index) {
    this.kept.get(index)?.bitmap.close();
    this.kept.delete(index);
  }

  pump() {
    const wait = this.paused - performance.now();
    if (wait > 0) {
      this.timer ??= setTimeout(() => { this.timer = null; this.pump(); }, wait);
      return;
    }
    for (const [index, address] of this.missing()) {
      if (this.busy.size >= LANES) return;
      if (!this.busy.has(address)) this.bring(index, address);
    }
  }

  async bring(index, address) {
    const control = new AbortController();
    this.busy.set(address, {index, control});
    const began = performance.now();
    try {
      const answer = await fetch(address, {signal: control.signal});
      if (answer.ok) {
        const bitmap = await createImageBitmap(await answer.blob(), {colorSpaceConversion: "none"});
        this.arrived(index, address, bitmap, performance.now() - began, serverTime(answer));
      } else {
        await this.repelled(address, answer);
      }
    } catch (error) {
      if (error.name !== "AbortError") {
        this.paused = performance.now() + AGAIN;
        this.failed("The server does not answer. Is it still running?");
      }
    }
    this.busy.delete(address);
    this.pump();
  }

  arrived(index, address, bitmap, took, served) {
    if (!this.wanted.some(([, one]) => one === address)) {
      bitmap.close();
      return;
    }
    this.drop(index);
    this.kept.set(index, {address, bitmap});
    this.times = [...this.times, [took, served]].slice(-SAMPLES);
    this.failed(null);
    this.changed();
  }

  async repelled(address, answer) {
    let text = await answer.text();
    try { text = String(JSON.parse(text).detail ?? text); } catch { /* plain text */ }
    if (answer.status === 400) {
      this.refused.add(address);
      this.changed();
    } else {
      this.paused = performance.now() + (1000 * Number(answer.headers.get("Retry-After")) || AGAIN);
    }
    if (answer.status !== 503 || !text.startsWith("too many")) this.failed(text);
  }

  // Medians in milliseconds: of what a tile took, and of the server's part in it; null before the first.
  latency() {
    if (!this.times.length) return null;
    return [0, 1].map((part) => {
      const sorted = this.times.map((one) => one[part]).sort((one, other) => one - other);
      return sorted[sorted.length >> 1];
    });
  }
}

function serverTime(answer) {
  return Number(/dur=([\d.]+)/.exec(answer.headers.get("Server-Timing") ?? "")?.[1] ?? 0);
}
