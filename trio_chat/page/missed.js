/**
 * Collect mentions of an outage, and show them in one notification.
 */

const QUIET_MS = 1_500; // after the last of them: the rooms are entered one by one
const LONGEST_MS = 10_000; // after the first of them
const KEPT_MAX = 100;

export class MissedMentions {
  /**
   * @param {(missed: {room: import("./room.js").Room, entry: any}[]) => void} show
   *   called with the mentions not seen meanwhile, oldest first
   */
  constructor(show) {
    this.show = show;
    /** @type {{room: import("./room.js").Room, entry: any}[]} */
    this.missed = [];
    /** @type {any} */ this.quiet = 0;
    /** @type {any} */ this.longest = 0;
  }

  /** @param {import("./room.js").Room} room  @param {import("./room.js").Entry} entry */
  add(room, entry) {
    this.missed.push({ room, entry });
    if (this.missed.length > KEPT_MAX) this.missed.shift();
    clearTimeout(this.quiet);
    this.quiet = setTimeout(() => this.#tell(), QUIET_MS);
    this.longest ||= setTimeout(() => this.#tell(), LONGEST_MS);
  }

  /** Drop the mentions: another server is here. */
  clear() {
    clearTimeout(this.quiet);
    clearTimeout(this.longest);
    this.longest = 0;
    this.missed = [];
  }

  #tell() {
    const unseen = this.missed.filter(({ room, entry }) => room.mentions.includes(entry.seq));
    this.clear();
    unseen.sort((one, other) => one.entry.at - other.entry.at);
    if (unseen.length) this.show(unseen);
  }
}
