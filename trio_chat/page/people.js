/**
 * Who is here, on the right.
 */

import { $, arrows, make, reconcile, write } from "./dom.js";
import { hue, initial } from "./names.js";
import { Room } from "./room.js";

const EVERY_MS = 250; // a thousand names are sorted no more often than that
const ASK_EVERY_MS = 4_000;

export class People {
  /**
   * @param {import("./client.js").Client} client
   * @param {(name: string) => void} whisper
   */
  constructor(client, whisper) {
    this.client = client;
    this.drawn = "";
    this.drawnAt = -EVERY_MS;
    /** @type {Map<string, number>} when each room was asked about, on this connection */
    this.askedAt = new Map();
    /** @type {any} */ this.askedOn = null;
    /** @type {any} */ this.later = 0;
    this.order = new Intl.Collator(undefined, { sensitivity: "base", numeric: true });
    const list = $("people-list");
    arrows(list);
    list.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button) whisper(button.dataset.name);
    });
    list.addEventListener("focusin", (event) => {
      list.querySelector('[tabindex="0"]')?.setAttribute("tabindex", "-1");
      event.target.closest("button")?.setAttribute("tabindex", "0");
    });
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
    $("people-open").setAttribute("aria-label", `Who is here: ${count}`);
    if (inRoom && room.joined && state.connected) this.#ask(room);
    const names = inRoom ? room.members : new Set([state.me.name, room?.name ?? ""]);
    const look = [room?.key, inRoom && room.membersVersion, state.me.name, names === null].join("\n");
    if (look === this.drawn) return;
    const early = EVERY_MS - (performance.now() - this.drawnAt);
    if (names && names.size > 200 && early > 0) {
      setTimeout(() => state.changed(), early);
      return;
    }
    this.drawn = look;
    this.drawnAt = performance.now();
    this.#list([...(names ?? [])]);
    $("people-more").hidden = !(inRoom && room.membersMore);
  }

  /** Ask who is here, if that is not known; in a crowd that comes and goes, now and then. */
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

  #list(names) {
    const { state } = this.client;
    const list = $("people-list");
    names.sort((a, b) => Number(state.isMe(b)) - Number(state.isMe(a)) || this.order.compare(a, b));
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
