/**
 * The protocol: who one is, where one is, and what is said, over connections that come and go.
 *
 * What a broken connection takes with it is put together again from three things: the token, a cursor and an
 * epoch for each room, and the outbox.
 */

import { Connection } from "./connection.js";
import { fold } from "./names.js";
import { Outbox } from "./outbox.js";
import { Questions } from "./questions.js";
import { Reading } from "./reading.js";
import { Room } from "./room.js";
import { Speaker } from "./speaker.js";

const TYPING_SHOWN_MS = 5_000;

export class Client {
  /**
   * @param {import("./state.js").State} state
   * @param {import("./tab.js").Tab} tab
   * @param {string} url
   * @param {(place: Room | import("./thread.js").Thread, entry: any) => void} live
   *   called for what others say now, as opposed to what is read up on
   */
  constructor(state, tab, url, live) {
    this.state = state;
    this.tab = tab;
    this.live = live;
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
    const send = (command) => this.connection.send(command);
    this.speaker = new Speaker(state, tab, this.outbox, send, (name) => this.join(name));
    /** @type {Set<string>} the rooms that were left here, and the server has not said so yet */
    this.leaving = new Set();
  }

  /** Take over what is left from before, and connect. */
  start() {
    this.speaker.adopt();
    this.connection.start();
  }

  /** Come in by this name. @param {string} name */
  callMe(name) {
    this.state.iAm({ name });
    this.state.refused = "";
    if (this.connection.socket) {
      this.connection.release();
      this.#hello();
    } else {
      this.connection.start();
    }
  }

  /**
   * Be in a room, now or as soon as that is possible.
   *
   * @param {string} name
   * @returns {Room}
   */
  join(name) {
    const room = this.state.room(name);
    if (this.state.connected) this.#enter(room);
    return room;
  }

  /** @param {Room | import("./thread.js").Thread} place */
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

  #hello() {
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

  /** Who comes back meanwhile waits: until the server has let them out it would say that they are in. */
  #goOut(room) {
    if (!room.joined && !room.entering) return;
    this.leaving.add(room.key);
    if (room.entering) return; // out again as soon as one is in
    const isOut = () => this.#isOut(room.key);
    this.questions.ask({ type: "leave", room: room.name }, isOut, isOut);
  }

  #isOut(key) {
    this.leaving.delete(key);
    const back = this.state.rooms.get(key);
    if (back && this.state.connected) this.#enter(back);
  }

  #enter(room) {
    if (room.joined || room.entering || this.leaving.has(room.key)) return;
    room.entering = true;
    const door = room.door;
    const entered = (answer) => {
      const read = this.state.storage.get("read." + room.key); // only now: other tabs read on meanwhile
      room.entered(answer, door.recent, read);
      if (this.state.rooms.get(room.key) !== room) return this.#goOut(room);
      if (!answer.resumed) {
        for (const item of this.outbox.items.values()) {
          if (item.place === room.key && item.state === "sent") this.outbox.discard(item.ref);
        }
        this.state.storage.set("read." + room.key, { epoch: room.epoch, seq: room.read });
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
      this.state.changed();
    });
  }

  #heard(event) {
    this.#take(event);
    this.state.changed();
  }

  #take(event) {
    if (event.ref === "hello" && event.type === "error") return this.#refused(event);
    if (this.speaker.answered(event) || this.questions.answered(event)) {
      if (event.type === "named") this.#named(event);
      return;
    }
    const room = event.room === undefined ? undefined : this.#roomOf(event.room);
    switch (event.type) {
      case "welcome":
        return this.#welcomed(event);
      case "said":
      case "retitled":
        return room && this.#entry(room, event);
      case "whispered":
        return this.#whispered(event);
      case "presence":
        return room?.changed(event);
      case "members":
        return room?.listed(event, false);
      case "typing":
        return room && this.#typing(room, event.by);
      case "gap":
        return room?.skip(event);
      case "named":
        return this.#named(event);
      case "error":
        return this.state.say(event.detail);
    }
  }

  #roomOf(name) {
    const room = this.state.rooms.get("#" + fold(name));
    return room?.joined ? room : undefined;
  }

  #welcomed(event) {
    this.state.iAm({ name: event.name, token: event.token });
    Object.assign(this.state, { kept: event.kept, features: event.features, refused: "" });
    this.state.text_bytes = event.limits.text_bytes;
    this.connection.welcomed(event.ping_s);
    const here = this.state.rooms.get(this.state.active);
    if (here) this.#enter(here); // what is looked at comes first
    for (const room of this.state.rooms.values()) if (room !== here) this.#enter(room);
    this.speaker.next();
  }

  #refused(error) {
    if (error.field === "token") {
      this.state.iAm({ token: "" }); // not one that this server takes: come as somebody new
      this.#hello();
      return;
    }
    this.state.refused = error.detail;
    this.connection.hold();
  }

  #named(event) {
    this.state.iAm({ name: event.name });
  }

  #entry(room, entry) {
    const others = !this.state.isMe(entry.by);
    const head = room.head;
    if (!room.add(entry)) return;
    if (!others && entry.type === "said") this.outbox.echoed(room.key, entry);
    if (!others && !room.unread(this.state.me.name).unread) room.divider = null; // nothing of it is news
    this.outbox.settle(room.key, room.cursor ?? 0);
    if (others && entry.seq > head) this.live(room, entry);
  }

  #whispered(event) {
    const mine = this.state.isMe(event.by);
    const thread = this.state.thread(mine ? event.to : event.by);
    thread.add(event);
    if (mine) this.outbox.echoed(thread.key, event);
    else this.live(thread, thread.entries.at(-1));
  }

  #typing(room, name) {
    if (this.state.isMe(name)) return;
    room.typing.set(name, Date.now() + TYPING_SHOWN_MS);
    setTimeout(() => {
      if ((room.typing.get(name) ?? Infinity) <= Date.now()) room.typing.delete(name);
      this.state.changed();
    }, TYPING_SHOWN_MS + 50);
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
