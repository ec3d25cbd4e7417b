/**
 * Arrange entries as rows: days between them, a "new" line, holes, presence changes, and grouped lines of one
 * author.
 *
 * A row has a key that stays the same and a look that changes when it must be redrawn.
 *
 * @typedef {import("./room.js").Entry} Entry
 * @typedef {import("./outbox.js").Item} Item
 * @typedef {import("./presence_log.js").Group} Group
 * @typedef {{kind: "hole", key: string, look: string, label: string, after: number, next: number, kept: boolean}} Hole
 * @typedef {Hole
 *   | {kind: "day" | "new" | "start" | "older", key: string, look: string, label: string}
 *   | {kind: "presence", key: string, look: string, group: Group, parts: import("./presence_log.js").Part[]}
 *   | {kind: "entry", key: string, look: string, entry: Entry, head: boolean}
 *   | {kind: "item", key: string, look: string, item: Item, head: boolean}} Row
 */

import { fold } from "./names.js";
import { line } from "./presence_log.js";

const TOGETHER_MS = 5 * 60_000;
const DAY_MS = 86_400_000;

// The author of a long run is named again. Every tenth entry number begins a new run, so that the heads do not
// depend on where the window over the room begins; unless a head is just above.
const RUN_ENTRIES = 10;
const RUN_ENTRIES_MIN = 5;
const RUN_LINES = 16;
const RUN_MS = 10 * 60_000;
const LINE_LETTERS = 60; // about this many fit on one line

/**
 * @param {object} place
 * @param {Entry[]} place.entries  those to be shown, ascending
 * @param {Item[]} place.items  own items that are not entries yet, after them
 * @param {Group[]} [place.changes]  of presence, ascending
 * @param {number | null} place.divider
 * @param {string} place.top  the row above the first: "start", "older", or nothing
 * @param {(after: number, next: number) => boolean} place.kept
 * @param {string} place.id  differs wherever the same numbers mean other entries
 * @param {string} place.me
 * @param {number} [place.identity]  of a line that the user sends now
 * @param {boolean} place.connected
 * @param {number} place.now
 * @returns {Row[]}
 */
export function rows(place) {
  const { entries, items, changes = [], divider, top, kept, id, me, identity, connected, now } = place;
  /** @type {Row[]} */
  const made = [];
  if (top) made.push({ kind: /** @type {any} */ (top), key: `${top} ${id}`, look: top, label: "" });
  const runs = new Runs();
  /** @type {Entry | null} */
  let last = null;
  /** @type {number | null} */
  let latest = null;
  let change = 0;
  const dayBefore = (/** @type {number} */ at) => {
    if (latest !== null && (at <= latest || day(at) === day(latest))) return; // a clock may go back, a day not
    latest = at;
    const label = dayLabel(at, now);
    made.push({ kind: "day", key: "day " + day(at), look: label, label });
    runs.end();
  };
  const changesBefore = (/** @type {number} */ seq) => {
    for (; change < changes.length && changes[change].after < seq; change++) {
      made.push(presence(changes[change], id));
      runs.end();
    }
  };
  for (const entry of entries) {
    if (last && entry.seq > last.seq + 1) {
      changesBefore(last.seq + 1);
      made.push(hole(last.seq, entry.seq, kept(last.seq, entry.seq)));
      runs.end();
    }
    changesBefore(entry.seq);
    dayBefore(entry.at);
    if (divider !== null && entry.seq > divider && (!last || last.seq <= divider) && last) {
      made.push({ kind: "new", key: "new", look: "new", label: "New" });
      runs.end();
    }
    const head = runs.add(entry);
    made.push({ kind: "entry", key: `entry ${entry.seq} ${id}`, look: `${head} ${me}`, entry, head });
    last = entry;
  }
  changesBefore(Infinity);
  for (const [n, item] of items.entries()) {
    const { text, at, action } = item;
    dayBefore(at);
    const seq = (last?.seq ?? 0) + 1 + n; // the likely number of its entry
    const head = runs.add({ type: "said", seq, by: me, text, at, action, identity });
    const look = `${head} ${item.state} ${item.why} ${connected}`;
    made.push({ kind: "item", key: "item " + item.ref, look, item, head });
  }
  return made;
}

/** Decide which entries begin a run of one author. */
class Runs {
  constructor() {
    /** @type {Entry | null} the entry before, unless a separator follows it */
    this.last = null;
    /** @type {Entry | null} */
    this.head = null;
    this.lines = 0; // since the head
  }

  /** End the run after a separator: the next entry begins a run. */
  end() {
    this.last = null;
  }

  /** @param {Entry} entry  @returns {boolean} whether it begins a run */
  add(entry) {
    const { last, head } = this;
    this.last = entry;
    const lines = height(entry.text);
    const goesOn =
      last !== null && head !== null && together(last, entry) && !this.#isLong(head, entry, lines);
    if (!goesOn) this.head = entry;
    this.lines = goesOn ? this.lines + lines : lines;
    return !goesOn;
  }

  /** @param {Entry} head  @param {Entry} entry  @param {number} lines  @returns {boolean} */
  #isLong(head, entry, lines) {
    const round = Math.floor(entry.seq / RUN_ENTRIES) > Math.floor(head.seq / RUN_ENTRIES);
    return (
      (round && entry.seq - head.seq >= RUN_ENTRIES_MIN) ||
      this.lines + lines > RUN_LINES ||
      entry.at - head.at >= RUN_MS
    );
  }
}

/** @param {string} text  @returns {number} about how many lines it takes, as far as it matters */
function height(text) {
  let lines = Math.ceil(text.length / LINE_LETTERS) || 1;
  for (let at = text.indexOf("\n"); at >= 0 && lines <= RUN_LINES; at = text.indexOf("\n", at + 1)) lines++;
  return lines;
}

/** @param {Group} group  @param {string} id  @returns {Row} */
function presence(group, id) {
  const parts = line(group);
  const look = parts.map((part) => (typeof part === "string" ? part : part.name)).join("");
  return { kind: "presence", key: `presence ${group.id} ${id}`, look, group, parts };
}

/** @returns {Row} */
function hole(/** @type {number} */ after, /** @type {number} */ next, /** @type {boolean} */ kept) {
  const missing = next - after - 1;
  const label = `${missing.toLocaleString()} ${missing === 1 ? "message" : "messages"}`;
  return { kind: "hole", key: `hole ${next}`, look: `${after} ${kept}`, label, after, next, kept };
}

/** @param {Entry} last  @param {Entry} entry  @returns {boolean} */
function together(last, entry) {
  return (
    last.type !== "retitled" &&
    entry.type !== "retitled" &&
    !last.action &&
    !entry.action &&
    fold(last.by) === fold(entry.by) &&
    (last.identity ?? 0) === (entry.identity ?? 0) &&
    entry.at - last.at < TOGETHER_MS
  );
}

/** @type {Map<number, string>} days by the quarter hour: making a date of every entry at every drawing is expensive */
const days = new Map();

/** @param {number} at */
function day(at) {
  const quarter = Math.floor(at / 900_000); // no time zone is finer than that
  let name = days.get(quarter);
  if (name === undefined) {
    const date = new Date(at);
    name = `${date.getFullYear()}-${date.getMonth() + 1}-${date.getDate()}`;
    if (days.size > 10_000) days.clear();
    days.set(quarter, name);
  }
  return name;
}

/** @param {number} at  @param {number} now  @returns {string} */
export function dayLabel(at, now) {
  if (day(at) === day(now)) return "Today";
  if (day(at) === day(now - DAY_MS)) return "Yesterday";
  const sameYear = new Date(at).getFullYear() === new Date(now).getFullYear();
  return new Date(at).toLocaleDateString(undefined, {
    weekday: "long",
    day: "numeric",
    month: "long",
    year: sameYear ? undefined : "numeric",
  });
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

/** @param {number} at  @returns {string} the time of day where the reader is */
export function timeLabel(at) {
  return clock.format(at);
}
