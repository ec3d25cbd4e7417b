/**
 * A room as one session sees it: the loaded entries, the cursor behind them, and the members.
 *
 * Entries arrive in two ways: live, behind the cursor, and in pages of history. They are kept by number, each once;
 * missing numbers are a gap, and no other field records it.
 *
 * Reading to the end clears the count of what is unread. A mention is cleared only once it was on the screen: their
 * numbers are in `mentions`, and each entry behind `scanned` is still to be looked at for one.
 *
 * @typedef {{type: "said" | "retitled" | "whispered", seq: number, at: number, by: string, text: string,
 *   action?: boolean, to?: string, identity?: number}} Entry
 * @typedef {{epoch: string, seq: number, mentions?: number[], scanned?: number}} ReadMark  what a browser keeps of a
 *   room: the last entry that was read; the unseen mentions, and up to which entry they are known
 *
 * `identity`: see identity.js.
 */

import { Identities } from "./identity.js";
import { fold, roomKey } from "./names.js";
import { PresenceLog } from "./presence_log.js";
import { mentions } from "./text.js";

/** How many of the newest entries are asked for on entering, and at most on coming back. */
const RECENT = 60;
const RECENT_BACK = 200;

const ENTRIES_MAX = 5_000; // beyond it the oldest are dropped; history returns them
const ENTRIES_CUT = 1_000;
const UNREAD_MAX = 100; // counted no further: "99+" is all that is shown
const MENTIONS_MAX = 100; // unseen ones, the newest

export class Room {
  /** @param {string} name  as typed, until the server sends its spelling */
  constructor(name) {
    this.key = roomKey(name);
    this.name = name;
    this.joined = false;
    /** Whether the answer to a join is awaited. */
    this.entering = false;
    this.epoch = "";
    this.first = 1;
    this.head = 0;
    /** @type {number | null} the last live entry; null before the room was first entered */
    this.cursor = null;
    this.topic = "";
    /** @type {Entry[]} ascending */
    this.entries = [];
    /** @type {{after: number, next: number}[]} ranges that the server no longer keeps */
    this.lost = [];
    /** Whether nothing older than the first of the entries is kept. */
    this.begun = false;
    /** Whether this history is another than the one that was shown here before. */
    this.anew = false;
    this.read = 0;
    /** @type {number[]} the mentions that were not on the screen yet, ascending */
    this.mentions = [];
    this.scanned = 0;
    /** @type {number | null} the "new" line stands behind this entry */
    this.divider = null;
    this.here = 0;
    /** @type {Set<string> | null} null until asked */
    this.members = null;
    this.membersMore = false;
    this.membersVersion = 0;
    /** Whether a notice was truncated: some arrivals or departures are unnamed. */
    this.membersStale = false;
    this.identities = new Identities();
    this.presence = new PresenceLog();
    /** @type {Map<string, any>} members shown as typing, with the timers that end it */
    this.typing = new Map();
    /** @type {string} why the room was not entered */
    this.why = "";
    /** Whether the server will never let one in, as far as it says. */
    this.refused = false;
  }

  /** Return how to join: at the end, or behind the loaded entries. */
  get door() {
    return this.cursor === null
      ? { recent: RECENT }
      : { recent: RECENT_BACK, limit: RECENT_BACK, after: this.cursor, epoch: this.epoch };
  }

  /**
   * Handle the answer to a join.
   *
   * @param {import("./events.js").RoomAnswer} answer  the `room` event
   * @param {number} recent  how many were asked for
   * @param {ReadMark | null} read  what this browser remembers to have shown
   */
  entered(answer, recent, read) {
    Object.assign(this, {
      name: answer.room,
      topic: answer.topic,
      here: answer.members,
      joined: true,
      entering: false,
      why: "",
      refused: false,
    });
    this.first = answer.first;
    this.members = null; // presence changes were missed
    this.membersVersion++;
    this.identities.enter(answer.head, answer.resumed);
    if (!answer.resumed) {
      this.presence.clear();
      this.anew = this.entries.length > 0;
      Object.assign(this, { entries: [], lost: [], begun: false, divider: null });
      this.cursor = Math.max(0, Math.min(answer.head, Math.max(answer.first - 1, answer.head - recent)));
      this.#readFrom(answer, read);
    }
    this.epoch = answer.epoch;
    this.head = answer.head;
    if (this.read < answer.head) this.divider ??= this.read; // entries of the absence
    if (answer.head < answer.first) this.begun = true;
  }

  /**
   * Restore what this browser has read of this history. A room that was empty then may have another epoch now, and
   * all of it is unread.
   *
   * @param {import("./events.js").RoomAnswer} answer  the `room` event
   * @param {ReadMark | null} mark
   */
  #readFrom({ epoch, head }, mark) {
    const known = mark && mark.epoch === epoch && mark.seq <= head;
    this.read = known ? mark.seq : mark?.seq === 0 ? 0 : head;
    const unseen = known && Array.isArray(mark.mentions) ? mark.mentions : [];
    this.mentions = unseen.filter((seq) => Number.isInteger(seq) && seq >= this.first && seq <= head);
    this.mentions.splice(0, this.mentions.length - MENTIONS_MAX);
    const scanned = known ? mark.scanned : undefined;
    this.scanned = Number.isInteger(scanned) ? Math.min(head, Number(scanned)) : this.read;
  }

  /** Return the state of the room to store in the browser. @returns {ReadMark} */
  get mark() {
    return { epoch: this.epoch, seq: this.read, mentions: this.mentions, scanned: this.scanned };
  }

  /**
   * Add an entry, new or from the absence.
   *
   * @param {Entry} entry
   * @param {string} [me]  the name to look for mentions of
   * @param {number} [now]
   * @returns {boolean} false if it was already loaded
   */
  add(entry, me = "", now = 0) {
    if (this.cursor !== null && entry.seq <= this.cursor) return false;
    this.identities.mark(entry, now);
    this.cursor = entry.seq;
    if (entry.seq > this.scanned) this.note(entry, me);
    if (entry.seq === this.scanned + 1) this.scanned = entry.seq;
    this.head = Math.max(this.head, entry.seq);
    if (entry.type === "retitled") this.topic = entry.text;
    this.typing.delete(entry.by);
    this.insert([entry]);
    if (this.entries.length > ENTRIES_MAX) {
      this.entries.splice(0, ENTRIES_CUT);
      this.presence.cut(this.entries[0].seq);
      this.begun = false;
    }
    return true;
  }

  /** Add a page of history. @param {Entry[]} entries  ascending */
  insert(entries) {
    for (const entry of entries) {
      const at = this.indexOf(entry.seq);
      if (this.entries[at]?.seq !== entry.seq) this.entries.splice(at, 0, entry);
    }
    if (this.entries.length && this.entries[0].seq <= this.first) this.begun = true;
  }

  /** @param {number} seq  @returns {number} the index of that entry, or of the one behind it */
  indexOf(seq) {
    let low = 0;
    let high = this.entries.length;
    if (high && this.entries[high - 1].seq < seq) return high; // nearly always
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.entries[middle].seq < seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Record entries that the server does not send unasked. @param {{after: number, next: number, kept: boolean}} gap */
  skip(gap) {
    if (this.cursor !== null) this.cursor = Math.max(this.cursor, gap.next - 1);
    if (!gap.kept) this.forgotten(gap.after, gap.next);
  }

  /** Record that the entries between two numbers are no longer kept. @param {number} after  @param {number} next */
  forgotten(after, next) {
    this.lost.push({ after, next });
  }

  /**
   * @param {number} after
   * @param {number} next
   * @returns {boolean} whether the history may have the entries between
   */
  kept(after, next) {
    return next > this.first && !this.lost.some((gap) => gap.after <= after && gap.next >= next);
  }

  /**
   * @param {import("./presence_log.js").Notice} notice  `presence`
   * @param {string} [me]
   * @param {number} [now]
   */
  changed(notice, me = "", now = 0) {
    this.identities.changed(notice, now);
    this.presence.add(notice, this.cursor ?? 0, me, now);
    this.here = notice.members;
    this.membersStale ||= Boolean(notice.more);
    if (!this.members) return;
    for (const { name } of notice.left ?? []) this.members.delete(name);
    for (const { name } of notice.renamed ?? []) this.members.delete(name);
    for (const { to } of notice.renamed ?? []) this.members.add(to);
    for (const name of notice.joined ?? []) this.members.add(name);
    this.membersVersion++;
  }

  /** @param {import("./events.js").MembersPage} page  `members`  @param {boolean} further  whether it continues an earlier page */
  listed(page, further) {
    this.members = further && this.members ? this.members : new Set();
    const before = this.members.size;
    for (const name of page.names) this.members.add(name);
    this.here = page.count;
    this.membersMore = page.more && this.members.size > before; // a page that adds no member is the last
    this.membersStale = false;
    this.membersVersion++;
  }

  /**
   * Add an entry to the unseen mentions if it mentions this name.
   *
   * @param {Entry} entry
   * @param {string} me
   * @returns {boolean} whether it is a new mention
   */
  note(entry, me) {
    const { seq } = entry;
    if (entry.type !== "said" || fold(entry.by) === fold(me)) return false;
    if (this.mentions.includes(seq) || !mentions(entry.text, me)) return false;
    this.mentions.push(seq);
    this.mentions.sort((a, b) => a - b);
    if (this.mentions.length > MENTIONS_MAX) this.mentions.shift();
    return true;
  }

  /** Clear mentions that were shown. @param {number} from  @param {number} to  @returns {boolean} whether any was */
  saw(from, to) {
    const left = this.mentions.filter((seq) => seq < from || seq > to);
    const any = left.length < this.mentions.length;
    this.mentions = left;
    return any;
  }

  /**
   * Count what is unread, the unseen mentions, and what is unread without them.
   *
   * @param {string} me
   * @returns {{unread: number, mentions: number, others: number}}
   */
  unread(me) {
    const mentioned = new Set(this.mentions.filter((seq) => seq > this.read));
    let others = 0;
    let n = this.entries.length - 1;
    for (; n >= 0 && this.entries[n].seq > this.read && others < UNREAD_MAX; n--) {
      const entry = this.entries[n];
      if (entry.type === "said" && entry.by !== me && !mentioned.has(entry.seq)) others++;
    }
    if (n < 0 && this.entries.length) {
      const oldest = this.entries[0].seq;
      const known = this.mentions.filter((seq) => seq > this.read && seq < oldest).length;
      others += Math.max(0, oldest - 1 - this.read - known);
    }
    others = Math.min(others, UNREAD_MAX);
    return { unread: Math.min(others + mentioned.size, UNREAD_MAX), mentions: this.mentions.length, others };
  }

  /** Mark all entries as read. @returns {boolean} whether that changes anything */
  seen() {
    if (this.cursor === null || this.read >= this.cursor) return false;
    this.read = this.cursor;
    return true;
  }
}
