/**
 * The user's places, on the left: rooms and whispers, each with its unread count.
 */

import { $, make, reconcile, write } from "./dom.js";
import { addressOf, hue, initial } from "./names.js";

let shown = ""; // the place last scrolled into view

/** @param {import("./state.js").State} state */
export function drawSidebar(state) {
  let unread = 0;
  let mentions = 0;
  const row = (/** @type {import("./room.js").Room | import("./direct_messages.js").DirectMessages} */ place) => {
    const news = place.unread(state.me.name);
    unread += news.unread;
    mentions += news.mentions;
    const active = place.key === state.active;
    const draft = !active && state.draft(place.key) !== "";
    const look = [place.name, active, news.mentions, news.others, draft, place.why].join("\n");
    return { key: place.key, look, place, active, draft, ...news };
  };
  reconcile($("room-list"), [...state.rooms.values()].map(row), drawPlace);
  reconcile($("thread-list"), [...state.threads.values()].map(row), drawPlace);
  $("thread-title").hidden = state.threads.size === 0;
  scrollToActive(state.active);
  $("rooms-badge").hidden = unread + mentions === 0;
  $("rooms-badge").classList.toggle("called", mentions > 0);
  const words = [unread ? `, ${unread} unread` : "", mentions ? `, ${mentions} ${mentionYou(mentions)}` : ""].join("");
  $("rooms-open").setAttribute("aria-label", `Rooms${words}`);
  write($("you-name"), state.me.name);
  write($("you-face"), initial(state.me.name));
  $("you").dataset.hue = hue(state.me.name);
  write($("you-state"), state.connected ? "connected" : "not connected");
  return { unread, mentions };
}

/**
 * Scroll the list so that the shown place is in sight, if it has changed.
 *
 * @param {string} key
 */
function scrollToActive(key) {
  const link = document.querySelector("#rooms .places [aria-current]");
  const box = link?.closest(".side-body");
  if (!link || !box?.clientHeight || key === shown) return;
  shown = key;
  // Only this box: `scrollIntoView` would also move a drawer that is out of sight.
  const [inner, outer] = [link.getBoundingClientRect(), box.getBoundingClientRect()];
  const middle = (inner.top + inner.bottom - outer.top - outer.bottom) / 2;
  if (inner.top < outer.top || inner.bottom > outer.bottom) box.scrollTop += middle;
}

/** @param {any} row  @returns {any} */
function drawPlace({ place, active, mentions, others, draft }) {
  const whispers = place.key.startsWith("@");
  const link = make(
    "a",
    { href: addressOf(place.key, place.name), title: place.name },
    make("span", { class: "sign", "aria-hidden": "true", textContent: whispers ? "@" : "#" }),
    make("bdi", { class: "name", textContent: place.name }),
    draft ? make("span", { class: "draft", textContent: "draft" }) : null,
    place.why ? make("span", { class: "draft", textContent: "not in" }) : null,
    mentions ? drawCount(mentions, true, whispers ? "" : "@", whispers ? "unread" : mentionYou(mentions)) : null,
    others ? drawCount(others, false, "", mentions ? "more unread" : "unread") : null,
  );
  if (active) link.setAttribute("aria-current", "page");
  return make("li", { class: mentions || others ? "has-unread" : "" }, link);
}

/** @param {number} count */
const mentionYou = (count) => (count === 1 ? "mentions you" : "mention you");

/**
 * @param {number} count
 * @param {boolean} called
 * @param {string} sign
 * @param {string} words  the counted items, for screen readers
 */
function drawCount(count, called, sign, words) {
  const text = count > 99 ? "99+" : String(count);
  return make(
    "span",
    { class: called ? "count called" : "count" },
    make("span", { "aria-hidden": "true", textContent: sign + text }),
    make("span", { class: "visually-hidden", textContent: `, ${text} ${words}` }),
  );
}

/**
 * Return the place above or below the shown place.
 *
 * @param {import("./state.js").State} state
 * @param {number} step
 * @param {boolean} onlyUnread
 */
export function neighbour(state, step, onlyUnread) {
  const places = [...state.rooms.values(), ...state.threads.values()];
  const at = places.findIndex((place) => place.key === state.active);
  for (let n = 1; n <= places.length; n++) {
    const place = places[(at + step * n + n * places.length) % places.length];
    const { unread, mentions } = place.unread(state.me.name);
    if (!onlyUnread || unread || mentions) return place;
  }
  return undefined;
}
