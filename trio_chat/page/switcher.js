/**
 * The switcher (Ctrl-K): open one of the user's rooms, a room with members, a new room, or whispers with a person.
 *
 * @typedef {{key: string, look: string, kind: "room" | "open" | "new" | "person", name: string,
 *   about: string}} Choice
 */

import { $, composing, make, reconcile } from "./dom.js";
import { fold, roomKey, whisperKey } from "./names.js";
import { Room } from "./room.js";
import { oneLine } from "./text.js";

const SHOWN_MAX = 40;

/**
 * @param {string} typed
 * @param {import("./state.js").State} state
 * @param {{room: string, members: number, topic: string}[]} open
 * @returns {Choice[]}
 */
export function choices(typed, state, open) {
  // Text with a space is searched for, and a room created, as a valid name.
  const wanted = typed.trim().replace(/^#/, "").replace(/\s+/gu, "-");
  if (wanted.startsWith("@")) return people(wanted.slice(1), state);
  const sought = fold(wanted); // once, not for each room: the text may be long
  const fits = (/** @type {string} */ name) => fold(name).includes(sought);
  const mine = [...state.rooms.values()]
    .filter((room) => fits(room.name))
    .map((room) => ({ room, unread: room.key === state.active ? 0 : room.unread(state.me.name).unread }))
    .sort((a, b) => b.unread - a.unread);
  const made = mine.map(({ room, unread }) =>
    choice("room", room.name, unread ? `${unread} unread` : room.topic),
  );
  for (const { room, members, topic } of open) {
    if (!state.rooms.has(roomKey(room)) && fits(room)) {
      made.push(choice("open", room, `${members} here${topic ? " · " + topic : ""}`));
    }
  }
  if (!wanted) return made.slice(0, SHOWN_MAX);
  const rank = (/** @type {string} */ name) => (name === sought ? 0 : name.startsWith(sought) ? 1 : 2);
  const ranked = made
    .map((one) => ({ one, rank: rank(fold(one.name)) }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ one }) => one);
  const known = [...mine.map(({ room }) => room.name), ...open.map(({ room }) => room)];
  if (!known.some((name) => fold(name) === sought)) ranked.push(choice("new", wanted, ""));
  return ranked.slice(0, SHOWN_MAX);
}

/** @param {string} wanted  @param {import("./state.js").State} state */
function people(wanted, state) {
  const names = new Map([...state.threads.values()].map((thread) => [thread.key, thread.name]));
  for (const name of state.place instanceof Room ? (state.place.members ?? []) : [])
    names.set(whisperKey(name), name);
  names.delete(whisperKey(state.me.name));
  const sought = fold(wanted);
  const made = [...names.values()].filter((name) => fold(name).includes(sought)).sort();
  if (wanted && !names.has(whisperKey(wanted))) made.push(wanted);
  return made.slice(0, SHOWN_MAX).map((name) => choice("person", name, "whisper"));
}

/** @param {Choice["kind"]} kind  @param {string} name  @param {string} about  @returns {Choice} */
function choice(kind, name, about) {
  return { key: `${kind} ${name}`, look: about, kind, name, about };
}

export class Switcher {
  /**
   * @param {import("./client.js").Client} client
   * @param {(address: string) => void} go  to `name`, or `@name`
   */
  constructor(client, go) {
    this.client = client;
    this.go = go;
    this.dialog = $("switcher");
    this.text = $("switcher-text");
    this.list = $("switcher-list");
    /** @type {any[]} */ this.open = [];
    /** @type {Choice[]} */ this.made = [];
    this.at = 0;
    this.text.addEventListener("input", () => this.#draw(0));
    this.text.addEventListener("keydown", (/** @type {any} */ event) => this.#pressed(event));
    this.list.addEventListener("click", (/** @type {any} */ event) => {
      const option = event.target.closest("[role=option]");
      if (option) this.#take([...this.list.children].indexOf(option));
    });
  }

  async show(typed = "") {
    if (this.dialog.open) return;
    this.text.value = typed;
    this.open = [];
    this.dialog.showModal();
    this.#draw(0);
    try {
      this.open = await this.client.reading.openRooms();
    } catch {
      return; // without a connection, list the user's own rooms only
    }
    this.#draw(this.at);
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) {
      event.preventDefault();
      this.#draw((this.at + step + this.made.length) % Math.max(1, this.made.length));
    } else if (event.key === "Enter" && !composing(event)) {
      event.preventDefault();
      this.#take(this.at);
    }
  }

  /** @param {number} at */
  #take(at) {
    const taken = this.made[at];
    if (!taken) return;
    this.dialog.close();
    this.go((taken.kind === "person" ? "@" : "") + taken.name);
  }

  /** @param {number} at */
  #draw(at) {
    this.made = choices(this.text.value, this.client.state, this.open);
    this.at = Math.max(0, Math.min(at, this.made.length - 1));
    reconcile(this.list, this.made, ({ kind, name, about }) =>
      make(
        "li",
        { role: "option" },
        make("span", {
          class: "sign",
          "aria-hidden": "true",
          textContent: kind === "person" ? "@" : kind === "new" ? "+" : "#",
        }),
        kind === "new"
          ? make("span", { class: "name" }, "Join or make ", make("bdi", { textContent: name }))
          : make("bdi", { class: "name", textContent: name }),
        make("bdi", { class: "about", textContent: oneLine(about) }),
      ),
    );
    [...this.list.children].forEach((option, n) => {
      option.id = `choice-${n}`;
      option.setAttribute("aria-selected", String(n === this.at));
    });
    this.text.setAttribute("aria-activedescendant", this.made.length ? `choice-${this.at}` : "");
    this.list.children[this.at]?.scrollIntoView({ block: "nearest" });
  }
}
