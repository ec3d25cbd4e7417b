/**
 * The protocol client: identity, rooms and messages, over connections that may break.
 *
 * After a broken connection the session is restored from three things: the token, a cursor and an epoch for each
 * room, and the outbox.
 */

import { Connection } from "./connection.js";
import { bounded } from "./delays.js";
import { fold, whisperKey } from "./names.js";
import { Outbox } from "./outbox.js";
import { Questions } from "./questions.js";
import { Reading } from "./reading.js";
import { Room } from "./room.js";
import { Speaker } from "./speaker.js";

const TYPING_SHOWN_MS = 5_000;
const TYPING_MAX = 20; // names of a room; three or more are shown as "several"
const TEXT_BYTES = 4_096;
const TEXT_BYTES_MAX = 1_048_576;
const FOR_NOW = new Set(["rate_limited", "unavailable", "already_in_room"]); // errors after which a join is retried
const MOVED = "Another server answers here now. What was not sent to the one before is kept for it";

export class Client {
  /**
   * @param {import("./state.js").State} state
   * @param {import("./tab.js").Tab} tab
   * @param {string} url
   * @param {import("./namespace.js").Namespace} namespace  whose storage the state has
   * @param {{live: (place: Room | import("./direct_messages.js").DirectMessages, entry: any) => void,
   *   moving: () => void, missed: (room: Room, entry: any) => void, refused: (room: Room, detail: string) => void}} above
   *   `live` is called for new entries of others (not for entries that are caught up on), `missed` for a mention
   *   among the entries that are caught up on, `moving` when another server has answered, while the storage is
   *   still that of the previous server, and `refused` for a room that the server refuses to enter
   */
  constructor(state, tab, url, namespace, above) {
    this.state = state;
    this.tab = tab;
    this.namespace = namespace;
    this.above = above;
    this.seen = false; // whether a server has accepted this page
    /** Whether the server has changed since the last welcome, and the page has not shown that yet. */
    this.moved = false;
    this.outbox = new Outbox(state.storage, tab.name);
    this.connection = new Connection(url, {
      opened: () => this.#hello(),
      heard: (event) => this.#heard(event),
      closed: () => this.#closed(),
      changed: () => this.#status(),
    });
    this.questions = new Questions(
      (command) => this.connection.send(command),
      () => this.outbox.ref(),
    );
    this.reading = new Reading(state, this.questions);
    const send = (/** @type {object} */ command) => this.connection.send(command);
    this.speaker = new Speaker(state, tab, this.outbox, send, (name) => this.join(name));
    /** @type {Set<string>} the rooms that were left here and that the server has not confirmed yet */
    this.leaving = new Set();
  }

  /** Restore the stored session, and connect. */
  start() {
    this.speaker.adopt();
    this.connection.start();
  }

  /** Sign in with this name. @param {string} name */
  callMe(name) {
    this.state.me.name = name; // stored with the welcome: until then the name may be for another server
    this.state.refused = "";
    if (this.connection.socket) {
      this.connection.release();
      this.#hello();
    } else {
      this.connection.start();
    }
  }

  /**
   * Join a room, now or as soon as possible.
   *
   * @param {string} name
   * @returns {Room}
   */
  join(name) {
    const room = this.state.room(name);
    if (this.state.connected) this.#enter(room);
    return room;
  }

  /** @param {Room | import("./direct_messages.js").DirectMessages} place */
  leave(place) {
    if (this.outbox.pending(place.key)) {
      this.state.say("Something here is not sent yet. Wait for it, or discard it first.");
      return;
    }
    if (place instanceof Room && this.state.connected) this.#goOut(place);
    this.state.forget(place.key);
    this.state.changed();
  }

  /** @param {string} name */
  rename(name) {
    return this.questions.answer({ type: "rename", name });
  }

  /** @param {Room} room  @param {string} text */
  retitle(room, text) {
    return this.questions.answer({ type: "topic", room: room.name, text });
  }

  /**
   * Handle that another tab has learned which server is here. A page that is connected or connecting learns it itself.
   *
   * @returns {boolean} whether the page follows that server now
   */
  heardElsewhere() {
    const { refused } = this.state;
    if ((this.namespace.id !== null && !refused) || !this.#follow()) return false;
    if (refused) this.callMe(this.state.me.name);
    return true;
  }

  /** Switch to the storage of the server that was last seen at this address, if it is another server. */
  #follow() {
    const { namespace } = this;
    const { latest } = namespace;
    if (latest === null || latest === namespace.id) return false;
    const known = namespace.id !== null;
    if (known) this.#putAway();
    namespace.follow(); // if no server was known, the other tab has moved the stored data to its present place
    this.moved ||= known;
    if (known) this.#takeOut();
    return true;
  }

  #takeOut() {
    this.state.load();
    this.speaker.adopt();
  }

  #hello() {
    this.#follow(); // another tab may have reconnected first
    const { name, token } = this.state.me;
    this.connection.send({
      type: "hello",
      version: 1,
      name,
      agent: "trio-chat page",
      ref: "hello",
      ...(token ? { token } : {}),
    });
  }

  /** Leave a room. A new join waits for the server's `left`: before it, the answer would be `already_in_room`. */
  #goOut(/** @type {Room} */ room) {
    if (!room.joined && !room.entering) return;
    this.leaving.add(room.key);
    if (room.entering) return; // `left` is sent as soon as the join is answered
    const isOut = () => this.#isOut(room.key);
    this.questions.ask({ type: "leave", room: room.name }, isOut, isOut);
  }

  /** @param {string} key */
  #isOut(key) {
    this.leaving.delete(key);
    const back = this.state.rooms.get(key);
    if (back && this.state.connected) this.#enter(back);
  }

  /** @param {Room} room */
  #enter(room) {
    if (room.joined || room.entering || this.leaving.has(room.key)) return;
    room.entering = true;
    const door = room.door;
    const entered = (/** @type {import("./events.js").RoomAnswer} */ answer) => {
      const read = this.state.storage.get("read." + room.key); // read only now: other tabs may have read further
      room.entered(answer, door.recent, read);
      if (this.state.rooms.get(room.key) !== room) return this.#goOut(room);
      if (!answer.resumed) {
        for (const item of this.outbox.items.values()) {
          if (item.place === room.key && item.state === "sent") this.outbox.discard(item.ref);
        }
        this.state.keepMark(room);
        this.#scan(room, room.scanned, (room.cursor ?? 0) + 1);
      }
      this.state.keepRooms();
      this.speaker.next();
    };
    this.questions.ask({ type: "join", room: room.name, ...door }, entered, (error) => {
      room.entering = false;
      if (error.code === "lost") return;
      if (this.state.rooms.get(room.key) !== room) return this.#isOut(room.key);
      room.why = error.detail;
      for (const item of this.outbox.in(room.key)) this.outbox.failed(item.ref, error.detail);
      if (!FOR_NOW.has(error.code)) this.#isRefused(room);
      this.state.changed();
    });
  }

  /** Forget a room that the server refuses, unless the outbox has a line for it that must be shown. */
  #isRefused(/** @type {Room} */ room) {
    room.refused = true;
    this.state.keepRooms();
    if (!this.outbox.pending(room.key)) this.above.refused(room, room.why);
  }

  /** @param {import("./events.js").Event} event */
  #heard(event) {
    this.#take(event);
    this.state.changed();
  }

  /** @param {import("./events.js").Event} event */
  #take(event) {
    if (event.type === "error" && event.ref === "hello") return this.#refused(event);
    if (this.speaker.answered(event) || this.questions.answered(event)) {
      if (event.type === "named") this.#named(event);
      return;
    }
    const room = "room" in event && event.room !== undefined ? this.#roomOf(event.room) : undefined;
    switch (event.type) {
      case "welcome":
        return this.#welcomed(event);
      case "said":
      case "retitled":
        return room && this.#entry(room, event);
      case "whispered":
        return this.#whispered(event);
      case "presence":
        return room && this.#presence(room, event);
      case "members":
        room?.identities.unseen(); // the server sends it unasked in place of notices
        return room?.listed(event, false);
      case "typing":
        return room && this.#typing(room, event.by);
      case "gap":
        return room && this.#skipped(room, event);
      case "named":
        return this.#named(event);
      case "error":
        return this.state.say(event.detail);
    }
  }

  /** @param {string} name */
  #roomOf(name) {
    const room = this.state.rooms.get("#" + fold(name));
    return room?.joined ? room : undefined;
  }

  /** @param {import("./events.js").Welcome} event */
  #welcomed(event) {
    if (!this.#isExpected(event)) return;
    this.seen = true;
    this.state.iAm({ name: event.name, token: event.token });
    Object.assign(this.state, { kept: event.kept, features: event.features, refused: "" });
    this.state.text_bytes = bounded(event.limits?.text_bytes, 1, TEXT_BYTES_MAX, TEXT_BYTES);
    this.connection.welcomed(event.ping_s);
    if (this.moved) this.state.say(MOVED);
    this.moved = false;
    for (const thread of this.state.threads.values()) thread.identities.unseen();
    const here = this.state.rooms.get(this.state.active);
    if (here) this.#enter(here); // the shown room is entered first
    for (const room of this.state.rooms.values()) if (room !== here) this.#enter(room);
    this.speaker.next();
  }

  /**
   * Return whether a welcome is from the server whose storage the hello was made from. If not, send nothing more,
   * and say hello again with the data stored for that server.
   *
   * @param {import("./events.js").Welcome} welcome
   * @returns {boolean}
   */
  #isExpected(welcome) {
    const other = this.namespace.isOther(welcome.server_id);
    if (other) this.#putAway();
    if (this.namespace.identify(welcome.server_id, this.state.me.token)) return true;
    if (!other) this.#putAway();
    this.moved ||= other;
    this.#takeOut();
    this.connection.restart();
    return false;
  }

  #putAway() {
    this.above.moving();
    this.speaker.putAway();
  }

  /** @param {import("./events.js").ErrorEvent} error */
  #refused(error) {
    if (error.field === "token" && this.state.me.token) {
      this.state.me.token = ""; // this server rejects the token: join as a new user
      this.#hello();
      return;
    }
    if (this.namespace.latest !== this.namespace.id) {
      this.#hello(); // another tab has seen another server here: the name may be taken by this user
      return;
    }
    this.state.refused = error.detail;
    this.connection.hold();
  }

  /** @param {import("./events.js").Named} event */
  #named(event) {
    this.state.iAm({ name: event.name });
  }

  /** @param {Room} room  @param {import("./events.js").Entry} entry */
  #entry(room, entry) {
    const others = !this.state.isMe(entry.by);
    const { head, scanned } = room;
    const known = room.mentions.includes(entry.seq);
    if (!room.add(entry, this.state.me.name, Date.now())) return;
    const mentioned = !known && entry.seq > scanned && room.mentions.includes(entry.seq);
    if (mentioned) this.state.keepMark(room);
    if (!others && entry.type === "said") this.outbox.echoed(room.key, entry);
    if (!others && !room.unread(this.state.me.name).unread) room.divider = null; // all of it has been read
    this.outbox.settle(room.key, room.cursor ?? 0);
    if (others && entry.seq > head) this.above.live(room, entry);
    else if (mentioned) this.above.missed(room, entry);
  }

  /** @param {Room} room  @param {import("./events.js").Gap} gap */
  #skipped(room, gap) {
    room.skip(gap);
    if (gap.kept) this.#scan(room, Math.max(gap.after, room.scanned), gap.next);
  }

  /** Search for mentions among entries that the server does not send unasked. */
  #scan(/** @type {Room} */ room, /** @type {number} */ after, /** @type {number} */ next) {
    if (next <= after + 1) return;
    this.reading.scan(room, after, next, (entry) => {
      if (!room.mentions.includes(entry.seq) && room.note(entry, this.state.me.name))
        this.above.missed(room, entry);
    });
  }

  /** @param {Room} room  @param {import("./presence_log.js").Notice} notice */
  #presence(room, notice) {
    const now = Date.now();
    room.changed(notice, this.state.me.name, now);
    const { joined = [], left = [], renamed = [] } = notice;
    const named = [
      ...joined,
      ...left.map(({ name }) => name),
      ...renamed.flatMap(({ name, to }) => [name, to]),
    ];
    for (const key of new Set(named.map(whisperKey)))
      this.state.threads.get(key)?.identities.changed(notice, now);
  }

  /** @param {import("./events.js").Whispered} event */
  #whispered(event) {
    const mine = this.state.isMe(event.by);
    const thread = this.state.thread(mine ? event.to : event.by);
    thread.add(event, Date.now());
    if (mine) this.outbox.echoed(thread.key, event);
    else this.above.live(thread, thread.entries.at(-1));
  }

  /** @param {Room} room  @param {string} name */
  #typing(room, name) {
    if (this.state.isMe(name)) return;
    if (room.typing.size >= TYPING_MAX && !room.typing.has(name)) return;
    clearTimeout(room.typing.get(name));
    const end = () => {
      if (room.typing.get(name) === timer && room.typing.delete(name)) this.state.changed();
    };
    const timer = setTimeout(end, TYPING_SHOWN_MS);
    room.typing.set(name, timer);
  }

  #closed() {
    for (const room of this.state.rooms.values()) {
      room.joined = room.entering = false;
      room.typing.clear();
    }
    this.leaving.clear();
    this.outbox.lost();
    this.questions.lost();
  }

  #status() {
    this.state.status = this.connection.status;
    this.state.changed();
  }
}
