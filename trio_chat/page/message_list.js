/**
 * The talk of one place: a window over its entries that moves as one scrolls.
 *
 * Only some hundred rows are in the document, however long the room is. The place on the screen holds still
 * when rows come in above or go; at the end, and only there, the view follows what is said.
 */

import { reconcile } from "./dom.js";
import { drawRow } from "./lines.js";
import { Room } from "./room.js";
import { rows } from "./rows.js";

const SHOWN = 200; // rows when one comes into a place
const STEP = 100; // more of them, when one scrolls to an end
const SHOWN_MAX = 400; // beyond it the far end goes
const EDGE = 900; // so near to an end, in pixels, more is fetched
const BOTTOM = 48; // so near to the bottom is at the bottom
const LINE = 20; // so much of a row in sight is enough to have seen it

export class Talk {
  /**
   * @param {any} scroller
   * @param {any} list
   * @param {import("./client.js").Client} client
   * @param {{moved: () => void, edit: (text: string) => void}} above
   */
  constructor(scroller, list, client, above) {
    this.scroller = scroller;
    this.list = list;
    this.client = client;
    this.above = above;
    /** @type {any} a Room or a Thread, once one is anywhere */
    this.place = null;
    this.start = 0; // the number of the first entry in the window
    this.end = Infinity; // and of its last, unless it follows the talk
    this.stuck = true;
    this.whole = false; // whether all that is here is drawn
    this.settled = ""; // the shape when the view was put to the bottom last
    /** @type {{seq: string, bottom: number} | null} the row that holds its place when the shape changes */
    this.held = null;
    scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    const settle = new ResizeObserver(() => this.#resized());
    settle.observe(scroller);
    settle.observe(list);
  }

  /**
   * Show another place, where its unread begins or at its end.
   *
   * @param {import("./state.js").State["place"]} place
   */
  open(place) {
    this.place = place;
    this.end = Infinity;
    this.start = 0;
    this.stuck = true;
    this.fresh = true;
  }

  /** Back to the end. */
  follow() {
    this.end = Infinity;
    this.start = 0;
    this.stuck = true;
    this.draw();
    this.#toBottom();
  }

  /** Put an entry that is here into the middle of the view. @param {number} seq */
  show(seq) {
    const { entries } = /** @type {Room} */ (this.place);
    const at = this.place.indexOf(seq);
    this.start = entries[Math.max(0, at - STEP)]?.seq ?? 0;
    this.end = at + STEP < entries.length ? entries[at + STEP].seq : Infinity;
    this.stuck = false;
    this.draw();
    const node = this.list.querySelector(`[data-seq="${seq}"]`);
    node?.scrollIntoView({ block: "center" });
    this.stuck = this.#atBottom;
    this.#hold();
    node?.classList.add("flash");
    node?.addEventListener("animationend", () => node.classList.remove("flash"), { once: true });
    this.above.moved();
  }

  /** Whether the line that parts read from unread is above what is in sight. */
  get dividerAbove() {
    const divider = this.place?.divider;
    if (divider == null || !this.list.firstChild) return false;
    const line = this.list.querySelector(".new");
    if (line) return line.getBoundingClientRect().bottom < this.scroller.getBoundingClientRect().top;
    return this.#window().shown[0]?.seq > divider + 1;
  }

  /** Return the numbers of the first and the last entry on the screen. @returns {{from: number, to: number} | null} */
  get sight() {
    const { top, bottom } = this.scroller.getBoundingClientRect();
    const seqs = [...this.list.querySelectorAll("[data-seq]")]
      .filter((node) => isInSight(node.getBoundingClientRect(), top, bottom))
      .map((node) => Number(node.dataset.seq));
    return seqs.length ? { from: seqs[0], to: seqs[seqs.length - 1] } : null;
  }

  /** How many unseen mentions are above what is on the screen. @returns {number} */
  get mentionsAbove() {
    const { place } = this;
    if (!(place instanceof Room) || !place.mentions.length) return 0;
    const from = this.sight?.from ?? Infinity;
    return place.mentions.filter((seq) => seq < from).length;
  }

  /** Draw all that is here, for printing, or again as much as there was. @param {boolean} all */
  expand(all) {
    this.whole = all;
    this.draw();
  }

  draw() {
    const place = this.place;
    if (!place) return;
    this.#trim();
    const { shown, from } = this.#window();
    const anchor = this.stuck ? null : this.#anchor();
    const older = from > 0 || !place.begun;
    const top = older ? (place.entries.length ? "older" : "") : "start";
    const changed = reconcile(
      this.list,
      rows({
        entries: shown,
        items: this.end === Infinity ? this.client.outbox.in(place.key) : [],
        changes: this.#changes(shown, from),
        identity: place.identities.of(this.client.state.me.name),
        divider: place.divider,
        top: place instanceof Room && !place.epoch ? "" : top,
        kept: (after, next) => place.kept(after, next),
        id: place instanceof Room ? `${place.key} ${place.epoch}` : place.key,
        me: this.client.state.me.name,
        connected: this.client.state.connected,
        now: Date.now(),
      }),
      (row) => drawRow(row, place, this.client, this.above.edit),
    );
    if (this.fresh && (place.entries.length || place.begun)) {
      this.fresh = false;
      this.#toBottom();
      const line = this.list.querySelector(".new");
      if (line && line.offsetTop < this.scroller.scrollTop) {
        this.scroller.scrollTop = line.offsetTop - this.scroller.clientHeight / 4;
        this.stuck = this.#atBottom;
      }
    } else if (this.stuck) {
      if (changed) this.#toBottom();
    } else if (anchor && changed) {
      const node = this.list.querySelector(`[data-seq="${anchor.seq}"]`);
      if (node) this.scroller.scrollTop += node.getBoundingClientRect().bottom - anchor.bottom;
    }
    if (changed && !this.whole) this.#edges();
    this.#hold();
  }

  #window() {
    const { entries } = this.place;
    if (this.whole) return { shown: entries, from: 0, to: entries.length };
    const to =
      this.end === Infinity ? entries.length : Math.min(entries.length, this.place.indexOf(this.end) + 1);
    let from = this.place.indexOf(this.start);
    if (this.start === 0) from = Math.max(0, to - SHOWN);
    return { shown: entries.slice(from, to), from, to };
  }

  /**
   * The changes of presence among the entries in the window.
   *
   * @param {import("./room.js").Entry[]} shown
   * @param {number} from  the index of the first of them
   * @returns {import("./presence_log.js").Group[]}
   */
  #changes(shown, from) {
    const groups =
      this.place instanceof Room && this.client.state.showsPresence ? this.place.presence.groups : [];
    const first = from > 0 && shown.length ? shown[0].seq : -Infinity;
    const last = this.end !== Infinity && shown.length ? shown[shown.length - 1].seq : Infinity;
    return groups.filter(({ after }) => after >= first && after <= last);
  }

  /** Keep the window at its size: its far end gives way. */
  #trim() {
    const { entries } = this.place;
    if (this.whole) return;
    const { from, to } = this.#window();
    if (this.start === 0 && from > 0) this.start = entries[from].seq;
    if (to - from <= SHOWN_MAX) return;
    const keep = this.stuck ? SHOWN : SHOWN_MAX - STEP; // so that not every further row costs one
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    const nearTop = scrollTop + clientHeight / 2 < scrollHeight / 2;
    if (nearTop && !this.stuck) this.end = entries[from + keep - 1].seq;
    else this.start = entries[to - keep].seq;
  }

  /** A row in sight, and where its last line is: it may be drawn anew, without the author above it. */
  #anchor() {
    const edge = this.scroller.getBoundingClientRect().top;
    for (const node of this.list.querySelectorAll("[data-seq]")) {
      const box = node.getBoundingClientRect();
      if (box.bottom > edge) return { seq: node.dataset.seq, bottom: box.bottom };
    }
    return null;
  }

  get #atBottom() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    return this.end === Infinity && scrollHeight - scrollTop - clientHeight < BOTTOM;
  }

  #toBottom() {
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this.settled = this.#shape;
  }

  get #shape() {
    const { clientWidth, clientHeight, scrollHeight } = this.scroller;
    return `${clientWidth} ${clientHeight} ${scrollHeight}`;
  }

  #scrolled() {
    if (!this.place || this.whole) return;
    // Where the shape is another one, the browser has scrolled: a phone was turned, a keyboard came, a line was drawn.
    if (this.stuck && this.settled !== this.#shape) this.#toBottom();
    this.stuck = this.#atBottom;
    this.#hold();
    this.#edges();
    this.above.moved();
  }

  /** The scroller or what is in it has another size: the end stays in sight, or else the row that was on top. */
  #resized() {
    if (!this.place || this.whole) return;
    if (this.stuck) return this.#toBottom();
    const node = this.held && this.list.querySelector(`[data-seq="${this.held.seq}"]`);
    if (!node || !this.held) return;
    const top = this.scroller.getBoundingClientRect().top;
    this.scroller.scrollTop += node.getBoundingClientRect().bottom - top - this.held.bottom;
  }

  /** Remember the row on top. */
  #hold() {
    const anchor = this.stuck ? null : this.#anchor();
    this.held = anchor && {
      seq: anchor.seq,
      bottom: anchor.bottom - this.scroller.getBoundingClientRect().top,
    };
  }

  /** Near an end of the window: move it on, or fetch what is behind it. */
  #edges() {
    const { place, scroller } = this;
    if (!place.entries.length) return;
    const { entries } = place;
    const { from, to } = this.#window();
    if (scroller.scrollTop < EDGE) {
      if (from > 0 && !this.fresh) {
        this.start = entries[Math.max(0, from - STEP)].seq;
        this.above.moved();
      } else if (from === 0 && !place.begun && place instanceof Room && place.joined) {
        this.client.reading.history(place, entries[0].seq);
        this.start = 1;
      }
    }
    const below = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight;
    if (this.end !== Infinity && below < EDGE) {
      const last = Math.min(entries.length - 1, to - 1 + STEP);
      this.end = last === entries.length - 1 ? Infinity : entries[last].seq;
      this.above.moved();
    }
  }
}

/**
 * Whether enough of a row is in sight to count as seen: all of it, or as much as one line is high.
 *
 * @param {DOMRect} row
 * @param {number} top
 * @param {number} bottom
 */
function isInSight(row, top, bottom) {
  const seen = Math.min(row.bottom, bottom) - Math.max(row.top, top);
  return seen > 0 && seen >= Math.min(row.height - 1, LINE);
}
