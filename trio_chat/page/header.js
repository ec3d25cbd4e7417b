/**
 * The header above the messages: the shown place, the connection, and the entries that are out of sight.
 */

import { $, make, write, written } from "./dom.js";
import { Room } from "./room.js";
import { oneLine } from "./text.js";

const QUIET_MS = 1_500; // the status line stays hidden this long while a connection is being made

/** @type {number | null} when the connection was lost, or first asked for */
let since = null;
let shownTopic = "";

/**
 * @param {import("./state.js").State} state
 * @param {import("./message_list.js").MessageList} talk
 */
export function drawHeader(state, talk) {
  const place = /** @type {Room} */ (state.place);
  const room = place instanceof Room;
  if ($("title").dataset.name !== place.key + place.name) {
    $("title").dataset.name = place.key + place.name;
    const sign = make("span", { class: "sign", textContent: room ? "#" : "@" });
    $("title").replaceChildren(sign, make("bdi", { textContent: place.name }));
  }
  const topic = room ? oneLine(place.topic) || "Set a topic" : "Whispers";
  if (topic !== shownTopic) $("topic").replaceChildren(written((shownTopic = topic)));
  // The topic is a button, and a button cannot contain links.
  for (const link of $("topic").querySelectorAll("a")) link.replaceWith(link.textContent);
  $("topic").disabled = !room || (!state.connected && !place.topic); // enabled also for reading it
  $("topic").classList.toggle("unset", room && !place.topic);
  $("topic").hidden = Boolean(place.why);
  $("leave").setAttribute("aria-label", room ? "Leave this room" : "Close these whispers");
  $("leave").title = room ? "Leave this room" : "Close these whispers";
  $("search-open").hidden = state.features.length > 0 && !state.features.includes("search");
  const { unread } = place.unread(state.me.name);
  const last = place.entries.at(-1)?.seq ?? 0;
  $("to-end").hidden = talk.stuck || last === 0;
  $("to-end").firstChild.data = unread ? `${unread > 99 ? "99+" : unread} new ` : "To the newest ";
  const above = room ? talk.mentionsAbove : 0;
  $("unread-above").hidden = !room || !(above || talk.dividerAbove);
  const mentions = above === 1 ? "↑ You are mentioned" : `↑ ${above > 99 ? "99+" : above} mentions of you`;
  write($("unread-above"), above ? mentions : "↑ Where the new ones begin");
}

/** @param {import("./state.js").State} state */
export function drawStatus(state) {
  const { phase, why } = state.status;
  const now = performance.now();
  if (phase === "open") since = null;
  else since ??= now;
  const wait = QUIET_MS - (now - (since ?? now));
  const silent = phase === "open" || (phase === "connecting" && wait > 0);
  if (phase === "connecting" && wait > 0) setTimeout(() => state.changed(), wait);
  $("status").hidden = silent;
  if (silent) return;
  const reason = why ? `: ${why.replace(/\.$/, "")}` : "";
  const text =
    phase === "ended"
      ? `You were disconnected${reason}.`
      : `No connection${reason}. What you write is sent when it is back.`;
  write($("status-text"), text);
  write($("status-now"), phase === "ended" ? "Come back" : "Try now");
  $("status-now").disabled = phase === "connecting";
}
