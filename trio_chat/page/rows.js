/**
 * Entries as rows: days between them, a "new" line, holes, and lines of one author drawn together.
 *
 * A row has a key that stays the same and a look that changes when it must be drawn anew.
 *
 * @typedef {import("./room.js").Entry} Entry
 * @typedef {import("./outbox.js").Item} Item
 * @typedef {{kind: "day" | "new" | "hole" | "start" | "older", key: string, look: string, label: string,
 *     after?: number, next?: number, kept?: boolean}
 *   | {kind: "entry", key: string, look: string, entry: Entry, head: boolean}
 *   | {kind: "item", key: string, look: string, item: Item, head: boolean}} Row
 */

import { fold } from "./names.js";

const TOGETHER_MS = 5 * 60_000;
const DAY_MS = 86_400_000;

/**
 * @param {object} place
 * @param {Entry[]} place.entries  those to be shown, ascending
 * @param {Item[]} place.items  one's own that are no entries yet, behind them
 * @param {number | null} place.divider
 * @param {string} place.top  what stands above the first: "start", "older", or nothing
 * @param {(after: number, next: number) => boolean} place.kept
 * @param {string} place.id  differs wherever the same numbers mean other entries
 * @param {string} place.me
 * @param {boolean} place.connected
 * @param {number} place.now
 * @returns {Row[]}
 */
export function rows({ entries, items, divider, top, kept, id, me, connected, now }) {
  /** @type {Row[]} */
  const made = [];
  if (top) made.push({ kind: /** @type {any} */ (top), key: `${top} ${id}`, look: top, label: "" });
  /** @type {Entry | null} */
  let last = null;
  let parted = true;
  /** @type {number | null} */
  let latest = null;
  const dayBefore = (at) => {
    if (latest !== null && (at <= latest || day(at) === day(latest))) return; // a clock may go back, a day not
    latest = at;
    const label = dayLabel(at, now);
    made.push({ kind: "day", key: "day " + day(at), look: label, label });
    parted = true;
  };
  for (const entry of entries) {
    if (last && entry.seq > last.seq + 1) {
      made.push(hole(last.seq, entry.seq, kept(last.seq, entry.seq)));
      parted = true;
    }
    dayBefore(entry.at);
    if (divider !== null && entry.seq > divider && (!last || last.seq <= divider) && last) {
      made.push({ kind: "new", key: "new", look: "new", label: "New" });
      parted = true;
    }
    const head = parted || !together(/** @type {Entry} */ (last), entry);
    made.push({ kind: "entry", key: `entry ${entry.seq} ${id}`, look: `${head} ${me}`, entry, head });
    last = entry;
    parted = false;
  }
  for (const item of items) {
    const entry = {
      type: /** @type {const} */ ("said"),
      seq: 0,
      by: me,
      text: item.text,
      at: item.at,
      action: item.action,
    };
    dayBefore(item.at);
    const head = parted || !together(/** @type {Entry} */ (last), entry);
    const look = `${head} ${item.state} ${item.why} ${connected}`;
    made.push({ kind: "item", key: "item " + item.ref, look, item, head });
    last = entry;
    parted = false;
  }
  return made;
}

/** @returns {Row} */
function hole(after, next, kept) {
  const missing = next - after - 1;
  const label = `${missing.toLocaleString()} ${missing === 1 ? "message" : "messages"}`;
  return { kind: "hole", key: `hole ${next}`, look: `${after} ${kept}`, label, after, next, kept };
}

function together(last, entry) {
  return (
    last.type !== "retitled" &&
    entry.type !== "retitled" &&
    !last.action &&
    !entry.action &&
    fold(last.by) === fold(entry.by) &&
    entry.at - last.at < TOGETHER_MS
  );
}

/** @type {Map<number, string>} days by the hour: to make a date of every entry at every drawing is dear */
const days = new Map();

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
