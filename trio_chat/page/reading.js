/**
 * Queries: the members of a room, the open rooms, the history.
 */

const PAGE = 100;
const FOUND = 30;
const SCAN_PAGE = 200;
const SCAN_PAGES = 5; // the newest pages of one absence; a search finds older mentions

export class Reading {
  /**
   * @param {import("./state.js").State} state
   * @param {import("./questions.js").Questions} questions
   */
  constructor(state, questions) {
    this.state = state;
    this.questions = questions;
    /** @type {Set<string>} the requests in flight, so that each is sent once */
    this.asking = new Set();
    /** @type {Promise<void>} the scans of rooms for mentions, one after the other */
    this.scans = Promise.resolve();
  }

  /** @returns {Promise<{room: string, members: number, topic: string}[]>} the rooms that have members */
  async openRooms() {
    return (await this.questions.answer({ type: "rooms" })).rooms;
  }

  /** @param {string} text  @param {string} room  empty for all  @param {string} [next] */
  search(text, room, next) {
    const within = { ...(room ? { room } : {}), ...(next ? { next } : {}) };
    return this.questions.answer({ type: "search", text, limit: FOUND, ...within });
  }

  /** Request the members of a room: the first page, or the next page. @param {import("./room.js").Room} room */
  who(room, further = false) {
    const after = further && room.members ? [...room.members].sort(byCodePoint).at(-1) : undefined;
    const listed = (/** @type {import("./events.js").MembersPage} */ page) => room.listed(page, further);
    this.#once("who " + room.key, { type: "who", room: room.name, ...(after ? { after } : {}) }, listed);
  }

  /**
   * Fetch entries below a number.
   *
   * @param {import("./room.js").Room} room
   * @param {number} before
   * @param {number} [after]  for a gap, the entry before it
   */
  history(room, before, after = 0) {
    const epoch = room.epoch;
    const limit = Math.min(PAGE, before - after - 1);
    const command = { type: /** @type {const} */ ("history"), room: room.name, before, limit };
    this.#once(
      `history ${room.key} ${before}`,
      command,
      (/** @type {import("./events.js").HistoryPage} */ page) => {
        if (room.epoch !== epoch) return;
        if (!page.entries.length) {
          if (after) room.forgotten(after, before);
          else room.begun = true;
          return;
        }
        const index = room.indexOf(before);
        const known = room.entries.length;
        room.insert(page.entries);
        const further = page.more && room.entries.length > known; // a page without new entries ends the scan
        if (!further && index === 0) room.begun = true;
        if (!page.more && after) room.forgotten(after, page.entries[0].seq);
      },
    );
  }

  /**
   * Fetch the entries around a number, so that the entry can be shown.
   *
   * @param {import("./room.js").Room} room
   * @param {number} seq
   */
  async around(room, seq) {
    const page = await this.questions.answer({
      type: "history",
      room: room.name,
      before: seq + PAGE / 2,
      limit: PAGE,
    });
    room.insert(page.entries);
    this.state.changed();
  }

  /**
   * Search for mentions among entries that are not loaded. The entries are not kept: there may be many, in many rooms.
   *
   * @param {import("./room.js").Room} room
   * @param {number} after
   * @param {number} next  the entry above them
   * @param {(entry: import("./room.js").Entry) => void} found  called for each entry
   */
  scan(room, after, next, found) {
    const failed = () => {}; // without a connection: the next time the room is entered
    this.scans = this.scans.then(() => this.#scan(room, after, next, found)).catch(failed);
  }

  /**
   * Do the work of `scan`.
   *
   * @param {import("./room.js").Room} room
   * @param {number} after
   * @param {number} next
   * @param {(entry: import("./room.js").Entry) => void} found
   */
  async #scan(room, after, next, found) {
    const { epoch } = room;
    for (let pages = 0; pages < SCAN_PAGES && next > after + 1; pages++) {
      const limit = Math.min(SCAN_PAGE, next - after - 1);
      /** @type {import("./events.js").HistoryPage} */
      const page = await this.questions.answer({ type: "history", room: room.name, before: next, limit });
      if (room.epoch !== epoch) return;
      const entries = page.entries.filter(({ seq }) => seq > after && seq < next);
      for (const entry of entries) found(entry);
      if (!entries.length || !page.more) break;
      next = entries[0].seq;
    }
    room.scanned = Math.max(room.scanned, room.cursor ?? 0);
    this.state.keepMark(room);
    this.state.changed();
  }

  /**
   * @param {string} what
   * @param {import("./questions.js").Question} command
   * @param {(page: any) => void} done
   */
  #once(what, command, done) {
    if (this.asking.has(what)) return;
    this.asking.add(what);
    const over = () => {
      this.asking.delete(what);
      this.state.changed();
    };
    this.questions.ask(
      command,
      (answer) => {
        done(answer);
        over();
      },
      over,
    );
  }
}

/** @param {string} one  @param {string} other */
function byCodePoint(one, other) {
  const [a, b] = [Array.from(one), Array.from(other)];
  for (let n = 0; n < a.length && n < b.length; n++) {
    if (a[n] !== b[n]) return Number(a[n].codePointAt(0)) - Number(b[n].codePointAt(0));
  }
  return a.length - b.length;
}
