/**
 * Lines that were typed and are not yet acknowledged.
 *
 * One line is in flight at a time: the next waits for its answer, so the order holds whatever the server answers,
 * including a rate limit. A line keeps its ref, so a retry after a broken connection or in another tab is stored
 * once. A whisper has no such guarantee: a whisper that was in flight when the connection broke is shown as
 * perhaps not delivered, and its author decides.
 *
 * @typedef {{ref: string, place: string, kind: "say" | "whisper", to: string, text: string, action: boolean,
 *   at: number, n: number, load: string, state: "waiting" | "sending" | "sent" | "failed" | "perhaps",
 *   why: string, seq: number, shown: boolean}} Item
 */

const ITEMS_MAX = 200; // beyond it the composer keeps the text

export class Outbox {
  /**
   * @param {import("./storage.js").Storage} storage
   * @param {string} load  the name of this load of the page: all its refs begin with it
   */
  constructor(storage, load) {
    this.storage = storage;
    this.load = load;
    this.count = 0;
    /** @type {Map<string, Item>} in the order they were said */
    this.items = new Map();
  }

  /** @returns {boolean} */
  get full() {
    return this.items.size >= ITEMS_MAX;
  }

  /** Return a unique ref. @returns {string} */
  ref() {
    return `${this.load}-${++this.count}`;
  }

  /**
   * @param {{place: string, kind: "say" | "whisper", to: string, text: string, action: boolean}} said
   * @param {number} at
   * @returns {Item}
   */
  add(said, at) {
    const ref = this.ref();
    const latest = [...this.items.values()].at(-1)?.at ?? 0;
    /** @type {Item} */
    const item = {
      ...said,
      ref,
      at: Math.max(at, latest), // a clock may be set back, and a load that adopts the items sorts by this
      n: this.count,
      load: this.load,
      state: "waiting",
      why: "",
      seq: 0,
      shown: false,
    };
    this.items.set(ref, item);
    this.#keep(item);
    return item;
  }

  /**
   * Adopt the items that other loads of the page have left behind.
   *
   * @param {(load: string) => boolean} mayTake
   * @returns {boolean} whether there was anything
   */
  adopt(mayTake) {
    const found = this.storage.keys("out.").map((key) => this.storage.get(key));
    const ours = found.filter((item) => sound(item) && !this.items.has(item.ref) && mayTake(item.load));
    if (!ours.length) return false;
    for (const item of ours) {
      item.load = this.load;
      item.shown = false;
      if (item.kind === "whisper" && item.state !== "failed") {
        item.state = item.state === "waiting" ? "failed" : "perhaps";
        item.why = "The page was closed before it was sent";
      } else if (item.state !== "failed") {
        item.state = "waiting";
      }
      this.items.set(item.ref, item);
      this.#keep(item);
    }
    const inOrder = [...this.items.values()].sort((a, b) => a.at - b.at || a.n - b.n);
    this.items = new Map(inOrder.map((item) => [item.ref, item]));
    return true;
  }

  /**
   * Return the next item to send, or null while an item is in flight.
   *
   * @param {(item: Item) => boolean} ready  whether its room has been entered
   * @returns {Item | null}
   */
  next(ready) {
    let first = null;
    for (const item of this.items.values()) {
      if (item.state === "sending") return null;
      if (first === null && item.state === "waiting" && ready(item)) first = item;
    }
    return first;
  }

  /** Mark an item as in flight. @param {Item} item */
  sending(item) {
    item.state = "sending";
    if (item.kind === "whisper") this.#keep(item); // if the page closes now, the whisper may have been delivered
  }

  /** Mark an item as acknowledged; it is shown until its entry arrives. @param {string} ref  @param {number} seq */
  acked(ref, seq) {
    const item = this.items.get(ref);
    if (!item) return;
    this.storage.remove("out." + ref);
    item.state = "sent";
    item.seq = seq;
    if (item.kind === "whisper") this.items.delete(ref);
  }

  /** Mark an item as refused by the server. @param {string} ref  @param {string} why */
  failed(ref, why) {
    const item = this.items.get(ref);
    if (!item) return;
    item.state = "failed";
    item.why = why;
    item.shown = false;
    this.#keep(item);
  }

  /** Queue an item again: it was too early, or its author retries it. @param {string} ref */
  again(ref) {
    const item = this.items.get(ref);
    if (!item) return;
    item.state = "waiting";
    item.why = "";
    this.#keep(item);
  }

  /** @param {string} ref  @returns {Item | undefined} the removed item */
  discard(ref) {
    const item = this.items.get(ref);
    this.items.delete(ref);
    this.storage.remove("out." + ref);
    return item;
  }

  /** Clear the items from memory: the storage keeps them, and `adopt` restores them. */
  putAway() {
    this.items.clear();
  }

  /** Handle a broken connection: an item in flight may or may not have arrived. */
  lost() {
    for (const item of this.items.values()) {
      if (item.state !== "sending") continue;
      item.state = item.kind === "say" ? "waiting" : "perhaps";
      item.why = item.kind === "say" ? "" : "The connection broke: perhaps not delivered";
      item.shown = false;
      this.#keep(item);
    }
  }

  /**
   * Handle an own entry that arrives before its ack: from now on show it once.
   *
   * @param {string} place
   * @param {{text: string, action?: boolean}} entry
   */
  echoed(place, entry) {
    for (const item of this.items.values()) {
      if (
        item.place === place &&
        item.state === "sending" &&
        item.text === entry.text &&
        item.action === Boolean(entry.action)
      ) {
        item.shown = true;
        return;
      }
    }
  }

  /** Forget sent items whose entries have arrived. @param {string} place  @param {number} cursor */
  settle(place, cursor) {
    for (const item of this.items.values()) {
      if (item.place === place && item.state === "sent" && item.seq <= cursor) this.items.delete(item.ref);
    }
  }

  /** @param {string} place  @returns {boolean} whether an item of that place may not have arrived */
  pending(place) {
    return [...this.items.values()].some((item) => item.place === place && item.state !== "sent");
  }

  /** @param {string} place  @returns {Item[]} the items still shown there, oldest first */
  in(place) {
    return [...this.items.values()].filter((item) => item.place === place && !item.shown);
  }

  /** @param {Item} item */
  #keep(item) {
    this.storage.set("out." + item.ref, item);
  }
}

/** @param {any} item */
function sound(item) {
  return (
    item &&
    ["ref", "place", "to", "text", "load", "state"].every((key) => typeof item[key] === "string") &&
    (item.kind === "say" || item.kind === "whisper") &&
    [item.at, item.n].every((each) => Number.isSafeInteger(each) && each >= 0)
  );
}
