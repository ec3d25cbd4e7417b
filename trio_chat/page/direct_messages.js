/**
 * Direct messages (whispers) with one person, with the interface of a room, so that the same code shows them.
 *
 * The server stores none of them, and neither does the page: they are numbered on arrival, and lost on reload.
 */

import { Identities } from "./identity.js";
import { whisperKey } from "./names.js";

const WHISPERS_MAX = 1_000;

export class DirectMessages {
  /** @param {string} name  the other person */
  constructor(name) {
    this.key = whisperKey(name);
    this.name = name;
    this.joined = true;
    this.entering = false;
    this.topic = "";
    /** @type {import("./room.js").Entry[]} */
    this.entries = [];
    this.cursor = 0;
    this.read = 0;
    /** @type {number | null} */
    this.divider = null;
    this.begun = true;
    this.anew = false;
    this.typing = new Map();
    this.why = "";
    this.identities = new Identities();
  }

  /** @param {import("./events.js").Whispered | import("./room.js").Entry} whispered  the event  @param {number} [now] */
  add(whispered, now = 0) {
    const entry = { ...whispered, seq: ++this.cursor };
    this.identities.mark(entry, now);
    this.entries.push(entry);
    if (this.entries.length > WHISPERS_MAX) this.entries.shift();
  }

  /** @param {number} seq  @returns {number} */
  indexOf(seq) {
    return this.entries.length ? Math.max(0, Math.min(seq - this.entries[0].seq, this.entries.length)) : 0;
  }

  kept() {
    return false;
  }

  /** Count whispers; each whisper is a mention. @param {string} me */
  unread(me) {
    const unread = this.entries.filter((entry) => entry.seq > this.read && entry.by !== me).length;
    return { unread, mentions: unread, others: 0 };
  }

  seen() {
    if (this.read >= this.cursor) return false;
    this.read = this.cursor;
    return true;
  }
}
