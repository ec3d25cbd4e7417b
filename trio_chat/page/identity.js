/**
 * Decide which entries of one name are by the same person, as far as the page can know.
 *
 * The wire gives the author of an entry as a name, and a name may pass from one person to another. Each entry
 * gets an identity number: entries of one name and one number are by one person. The number of a name changes
 * with every notice that names it. Where the page has seen no notices (in history, during an outage, when a
 * notice was cut) the number changes once for all names.
 *
 * Notices and entries arrive in no fixed order among each other: a notice may be delayed while the server batches
 * changes, and an entry while the journal commits. So while a name has just passed from one
 * person to another, each of its entries gets a number of its own.
 */

import { fold } from "./names.js";

const LATE_MS = 2_000; // the server batches for 20 ms, and for 250 ms in large rooms
const NAMES_MAX = 1_000; // beyond it all are forgotten at once, and every number changes
const RECENT_MAX = 50; // entries that a late notice may still concern

/** The number of all entries that were fetched as history. */
const HISTORY = 0;

/**
 * @typedef {{number: number, freedAt: number, unsureUntil: number}} Holder
 * @typedef {{by: string, seq: number, identity?: number}} Authored
 */

export class Identities {
  constructor() {
    this.count = HISTORY;
    /** The number of names that no notice has named since it was set. */
    this.base = ++this.count;
    /** The number of entries up to `head`, which are sent again after a join. */
    this.replayed = HISTORY;
    this.head = 0;
    /** @type {Map<string, Holder>} */
    this.holders = new Map();
    /** @type {{entry: Authored, at: number}[]} */
    this.recent = [];
  }

  /**
   * Begin a stay in a room: earlier holders of a name are unknown.
   *
   * @param {number} head  the newest entry that was there already
   * @param {boolean} resumed  whether entries of an earlier stay are kept
   */
  enter(head, resumed) {
    this.head = head;
    this.replayed = resumed ? ++this.count : HISTORY;
    this.unseen();
  }

  /** Record that changes were missed. */
  unseen() {
    this.base = ++this.count;
    this.holders.clear();
    this.recent = [];
  }

  /** Assign a number to a new entry. @param {Authored} entry  @param {number} now */
  mark(entry, now) {
    if (entry.seq <= this.head) {
      entry.identity = this.replayed;
      return;
    }
    const holder = this.holders.get(fold(entry.by));
    const unsure = holder !== undefined && now < holder.unsureUntil;
    entry.identity = unsure ? ++this.count : (holder?.number ?? this.base);
    this.recent.push({ entry, at: now });
    if (this.recent.length > RECENT_MAX) this.recent.shift();
  }

  /** @param {string} name  @returns {number} the number that a new entry of this name would get */
  of(name) {
    return this.holders.get(fold(name))?.number ?? this.base;
  }

  /** @param {import("./presence_log.js").Notice} notice  @param {number} now */
  changed({ joined = [], left = [], renamed = [], more }, now) {
    if (more) this.unseen();
    const others = renamed.filter(({ name, to }) => fold(name) !== fold(to));
    const freed = [...left, ...others].map(({ name }) => fold(name));
    const taken = [...others.map(({ to }) => to), ...joined].map(fold);
    if (this.holders.size + freed.length + taken.length > NAMES_MAX) this.unseen();
    for (const name of freed) this.#renumber(name).freedAt = now;
    for (const name of taken) {
      const holder = this.#renumber(name);
      if (now - holder.freedAt > LATE_MS) continue;
      holder.unsureUntil = now + LATE_MS;
      this.#separate(name, now);
    }
  }

  /** @param {string} name  folded  @returns {Holder} */
  #renumber(name) {
    const holder = this.holders.get(name) ?? { number: 0, freedAt: -Infinity, unsureUntil: -Infinity };
    holder.number = ++this.count;
    this.holders.set(name, holder);
    return holder;
  }

  /** Give each recent entry of a name a number of its own. @param {string} name  @param {number} now */
  #separate(name, now) {
    for (const { entry, at } of this.recent) {
      if (now - at <= LATE_MS && fold(entry.by) === name) entry.identity = ++this.count;
    }
  }
}
