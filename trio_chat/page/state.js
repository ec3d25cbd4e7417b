/**
 * All that the page knows. The client changes it, the views read it, and nothing flows back but calls.
 */

import { fold, placeAt, roomKey } from "./names.js";
import { Room } from "./room.js";
import { Thread } from "./thread.js";

const DRAFT_LETTERS_MAX = 20_000;

export class State {
  /**
   * @param {import("./storage.js").Storage} storage  of the server
   * @param {import("./storage.js").Storage} [settings]  of the person, whatever the server
   */
  constructor(storage, settings = storage) {
    this.storage = storage;
    this.settings = settings;
    /** @type {{name: string, token: string}} */
    this.me = { name: "", token: "" };
    /** @type {Map<string, Room>} in the order they were entered */
    this.rooms = new Map();
    /** @type {Map<string, Thread>} */
    this.threads = new Map();
    /** The key of the place that is shown. */
    this.active = "";
    this.kept = "";
    this.features = /** @type {string[]} */ ([]);
    this.text_bytes = 4096;
    /** @type {import("./connection.js").Status} */
    this.status = { phase: "idle", why: "" };
    /** What keeps one from coming in: asked on the card. */
    this.refused = "";
    /** A line for the person, until something else happens. */
    this.note = "";
    /** @type {Set<() => void>} */
    this.listeners = new Set();
    this.load();
  }

  /** Begin with what the storage has: at first, and when it is another server's from now on. */
  load() {
    this.me = { ...this.me, token: "", ...this.storage.get("me", {}) };
    this.rooms.clear();
    this.threads.clear();
    this.active = this.refused = this.note = "";
    for (const name of this.storage.get("rooms", [])) this.room(String(name));
  }

  /** Something is different now. */
  changed() {
    for (const listener of this.listeners) listener();
  }

  /** @param {string} text */
  say(text) {
    this.note = text;
    this.changed();
  }

  /** @returns {Room | Thread | undefined} */
  get place() {
    return this.at(this.active);
  }

  /** @param {string} key  @returns {Room | Thread | undefined} */
  at(key) {
    return this.rooms.get(key) ?? this.threads.get(key);
  }

  /** @returns {boolean} */
  get connected() {
    return this.status.phase === "open";
  }

  /** @returns {boolean} whether the talk shows arrivals, departures and new names */
  get showsPresence() {
    return this.settings.get("presence", true) !== false;
  }

  /** @param {string} name  @returns {boolean} */
  isMe(name) {
    return fold(name) === fold(this.me.name);
  }

  /** The room of that name, made if there is none. @param {string} name  @returns {Room} */
  room(name) {
    const key = roomKey(name);
    let room = this.rooms.get(key);
    if (!room) this.rooms.set(key, (room = new Room(name)));
    return room;
  }

  /** @param {string} name  @returns {Thread} */
  thread(name) {
    const thread = new Thread(name);
    if (!this.threads.has(thread.key)) this.threads.set(thread.key, thread);
    return /** @type {Thread} */ (this.threads.get(thread.key));
  }

  /** @param {Partial<{name: string, token: string}>} news */
  iAm(news) {
    Object.assign(this.me, news);
    this.storage.set("me", this.me);
  }

  /** The rooms to come back to, in this tab and the others. */
  keepRooms() {
    this.storage.set(
      "rooms",
      [...this.rooms.values()].map((room) => room.name),
    );
  }

  /** @param {Room | Thread} place */
  seen(place) {
    if (!place.seen()) return;
    if (place instanceof Room) this.storage.set("read." + place.key, { epoch: place.epoch, seq: place.read });
  }

  /** Another tab has shown more. @param {string} key */
  seenElsewhere(key) {
    const room = this.rooms.get(key);
    const read = this.storage.get("read." + key);
    if (room && read?.epoch === room.epoch && read.seq > room.read) room.read = read.seq;
  }

  /** @param {string} key  @returns {string} what was typed there and not sent */
  draft(key) {
    return this.storage.get("draft." + key, "");
  }

  /** @param {string} key  @param {string} text */
  keepDraft(key, text) {
    if (text) this.storage.set("draft." + key, text.slice(0, DRAFT_LETTERS_MAX));
    else this.storage.remove("draft." + key);
  }

  /** @param {string} key */
  forget(key) {
    this.rooms.delete(key);
    this.threads.delete(key);
    this.storage.remove("read." + key);
    this.storage.remove("draft." + key);
    this.keepRooms();
  }

  /** Where to be when the address names no place. @returns {string} a name */
  get lastRoom() {
    const place = placeAt(this.storage.get("last", ""));
    return place && !place.key.startsWith("@") ? place.name : ([...this.rooms.values()][0]?.name ?? "lobby");
  }
}
