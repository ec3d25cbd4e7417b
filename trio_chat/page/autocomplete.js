/**
 * Autocomplete in the composer: commands, and the names of members.
 *
 * Tab takes the first offer, or the offer that the arrows selected. Enter sends the text until the arrows have
 * been used, so the list does not surprise a user who keeps typing.
 *
 * @typedef {{from: number, text: string, shown: string, about: string}} Offer
 */

import { HELP } from "./commands.js";
import { make, reconcile } from "./dom.js";
import { begun } from "./names.js";

const NAMES_MAX = 8;

/**
 * @param {string} before  the text before the caret
 * @param {Iterable<string>} names
 * @returns {Offer[]} each with the index from which its text replaces the typed word
 */
export function offers(before, names) {
  if (/^\/[^\s/]*$/u.test(before)) {
    const typed = before.toLowerCase();
    const begins = (/** @type {string} */ usage) =>
      usage.startsWith(typed) && usage !== typed && !usage.startsWith("//");
    return HELP.filter(([usage]) => begins(usage)).map(([usage, about]) => {
      const [word, rest] = usage.split(" ", 2);
      return { from: 0, text: rest ? `${word} ` : word, shown: usage, about };
    });
  }
  const found = begun(before, names);
  if (!found) return [];
  const sign = before[found.from] === "@" ? "@" : "";
  const typed = before.slice(found.from + sign.length);
  return found.fits
    .filter((name) => name !== typed) // a complete name needs no offer
    .slice(0, NAMES_MAX)
    .map((name) => ({ from: found.from, text: `${sign}${name} `, shown: name, about: "" }));
}

export class Autocomplete {
  /**
   * @param {any} box  the composer's
   * @param {any} list
   * @param {() => Iterable<string>} names  of the members
   * @param {(offer: Offer) => void} take
   */
  constructor(box, list, names, take) {
    this.box = box;
    this.list = list;
    this.names = names;
    this.take = take;
    /** @type {Offer[]} */ this.made = [];
    this.at = -1; // none, until the arrows are used
    list.addEventListener("pointerdown", (/** @type {any} */ event) => event.preventDefault()); // the box keeps the focus
    list.addEventListener("click", (/** @type {any} */ event) => {
      const option = event.target.closest("[role=option]");
      if (option) this.#take([...list.children].indexOf(option));
    });
    box.addEventListener("blur", () => this.close());
  }

  /** Update the offers after the text has changed. */
  look() {
    const { selectionStart, selectionEnd, value } = this.box;
    const before = value.slice(0, selectionStart);
    this.#show(selectionStart === selectionEnd ? offers(before, this.names()) : []);
  }

  close() {
    this.#show([]);
  }

  /** @param {KeyboardEvent} event  @returns {boolean} whether the key was handled here */
  pressed(event) {
    if (!this.made.length || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return false;
    const count = this.made.length;
    if (event.key === "ArrowDown") this.#draw((this.at + 1) % count);
    else if (event.key === "ArrowUp") this.#draw((Math.max(0, this.at) + count - 1) % count);
    else if (event.key === "Tab") this.#take(Math.max(0, this.at));
    else if (event.key === "Enter" && this.at >= 0) this.#take(this.at);
    else if (event.key === "Escape") this.close();
    else return false;
    event.preventDefault();
    event.stopPropagation(); // Escape would also scroll to the newest message
    return true;
  }

  /** @param {number} at */
  #take(at) {
    const offer = this.made[at];
    this.close();
    if (offer) this.take(offer);
  }

  /** @param {Offer[]} made */
  #show(made) {
    this.made = made;
    this.#draw(-1);
  }

  /** @param {number} at */
  #draw(at) {
    this.at = at;
    this.list.hidden = this.made.length === 0;
    const rows = this.made.map((offer) => ({ key: offer.shown, look: offer.about, ...offer }));
    reconcile(this.list, rows, ({ shown, about }) =>
      make(
        "li",
        { role: "option" },
        make("bdi", { class: "name", textContent: shown }),
        make("span", { class: "about", textContent: about }),
      ),
    );
    [...this.list.children].forEach((option, n) => {
      option.id = `offer-${n}`;
      option.setAttribute("aria-selected", String(n === at));
    });
    if (at < 0) this.box.removeAttribute("aria-activedescendant");
    else this.box.setAttribute("aria-activedescendant", `offer-${at}`);
    this.list.children[at]?.scrollIntoView({ block: "nearest" });
  }
}
