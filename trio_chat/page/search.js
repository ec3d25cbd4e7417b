/**
 * Full-text search. A result links to its entry in the room.
 */

import { $, make, write } from "./dom.js";
import { excerpt } from "./excerpt.js";
import { hue } from "./names.js";
import { Room } from "./room.js";
import { dayLabel, timeLabel } from "./rows.js";
import { sentence } from "./text.js";

export class Search {
  /**
   * @param {import("./client.js").Client} client
   * @param {(room: string, seq: number) => void} go
   */
  constructor(client, go) {
    this.client = client;
    this.go = go;
    this.dialog = $("search");
    this.asked = 0;
    this.next = "";
    $("search-form").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      this.#search();
    });
    $("search-all").addEventListener("change", () => this.#search());
    $("search-more").onclick = () => this.#page();
  }

  show(text = "") {
    if (this.dialog.open) return;
    $("search-all").checked ||= !(this.client.state.place instanceof Room);
    if (text) $("search-text").value = text;
    this.dialog.showModal();
    $("search-text").select();
    if (text) this.#search();
  }

  /** Clear the results: they are from another server. */
  close() {
    this.dialog.close();
    $("search-text").value = "";
    this.#search();
  }

  #search() {
    const text = $("search-text").value.trim();
    $("search-list").replaceChildren();
    $("search-more").hidden = true;
    this.asked++;
    this.next = "";
    if (text) this.#page();
    else write($("search-state"), "");
  }

  async #page() {
    const asked = this.asked;
    const { state } = this.client;
    const room = !$("search-all").checked && state.place instanceof Room ? state.place.name : "";
    const text = $("search-text").value.trim();
    write($("search-state"), "Looking…");
    try {
      const page = await this.client.reading.search(text, room, this.next || undefined);
      if (asked !== this.asked) return; // a newer search is running
      this.next = page.more ? (page.next ?? "") : "";
      $("search-more").hidden = !this.next;
      const found = (/** @type {import("./events.js").Entry} */ entry) => this.#found(entry, text, !room);
      $("search-list").append(...page.entries.map(found));
    } catch (error) {
      if (asked === this.asked) write($("search-state"), sentence(/** @type {any} */ (error).detail));
      return;
    }
    const found = $("search-list").children.length;
    const where = room ? `in #${room}` : "in your rooms";
    write(
      $("search-state"),
      found
        ? `${found}${this.next ? " or more" : ""} ${where}, newest first`
        : this.next
          ? "Nothing among the newest. There is more to look through."
          : `Nothing ${where} has that in it.`,
    );
  }

  /**
   * Draw a result. A result that cannot be drawn becomes a placeholder, so that the results around it are drawn.
   *
   * @param {import("./events.js").Entry} entry
   * @param {string} wanted
   * @param {boolean} withRoom
   */
  #found(entry, wanted, withRoom) {
    try {
      return this.#drawn(entry, wanted, withRoom);
    } catch (error) {
      console.error(`cannot draw the result ${entry.seq}:`, error);
      return make("li", { class: "hole undrawn", textContent: "This cannot be shown here" });
    }
  }

  /** @param {import("./events.js").Entry} entry  @param {string} wanted  @param {boolean} withRoom */
  #drawn(entry, wanted, withRoom) {
    const { before, hit, after } = excerpt(entry.text, wanted);
    const link = make(
      "button",
      { type: "button", class: "found" },
      make(
        "span",
        {
          class: this.client.state.isMe(entry.by) ? "found-head own" : "found-head",
          "data-hue": hue(entry.by),
        },
        make("bdi", { class: "by", textContent: entry.by }),
        " ",
        make(
          "span",
          { class: "quiet" },
          withRoom ? make("bdi", { textContent: `#${entry.room} · ` }) : null,
          `${dayLabel(entry.at, Date.now())}, ${timeLabel(entry.at)}`,
        ),
      ),
      make(
        "span",
        { class: "found-text" },
        make("bdi", {}, before, hit && make("mark", { textContent: hit }), after),
      ),
    );
    link.onclick = () => {
      this.dialog.close();
      this.go(entry.room, entry.seq);
    };
    return make("li", {}, link);
  }
}
