/**
 * The messages of one place: a window over its entries that moves with scrolling.
 *
 * Only some hundred rows are in the document, however long the room is. The scroll position is kept when rows are
 * added or removed above; at the end, and only there, the view follows new messages.
 */

import { reconcile } from "./dom.js";
import { drawRow } from "./lines.js";
import { Room } from "./room.js";
import { rows } from "./rows.js";

const SHOWN = 200; // rows when a place is opened
const STEP = 100; // rows added when the user scrolls to an end
const SHOWN_MAX = 400; // beyond it, rows at the far end are removed
const EDGE = 900; // this near to an end, in pixels, more is fetched
const BOTTOM = 48; // this near to the bottom counts as at the bottom
const LINE = 20; // pixels of a row in sight that count as seen

export class MessageList {
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
    /** @type {any} a Room or a DirectMessages, once a place is shown */
    this.place = null;
    this.start = 0; // the number of the first entry in the window
    this.end = Infinity; // the number of its last entry; Infinity while it follows new messages
    this.stuck = true;
    this.whole = false; // whether all loaded entries are drawn
    this.settled = ""; // the shape when the view was last scrolled to the bottom
    /** @type {{seq: string, bottom: number} | null} the row that holds its place when the shape changes */
    this.held = null;
    scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    const settle = new ResizeObserver(() => this.#resized());
    settle.observe(scroller);
    settle.observe(list);
  }

  /**
   * Show another place, at its first unread entry or at its end.
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

  /** Scroll back to the end. */
  follow() {
    this.end = Infinity;
    this.start = 0;
    this.stuck = true;
    this.draw();
    this.#toBottom();
  }

  /** Scroll a loaded entry to the middle of the view. @param {number} seq */
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

  /** Return whether the line between read and unread is above the visible rows. */
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

  /** Return how many unseen mentions are above the screen. @returns {number} */
  get mentionsAbove() {
    const { place } = this;
    if (!(place instanceof Room) || !place.mentions.length) return 0;
    const from = this.sight?.from ?? Infinity;
    return place.mentions.filter((seq) => seq < from).length;
  }

  /** Draw all loaded entries, for printing, or the previous window again. @param {boolean} all */
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
   * Return the presence changes among the entries in the window.
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

  /** Keep the window at its size: drop rows at the far end. */
  #trim() {
    const { entries } = this.place;
    if (this.whole) return;
    const { from, to } = this.#window();
    if (this.start === 0 && from > 0) this.start = entries[from].seq;
    if (to - from <= SHOWN_MAX) return;
    const keep = this.stuck ? SHOWN : SHOWN_MAX - STEP; // so that not every new row needs a trim
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    const nearTop = scrollTop + clientHeight / 2 < scrollHeight / 2;
    if (nearTop && !this.stuck) this.end = entries[from + keep - 1].seq;
    else this.start = entries[to - keep].seq;
  }

  /** Return a row in sight, and the position of its last line: the row may be redrawn without the author above it. */
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
    // If the shape has changed, the browser has scrolled: a phone was turned, a keyboard opened, a line was drawn.
    if (this.stuck && this.settled !== this.#shape) this.#toBottom();
    this.stuck = this.#atBottom;
    this.#hold();
    this.#edges();
    this.above.moved();
  }

  /** Keep the end in sight, or else the row on top, after the scroller or its content has changed size. */
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

  /** Near an end of the window, move the window, or fetch more entries. */
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
 * Return whether enough of a row is in sight to count as seen: all of it, or the height of one line.
 *
 * @param {DOMRect} row
 * @param {number} top
 * @param {number} bottom
 */
function isInSight(row, top, bottom) {
  const seen = Math.min(row.bottom, bottom) - Math.max(row.top, top);
  return seen > 0 && seen >= Math.min(row.height - 1, LINE);
}
