/**
 * The list of members, on the right.
 */

import { $, arrows, make, reconcile, write } from "./dom.js";
import { fold, hue, initial } from "./names.js";
import { Room } from "./room.js";

const EVERY_MS = 250; // at most one sort of a thousand names in this time
const ASK_EVERY_MS = 4_000;
const FILTER_FROM = 20; // members: a shorter list needs no filter
const SHOWN_MAX = 1_000; // in the document at once
const FOUND_MAX = 200; // with a filter
const FOUND_FEW = 20; // with so few matches, further pages of the list are searched
const MEMBERS_MAX = 10_000; // fetched for a filter

export class MemberList {
  /**
   * @param {import("./client.js").Client} client
   * @param {(name: string) => void} whisper
   */
  constructor(client, whisper) {
    this.client = client;
    this.drawn = "";
    this.drawnAt = -EVERY_MS;
    /** @type {Map<string, number>} when the members of each room were requested, on this connection */
    this.askedAt = new Map();
    /** @type {any} */ this.askedOn = null;
    /** @type {any} */ this.later = 0;
    this.order = new Intl.Collator(undefined, { sensitivity: "base", numeric: true });
    const list = $("people-list");
    arrows(list);
    list.addEventListener("click", (/** @type {any} */ event) => {
      const button = event.target.closest("button");
      if (button) whisper(button.dataset.name);
    });
    list.addEventListener("focusin", (/** @type {any} */ event) => {
      list.querySelector('[tabindex="0"]')?.setAttribute("tabindex", "-1");
      event.target.closest("button")?.setAttribute("tabindex", "0");
    });
    this.filter = $("people-filter");
    this.filter.addEventListener("input", () => this.draw());
    this.filter.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.#pressed(event));
    $("people-more").onclick = () => {
      const room = client.state.place;
      if (room instanceof Room) client.reading.who(room, true);
    };
  }

  draw() {
    const { state } = this.client;
    const room = state.place;
    const inRoom = room instanceof Room;
    const count = inRoom && room.epoch ? room.here.toLocaleString() : "";
    write($("people-title"), inRoom ? "Here" : "The two of you");
    write($("people-count"), count);
    write($("people-total"), count);
    $("people-open").hidden = !inRoom;
    $("people-open").setAttribute("aria-label", `Members: ${count}`);
    if (inRoom && room.joined && state.connected) this.#ask(room);
    const names = inRoom ? room.members : new Set([state.me.name, room?.name ?? ""]);
    this.#drawFilter(room);
    const typed = this.filter.value.trim();
    const look = [room?.key, typed, inRoom && room.membersVersion, state.me.name, names === null].join("\n");
    if (look === this.drawn) return;
    const early = EVERY_MS - (performance.now() - this.drawnAt);
    if (names && names.size > 200 && early > 0 && this.drawn.startsWith(`${room?.key}\n${typed}\n`)) {
      setTimeout(() => state.changed(), early);
      return;
    }
    this.drawn = look;
    this.drawnAt = performance.now();
    const found = this.#find([...(names ?? [])], fold(typed));
    const shown = found.slice(0, typed ? FOUND_MAX : SHOWN_MAX);
    this.#list(shown);
    const more = inRoom && room.membersMore;
    $("people-more").hidden = !more || typed !== "" || shown.length < found.length;
    const further = more && typed !== "" && found.length < FOUND_FEW && (names?.size ?? 0) < MEMBERS_MAX;
    if (further) this.client.reading.who(room, true);
    write($("people-found"), this.#words(typed, found.length, shown.length, further));
  }

  /** @param {import("./state.js").State["place"]} place */
  #drawFilter(place) {
    const hidden = !(place instanceof Room) || place.here < FILTER_FROM;
    const key = place?.key ?? "";
    if (hidden || this.filter.dataset.key !== key) this.filter.value = "";
    this.filter.dataset.key = key;
    this.filter.hidden = hidden;
  }

  /**
   * @param {string[]} names
   * @param {string} part  folded
   * @returns {string[]} the names that contain this part, the user's own first
   */
  #find(names, part) {
    const { state } = this.client;
    const found = part ? names.filter((name) => fold(name).includes(part)) : names;
    return found.sort((a, b) => Number(state.isMe(b)) - Number(state.isMe(a)) || this.order.compare(a, b));
  }

  /** @param {string} typed  @param {number} found  @param {number} shown  @param {boolean} further */
  #words(typed, found, shown, further) {
    if (further) return "Looking…";
    const some = `${shown.toLocaleString()} of ${found.toLocaleString()} shown`;
    if (shown < found)
      return typed ? `${some}. Type more of a name.` : `${some}. Type a part of a name to find others.`;
    if (!typed) return "";
    return found ? `${found.toLocaleString()} found` : "No member’s name has that in it.";
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    if (event.key === "Escape" && this.filter.value) {
      event.preventDefault();
      event.stopPropagation(); // the key would also close the drawer
      this.filter.value = "";
      this.draw();
    } else if (event.key === "ArrowDown") {
      event.preventDefault();
      $("people-list").querySelector("button:enabled")?.focus();
    }
  }

  /**
   * Request the members if they are not known; in a large room with many changes, at intervals.
   *
   * @param {Room} room
   */
  #ask(room) {
    if (room.members !== null && !room.membersStale) return;
    const early = ASK_EVERY_MS - (performance.now() - (this.askedAt.get(room.key) ?? -ASK_EVERY_MS));
    if (early > 0 && this.askedOn === this.client.connection.socket) {
      clearTimeout(this.later);
      this.later = setTimeout(() => this.client.state.changed(), early);
      return;
    }
    if (this.askedOn !== this.client.connection.socket) this.askedAt.clear();
    this.askedOn = this.client.connection.socket;
    this.askedAt.set(room.key, performance.now());
    this.client.reading.who(room);
  }

  /** @param {string[]} names  in their order */
  #list(names) {
    const { state } = this.client;
    const list = $("people-list");
    reconcile(
      list,
      names.map((name) => ({ key: name, look: String(state.isMe(name)) })),
      ({ key: name }) => {
        const me = state.isMe(name);
        return make(
          "li",
          { "data-hue": hue(name), class: me ? "own" : "" },
          make(
            "button",
            {
              "data-name": name,
              tabIndex: -1,
              disabled: me,
              title: me ? name : `Whisper to ${name}`,
            },
            make("span", { class: "face", "aria-hidden": "true", textContent: initial(name) }),
            make("bdi", { class: "name", textContent: name }),
            me ? make("span", { class: "quiet", textContent: " you" }) : null,
          ),
        );
      },
    );
    if (list.querySelector('[tabindex="0"]')) return;
    list.querySelector("button:enabled")?.setAttribute("tabindex", "0");
  }
}
