/**
 * The places one is in, on the left: rooms and whispers, with what is unread in each.
 */

import { $, make, reconcile, write } from "./dom.js";
import { addressOf, hue, initial } from "./names.js";

/** @param {import("./state.js").State} state */
export function drawSidebar(state) {
  let unread = 0;
  let called = 0;
  const row = (place) => {
    const news = place.unread(state.me.name);
    unread += news.unread;
    called += news.called ? 1 : 0;
    const active = place.key === state.active;
    const draft = !active && state.draft(place.key) !== "";
    const look = [place.name, active, news.unread, news.called, draft, place.why].join("\n");
    return { key: place.key, look, place, active, draft, ...news };
  };
  reconcile($("room-list"), [...state.rooms.values()].map(row), drawPlace);
  reconcile($("thread-list"), [...state.threads.values()].map(row), drawPlace);
  $("thread-title").hidden = state.threads.size === 0;
  $("rooms-badge").hidden = unread === 0;
  $("rooms-badge").classList.toggle("called", called > 0);
  $("rooms-open").setAttribute("aria-label", unread ? `Rooms, ${unread} unread` : "Rooms");
  write($("you-name"), state.me.name);
  write($("you-face"), initial(state.me.name));
  $("you").dataset.hue = hue(state.me.name);
  write($("you-state"), state.connected ? "connected" : "not connected");
  return { unread, called };
}

function drawPlace({ place, active, unread, called, draft }) {
  const whispers = place.key.startsWith("@");
  const shown = unread > 99 ? "99+" : String(unread);
  const words = called && !whispers ? `${shown} unread, you are mentioned` : `${shown} unread`;
  const link = make(
    "a",
    { href: addressOf(place.key, place.name), title: place.name },
    make("span", { class: "sign", "aria-hidden": "true", textContent: whispers ? "@" : "#" }),
    make("bdi", { class: "name", textContent: place.name }),
    draft ? make("span", { class: "draft", textContent: "draft" }) : null,
    place.why ? make("span", { class: "draft", textContent: "not in" }) : null,
    unread
      ? make(
          "span",
          { class: called ? "count called" : "count" },
          make("span", { "aria-hidden": "true", textContent: (called && !whispers ? "@" : "") + shown }),
          make("span", { class: "visually-hidden", textContent: words }),
        )
      : null,
  );
  if (active) link.setAttribute("aria-current", "page");
  return make("li", { class: unread ? "has-unread" : "" }, link);
}

/**
 * The place above or below the one that is shown.
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
    if (!onlyUnread || place.unread(state.me.name).unread) return place;
  }
  return undefined;
}
