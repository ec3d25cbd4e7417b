/**
 * Sending: from the composer into the outbox, and from there to the server, one line at a time.
 */

import { retry_s } from "./delays.js";
import { refOf } from "./events.js";
import { Room } from "./room.js";

const TYPING_EVERY_MS = 2_500;

export class Speaker {
  /**
   * @param {import("./state.js").State} state
   * @param {import("./tab.js").Tab} tab
   * @param {import("./outbox.js").Outbox} outbox
   * @param {(command: object) => boolean} send
   * @param {(name: string) => void} join
   */
  constructor(state, tab, outbox, send, join) {
    this.state = state;
    this.tab = tab;
    this.outbox = outbox;
    this.send = send;
    this.join = join;
    /** @type {any} the timer that runs while the server's rate limit is reached */
    this.pause = 0;
    /** @type {number | null} when the last `typing` was sent to a room */
    this.typedAt = null;
  }

  /** Switch servers: unsent lines for the previous server wait in its storage. */
  putAway() {
    this.tab.letGo(Date.now());
    this.outbox.putAway();
    this.#resume();
  }

  /** Adopt the unsent lines of closed tabs. */
  adopt() {
    this.tab.live(Date.now());
    // Own lines are missing only after `putAway`, and now that server is back.
    const mayTake = (/** @type {string} */ load) =>
      load === this.tab.name || this.tab.mayTake(load, Date.now());
    if (!this.outbox.adopt(mayTake)) return;
    for (const item of this.outbox.items.values()) {
      if (item.kind === "whisper") this.state.thread(item.to);
      else this.join(item.to);
    }
    this.next();
    this.state.changed();
  }

  /**
   * @param {import("./state.js").State["place"]} place
   * @param {string} text
   * @returns {boolean} false if the outbox is full
   */
  say(place, text, action = false) {
    if (!place || this.outbox.full) return false;
    const kind = place instanceof Room ? "say" : "whisper";
    this.outbox.add({ place: place.key, kind, to: place.name, text, action }, Date.now());
    place.divider = null;
    this.typedAt = null;
    this.next();
    this.state.changed();
    return true;
  }

  /** @param {string} ref */
  again(ref) {
    this.outbox.again(ref);
    const room = this.state.rooms.get(this.outbox.items.get(ref)?.place ?? "");
    if (room) this.join(room.name);
    this.next();
    this.state.changed();
  }

  /** @param {string} ref  @returns {string} the removed text */
  discard(ref) {
    const item = this.outbox.discard(ref);
    this.state.changed();
    return item?.text ?? "";
  }

  /** Send `typing` to a room, at intervals. @param {import("./state.js").State["place"]} place */
  typing(place) {
    const now = performance.now(); // the system clock may be set back, this clock not
    const early = this.typedAt !== null && now - this.typedAt < TYPING_EVERY_MS;
    if (!(place instanceof Room) || !place.joined || early) return;
    this.typedAt = now;
    this.send({ type: "typing", room: place.name });
  }

  /** Handle an answer to an item of the outbox. @param {import("./events.js").Event} event  @returns {boolean} */
  answered(event) {
    const item = this.outbox.items.get(refOf(event));
    if (!item || (event.type !== "ack" && event.type !== "error")) return false;
    if (event.type === "ack") {
      this.outbox.acked(item.ref, event.seq ?? 0);
      const room = this.state.rooms.get(item.place);
      if (room) this.outbox.settle(room.key, room.cursor ?? 0);
    } else if (event.code === "rate_limited") {
      this.outbox.again(item.ref);
      this.#resume();
      this.pause = setTimeout(
        () => {
          this.#resume();
          this.next();
        },
        1000 * retry_s(event.retry_after_s) + 10,
      );
    } else {
      this.outbox.failed(item.ref, event.detail);
    }
    this.next();
    return true;
  }

  /** End the pause. A timer ends it, not the system clock, which may be set back meanwhile. */
  #resume() {
    clearTimeout(this.pause);
    this.pause = 0;
  }

  /** Send the next item, unless paused or disconnected. */
  next() {
    if (!this.state.connected || this.pause) return;
    const ready = (/** @type {import("./outbox.js").Item} */ item) =>
      item.kind === "whisper" || Boolean(this.state.rooms.get(item.place)?.joined);
    const item = this.outbox.next(ready);
    if (!item) return;
    this.outbox.sending(item);
    const { ref, text, to } = item;
    this.send(
      item.kind === "whisper"
        ? { type: "whisper", to, text, ref }
        : { type: "say", room: to, text, ref, ...(item.action ? { action: true } : {}) },
    );
  }
}
