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

const TYPING_EVERY_MS = 2_500;
const TYPING_SHOWN_MS = 5_000;

export class Client {
  /**
   * @param {import("./state.js").State} state
   * @param {import("./tab.js").Tab} tab
   * @param {string} url
   * @param {(place: import("./room.js").Room | import("./thread.js").Thread, entry: any) => void} live
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
    this.questions = new Questions((command) => this.connection.send(command), () => this.outbox.ref());
    this.reading = new Reading(state, this.questions);
    this.pausedUntil = 0;
    this.typedAt = 0;
  }

  /** Take over what is left from before, and connect. */
  start() {
    this.adopt();
    this.connection.start();
  }

  /** Lines that a closed tab had not sent are this one's to send. */
  adopt() {
    this.tab.live(Date.now());
    if (!this.outbox.adopt((load) => this.tab.mayTake(load, Date.now()))) return;
    for (const item of this.outbox.items.values()) {
      if (item.kind === "whisper") this.state.thread(item.to);
      else this.join(item.to);
    }
    this.#pump();
    this.state.changed();
  }

  /** Come in by this name. @param {string} name */
  callMe(name) {
    this.state.iAm({ name });
    this.state.refused = "";
    if (this.connection.socket) this.#hello();
    else this.connection.start();
  }

  /** Be in a room, now or as soon as that is possible. @param {string} name  @returns {Room} */
  join(name) {
    const room = this.state.room(name);
    if (!room.joined && this.state.connected) this.#enter(room);
    return room;
  }

  /** @param {Room} room */
  leave(room) {
    if (this.outbox.in(room.key).some((item) => item.state !== "sent")) {
      this.state.say("Something here is not sent yet. Wait for it, or discard it first.");
      return;
    }
    if (room.joined && this.state.connected) {
      this.questions.ask({ type: "leave", room: room.name }, () => {}, () => {});
    }
    this.state.forget(room.key);
    this.state.changed();
  }

  /**
   * @param {import("./state.js").State["place"]} place
   * @param {string} text
   * @returns {boolean} false when there is no room for it yet
   */
  say(place, text, action = false) {
    if (!place || this.outbox.full) return false;
    const kind = place instanceof Room ? "say" : "whisper";
    this.outbox.add({ place: place.key, kind, to: place.name, text, action }, Date.now());
    place.divider = null;
    this.typedAt = 0;
    this.#pump();
    this.state.changed();
    return true;
  }

  /** @param {string} ref */
  again(ref) {
    this.outbox.again(ref);
    this.#pump();
    this.state.changed();
  }

  /** @param {string} ref  @returns {string} what is given up */
  discard(ref) {
    const item = this.outbox.discard(ref);
    this.state.changed();
    return item?.text ?? "";
  }

  /** @param {string} name */
  rename(name) {
    return this.questions.answer({ type: "rename", name });
  }

  /** @param {Room} room  @param {string} text */
  retitle(room, text) {
    return this.questions.answer({ type: "topic", room: room.name, text });
  }

  /** Tell a room that one is typing, now and then. @param {import("./state.js").State["place"]} place */
  typing(place) {
    const now = Date.now();
    if (!(place instanceof Room) || !place.joined || now - this.typedAt < TYPING_EVERY_MS) return;
    this.typedAt = now;
    this.connection.send({ type: "typing", room: place.name });
  }

  #hello() {
    const { name, token } = this.state.me;
    this.connection.send({
      type: "hello", version: 1, name, agent: "trio-chat page", ref: "hello", ...(token ? { token } : {}),
    });
  }

  #enter(room) {
    const door = room.door;
    const read = this.state.storage.get("read." + room.key);
    const entered = (answer) => {
      const known = this.state.rooms.get(room.key);
      if (known !== room) return;
      room.entered(answer, door.recent, read);
      if (!answer.resumed) {
        for (const item of this.outbox.items.values()) {
          if (item.place === room.key && item.state === "sent") this.outbox.discard(item.ref);
        }
        this.state.storage.set("read." + room.key, { epoch: room.epoch, seq: room.read });
      }
      this.state.keepRooms();
      this.#pump();
    };
    this.questions.ask({ type: "join", room: room.name, ...door }, entered, (error) => {
      if (error.code !== "lost") room.why = error.detail;
      this.state.changed();
    });
  }

  #heard(event) {
    this.#take(event);
    this.state.changed();
  }

  #take(event) {
    if (event.ref === "hello" && event.type === "error") return this.#refused(event);
    if (this.#settled(event) || this.questions.answered(event)) {
      if (event.type === "named") this.#named(event);
      return;
    }
    const room = event.room === undefined ? undefined : this.#roomOf(event.room);
    switch (event.type) {
      case "welcome": return this.#welcomed(event);
      case "said":
      case "retitled": return room && this.#entry(room, event);
      case "whispered": return this.#whispered(event);
      case "presence":
        room?.changed(event);
        if (room && event.more && room.key === this.state.active) this.reading.who(room);
        return;
      case "members": return room?.listed(event, false);
      case "typing": return room && this.#typing(room, event.by);
      case "gap": return room?.skip(event);
      case "named": return this.#named(event);
      case "error": return this.state.say(event.detail);
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
    this.pausedUntil = 0;
    const here = this.state.rooms.get(this.state.active);
    if (here) this.#enter(here); // what is looked at comes first
    for (const room of this.state.rooms.values()) if (room !== here) this.#enter(room);
    this.#pump();
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

  /** An answer to something of the outbox. @returns {boolean} */
  #settled(event) {
    const item = this.outbox.items.get(event.ref);
    if (!item || (event.type !== "ack" && event.type !== "error")) return false;
    if (event.type === "ack") {
      this.outbox.acked(item.ref, event.seq ?? 0);
      const room = this.state.rooms.get(item.place);
      if (room) this.outbox.settle(room.key, room.cursor ?? 0);
    } else if (event.code === "rate_limited") {
      this.outbox.again(item.ref);
      this.pausedUntil = Date.now() + 1000 * (event.retry_after_s ?? 1);
      setTimeout(() => this.#pump(), 1000 * (event.retry_after_s ?? 1) + 10);
    } else {
      this.outbox.failed(item.ref, event.detail);
    }
    this.#pump();
    return true;
  }

  /** Send what is next, if anything may be sent. */
  #pump() {
    if (!this.state.connected || Date.now() < this.pausedUntil) return;
    const ready = (item) => item.kind === "whisper" || Boolean(this.state.rooms.get(item.place)?.joined);
    const item = this.outbox.next(ready);
    if (!item) return;
    this.outbox.sending(item);
    const { ref, text, to } = item;
    this.connection.send(item.kind === "whisper"
      ? { type: "whisper", to, text, ref }
      : { type: "say", room: to, text, ref, ...(item.action ? { action: true } : {}) });
  }

  #closed() {
    for (const room of this.state.rooms.values()) {
      room.joined = false;
      room.typing.clear();
    }
    this.outbox.lost();
    this.questions.lost();
  }

  #status() {
    this.state.status = this.connection.status;
    this.state.changed();
  }
}
