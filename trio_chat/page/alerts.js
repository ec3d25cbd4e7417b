/**
 * Alert a person who is looking elsewhere: page title, optional notification, live region for screen readers.
 */

import { $ } from "./dom.js";
import { addressOf } from "./names.js";
import { Room } from "./room.js";
import { mentions, oneLine } from "./text.js";

const SPOKEN_MAX = 200;
const NAMED_MAX = 3; // rooms in one notification
const SPOKEN_LINES = 5; // in a busy room the rest is skipped: a listener could not follow

/** @returns {boolean} whether the page is visible and has the focus */
export function attentive() {
  return document.visibilityState === "visible" && document.hasFocus();
}

/** @param {string} text  as the page's title */
export function title(text) {
  if (document.title !== text) document.title = text;
}

/** @returns {Promise<string>} why there will be none, or empty */
export async function allowNotifications() {
  const answer = await Notification.requestPermission();
  return answer === "granted" ? "" : "This browser has been told not to show any from this page.";
}

/**
 * @param {import("./state.js").State} state
 * @param {Room | import("./direct_messages.js").DirectMessages} place
 * @param {import("./room.js").Entry} entry
 */
export function notify(state, place, entry) {
  const called = !(place instanceof Room) || (entry.type === "said" && mentions(entry.text, state.me.name));
  if (!called || (attentive() && place.key === state.active)) return;
  const where = place instanceof Room ? `${entry.by} in #${place.name}` : `${entry.by} whispers`;
  show(state, place, where, oneLine(entry.text).slice(0, SPOKEN_MAX), `${place.key} ${entry.at}`);
}

/**
 * Show one notification for all mentions that arrived while the page was disconnected.
 *
 * @param {import("./state.js").State} state
 * @param {{room: Room, entry: any}[]} missed  oldest first
 */
export function notifyMissed(state, missed) {
  const elsewhere = missed.filter(({ room }) => !(attentive() && room.key === state.active));
  const [first] = elsewhere;
  if (!first) return;
  if (elsewhere.length === 1) return notify(state, first.room, first.entry);
  const names = [...new Set(elsewhere.map(({ room }) => `#${room.name}`))];
  const more = names.length > NAMED_MAX ? ` and ${names.length - NAMED_MAX} more` : "";
  const body = `in ${names.slice(0, NAMED_MAX).join(", ")}${more}`;
  show(state, first.room, `${elsewhere.length} mentions while you were disconnected`, body, "missed");
}

/**
 * @param {import("./state.js").State} state
 * @param {Room | import("./direct_messages.js").DirectMessages} place  the place that a click opens
 * @param {string} title
 * @param {string} body
 * @param {string} tag  the same in all tabs of a user: the browser shows it once
 */
function show(state, place, title, body, tag) {
  const allowed = isSecureContext && globalThis.Notification?.permission === "granted";
  if (!allowed || !state.settings.get("notify", false)) return;
  try {
    const shown = new Notification(title, { body, tag });
    shown.onclick = () => {
      window.focus();
      location.hash = addressOf(place.key, place.name);
    };
  } catch {
    // Phones have the interface but throw: they need a service worker, which plain http does not allow.
  }
}

/** Announce a new entry of the shown place to screen readers. @param {import("./room.js").Entry} entry */
export function announce(entry) {
  const announcer = $("announcer");
  const what =
    entry.type === "retitled"
      ? `${entry.by} changed the topic to ${entry.text}`
      : entry.action
        ? `${entry.by} ${entry.text}`
        : `${entry.by}: ${entry.text}`;
  const line = document.createElement("p");
  line.textContent = oneLine(what).slice(0, SPOKEN_MAX);
  announcer.append(line);
  while (announcer.children.length > SPOKEN_LINES) announcer.firstChild.remove();
}
