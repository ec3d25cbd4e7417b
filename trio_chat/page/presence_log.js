/**
 * Arrivals, departures and renames of a room, as the rows between the messages.
 *
 * All changes between two messages are one row. A row follows the number of an entry and is not an entry: it is not
 * counted, not searched, and lost when the page closes.
 *
 * @typedef {import("./events.js").Presence} Notice
 * @typedef {{name: string, first: "joined" | "left", last: "joined" | "left"}} Change
 * @typedef {{id: number, after: number, at: number, changes: Map<string, Change>,
 *   renames: {name: string, to: string}[], uncounted: Record<"joined" | "left" | "renamed", number>}} Group
 * @typedef {{name: string} | string} Part  of a line: a name, or the text between names
 */

import { fold } from "./names.js";

const GROUPS_MAX = 100; // rows of one room; beyond it the oldest is dropped
const NAMES_MAX = 30; // of one row, and as many renames; beyond it they are only counted
const NAMED_MAX = 3; // in one clause

/** @type {Record<string, string>} by the first and the last thing that a person did */
const VERBS = {
  "joined joined": " came in",
  "joined left": " came in and left",
  "left left": " left",
  "left joined": " left and came back",
};

export class PresenceLog {
  constructor() {
    this.count = 0;
    /** @type {Group[]} in their order, each behind another entry */
    this.groups = [];
  }

  /**
   * @param {Notice} notice
   * @param {number} after  the number of the entry before it
   * @param {string} me  whose own arrivals and departures are not shown
   * @param {number} now
   */
  add({ joined = [], left = [], renamed = [] }, after, me, now) {
    const others = (/** @type {string} */ name) => fold(name) !== fold(me);
    const arrivals = joined.filter(others);
    const departures = left.map(({ name }) => name).filter(others);
    if (!arrivals.length && !departures.length && !renamed.length) return;
    const group = this.#behind(after);
    group.at = now;
    for (const name of departures) note(group, name, "left");
    for (const rename of renamed) {
      if (group.renames.length < NAMES_MAX) group.renames.push(rename);
      else group.uncounted.renamed++;
    }
    for (const name of arrivals) note(group, name, "joined");
  }

  /** Forget the rows before an entry. @param {number} seq */
  cut(seq) {
    this.groups = this.groups.filter(({ after }) => after >= seq);
  }

  clear() {
    this.groups = [];
  }

  /** @param {number} after  @returns {Group} the row behind that entry, made if there is none */
  #behind(after) {
    const latest = this.groups.at(-1);
    if (latest?.after === after) return latest;
    /** @type {Group} */
    const group = {
      ...{ id: ++this.count, after, at: 0, changes: new Map(), renames: [] },
      uncounted: { joined: 0, left: 0, renamed: 0 },
    };
    this.groups.push(group);
    if (this.groups.length > GROUPS_MAX) this.groups.shift();
    return group;
  }
}

/** @param {Group} group  @param {string} name  @param {"joined" | "left"} what */
function note(group, name, what) {
  const key = fold(name);
  const change = group.changes.get(key);
  if (change) change.last = what;
  else if (group.changes.size < NAMES_MAX) group.changes.set(key, { name, first: what, last: what });
  else group.uncounted[what]++;
}

/** @param {Group} group  @returns {Part[]} the row's line */
export function line({ changes, renames, uncounted }) {
  /** @type {Map<string, string[]>} the names of each kind of change, in the order of their first */
  const kinds = new Map();
  for (const { name, first, last } of changes.values()) {
    const kind = `${first} ${last}`;
    const names = kinds.get(kind);
    if (names) names.push(name);
    else kinds.set(kind, [name]);
  }
  if (uncounted.left && !kinds.has("left left")) kinds.set("left left", []);
  if (uncounted.joined && !kinds.has("joined joined")) kinds.set("joined joined", []);
  /** @type {Record<string, number>} */
  const more = { "joined joined": uncounted.joined, "left left": uncounted.left };
  const clauses = [...kinds].map(([kind, names]) => [...listed(names, more[kind] ?? 0), VERBS[kind]]);
  if (renames.length) clauses.push(renamed(renames, uncounted.renamed));
  return clauses.flatMap((clause, n) => (n ? [" · ", ...clause] : clause));
}

/**
 * `ada`, `ada and bob`, `ada, bob and eve`, `ada, bob and 3 others`.
 *
 * @param {string[]} names
 * @param {number} more  names that are not known
 * @returns {Part[]}
 */
function listed(names, more) {
  const total = names.length + more;
  const shown = total > NAMED_MAX || more ? names.slice(0, NAMED_MAX - 1) : names;
  const rest = total - shown.length;
  const all = shown.map((name) => /** @type {Part[]} */ ([{ name }]));
  if (rest) all.push([others(rest, shown.length > 0)]);
  return enumerated(all);
}

/** @param {{name: string, to: string}[]} renames  @param {number} more  @returns {Part[]} */
function renamed(renames, more) {
  const shown = renames.slice(0, renames.length + more > NAMED_MAX ? NAMED_MAX - 1 : NAMED_MAX);
  const rest = renames.length + more - shown.length;
  const all = shown.map(({ name, to }) => /** @type {Part[]} */ ([{ name }, " is now ", { name: to }]));
  if (rest) all.push([`${others(rest, true)} took another name`]);
  return enumerated(all);
}

/** @param {Part[][]} all  @returns {Part[]} with commas, and an `and` before the last */
function enumerated(all) {
  return all.flatMap((each, n) => (n === 0 ? each : [n === all.length - 1 ? " and " : ", ", ...each]));
}

/** @param {number} count  @param {boolean} behind  whether names stand before it */
function others(count, behind) {
  const many = count.toLocaleString();
  if (behind) return `${many} ${count === 1 ? "other" : "others"}`;
  return `${many} ${count === 1 ? "person" : "people"}`;
}
