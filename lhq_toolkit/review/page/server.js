// What changes something is sent to the server in order, again until it is answered, and outlives the page.

import {Refused, post} from "./ask.js";

const AGAIN = 1000; // milliseconds between two attempts

function token() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// Decisions on their way. Each carries a token, so that one that is sent twice counts once.
export class Outbox {
  constructor(name, {sent, lost, waiting}) {
    this.prefix = `lhq unsent ${name} `;
    this.key = this.prefix + token();
    this.tell = {sent, lost, waiting};
    this.queue = this.left();
    this.keep();
    this.busy = false;
    this.stuck = null; // why the last attempt failed, until one succeeds
    this.flush();
  }

  // What earlier pages could not send.
  left() {
    const found = [];
    for (const key of Object.keys(localStorage).filter((one) => one.startsWith(this.prefix)).sort()) {
      try { found.push(...JSON.parse(localStorage.getItem(key))); } catch { /* not ours */ }
      localStorage.removeItem(key);
    }
    return found;
  }

  keep() {
    try {
      if (this.queue.length) localStorage.setItem(this.key, JSON.stringify(this.queue));
      else localStorage.removeItem(this.key);
    } catch { /* no room: they are in memory */ }
  }

  add(path, body) {
    this.queue.push({path, body: {...body, token: token()}});
    this.keep();
    if (this.stuck) this.tell.waiting(this.queue.length, this.stuck.refused);
    this.flush();
  }

  async flush() {
    if (this.busy) return;
    this.busy = true;
    while (this.queue.length) {
      const one = this.queue[0];
      try {
        const answer = await post(one.path, one.body);
        this.queue.shift();
        this.keep();
        this.stuck = null;
        this.tell.sent(one, answer, this.queue.length);
      } catch (error) {
        const final = error instanceof Refused && [400, 404, 413, 422].includes(error.status);
        if (final) {
          this.queue.shift();
          this.keep();
          this.tell.lost(one, error);
        } else {
          this.stuck = {refused: error instanceof Refused ? error : null};
          this.tell.waiting(this.queue.length, this.stuck.refused);
          await new Promise((resolve) => setTimeout(resolve, AGAIN));
        }
      }
    }
    this.busy = false;
  }
}
