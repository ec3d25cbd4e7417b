/**
 * The state of the page. The client changes it, the views read it and call the client.
 */

import { fold, placeAt, roomKey } from "./names.js";
import { Room } from "./room.js";
import { DirectMessages } from "./direct_messages.js";

const DRAFT_LETTERS_MAX = 20_000;

export class State {
  /**
   * @param {import("./storage.js").Storage} storage  of the server
   * @param {import("./storage.js").Storage} [settings]  of the user, for all servers
   */
  constructor(storage, settings = storage) {
    this.storage = storage;
    this.settings = settings;
    /** @type {{name: string, token: string}} */
    this.me = { name: "", token: "" };
    /** @type {Map<string, Room>} in the order they were entered */
    this.rooms = new Map();
    /** @type {Map<string, DirectMessages>} */
    this.threads = new Map();
    /** The key of the place that is shown. */
    this.active = "";
    this.kept = "";
    this.features = /** @type {string[]} */ ([]);
    this.text_bytes = 4096;
    /** @type {import("./connection.js").Status} */
    this.status = { phase: "idle", why: "" };
    /** Why signing in failed; shown on the card. */
    this.refused = "";
    /** A note for the user, shown until the next event. */
    this.note = "";
    /** @type {Set<() => void>} */
    this.listeners = new Set();
    this.load();
  }

  /** Load the state from the storage: at the start, and after a switch to another server. */
  load() {
    const me = this.storage.get("me", {});
    this.me = { name: typeof me?.name === "string" ? me.name : this.me.name, token: "" };
    if (typeof me?.token === "string") this.me.token = me.token;
    this.rooms.clear();
    this.threads.clear();
    this.active = this.refused = this.note = "";
    for (const name of this.storage.list("rooms")) this.room(String(name));
  }

  /** Notify the listeners of a change. */
  changed() {
    for (const listener of this.listeners) listener();
  }

  /** @param {string} text */
  say(text) {
    this.note = text;
    this.changed();
  }

  /** @returns {Room | DirectMessages | undefined} */
  get place() {
    return this.at(this.active);
  }

  /** @param {string} key  @returns {Room | DirectMessages | undefined} */
  at(key) {
    return this.rooms.get(key) ?? this.threads.get(key);
  }

  /** @returns {boolean} */
  get connected() {
    return this.status.phase === "open";
  }

  /** @returns {boolean} whether arrivals, departures and new names are shown */
  get showsPresence() {
    return this.settings.get("presence", true) !== false;
  }

  /** @param {string} name  @returns {boolean} */
  isMe(name) {
    return fold(name) === fold(this.me.name);
  }

  /** Return the room of that name, created if missing. @param {string} name  @returns {Room} */
  room(name) {
    const key = roomKey(name);
    let room = this.rooms.get(key);
    if (!room) this.rooms.set(key, (room = new Room(name)));
    return room;
  }

  /** @param {string} name  @returns {DirectMessages} */
  thread(name) {
    const thread = new DirectMessages(name);
    if (!this.threads.has(thread.key)) this.threads.set(thread.key, thread);
    return /** @type {DirectMessages} */ (this.threads.get(thread.key));
  }

  /**
   * Restore closed whispers, before newer whispers of the same person.
   *
   * @param {DirectMessages} closed
   * @returns {DirectMessages}
   */
  takeBack(closed) {
    for (const entry of this.threads.get(closed.key)?.entries ?? []) closed.add(entry);
    this.threads.set(closed.key, closed);
    return closed;
  }

  /** @param {Partial<{name: string, token: string}>} news */
  iAm(news) {
    Object.assign(this.me, news);
    this.storage.set("me", this.me);
  }

  /** Store the rooms to rejoin, for this tab and the others, without the rooms that the server has refused. */
  keepRooms() {
    const rooms = [...this.rooms.values()].filter((room) => !room.refused);
    this.storage.set(
      "rooms",
      rooms.map((room) => room.name),
    );
  }

  /** Put rooms and whispers in this order; others follow them. @param {string[]} keys */
  reorder(keys) {
    const rank = new Map(keys.map((key, n) => [key, n]));
    const inOrder = (/** @type {[string, any]} */ [one], /** @type {[string, any]} */ [other]) =>
      (rank.get(one) ?? Infinity) - (rank.get(other) ?? Infinity) || 0;
    this.rooms = new Map([...this.rooms].sort(inOrder));
    this.threads = new Map([...this.threads].sort(inOrder));
  }

  /** Mark a place as read. @param {Room | DirectMessages} place */
  seen(place) {
    if (place.seen()) this.keepMark(place);
  }

  /** Mark entries as seen. @param {Room | DirectMessages} place  @param {number} from  @param {number} to */
  saw(place, from, to) {
    if (place instanceof Room && place.saw(from, to)) this.keepMark(place);
  }

  /** Store the read mark of a room. @param {Room | DirectMessages} place */
  keepMark(place) {
    if (place instanceof Room) this.storage.set("read." + place.key, place.mark);
  }

  /** Read the mark that another tab has stored. @param {string} key */
  seenElsewhere(key) {
    const room = this.rooms.get(key);
    /** @type {import("./room.js").ReadMark | null} */
    const mark = this.storage.get("read." + key);
    if (!room || mark?.epoch !== room.epoch) return;
    if (mark.seq > room.read) room.read = mark.seq;
    const { mentions, scanned } = mark;
    if (!Array.isArray(mentions) || scanned === undefined) return;
    room.mentions = room.mentions.filter((seq) => seq > scanned || mentions.includes(seq));
  }

  /** @param {string} key  @returns {string} the draft of that place */
  draft(key) {
    return this.storage.text("draft." + key);
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

  /** Return the place to show if the address names none. @returns {string} a name */
  get lastRoom() {
    const place = placeAt(this.storage.text("last"));
    return place && !place.key.startsWith("@") ? place.name : ([...this.rooms.values()][0]?.name ?? "lobby");
  }
}
