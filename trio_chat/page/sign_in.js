/**
 * The card that asks for a name: on the first visit, and when a name is refused. It stays until the server has
 * accepted the user, and shows when the server cannot be reached.
 */

import { $, write } from "./dom.js";
import { sentence } from "./text.js";
import { usableName } from "./usable_name.js";

const QUIET_MS = 1_500; // the card reports no problem this long while a connection is being made

/** Whether the card is shown, since when there is no connection, and the texts for that and for a refused name. */
const card = { shown: false, since: 0, fault: "", refused: "" };

/** @param {import("./client.js").Client} client */
export function prepareCard(client) {
  const field = $("welcome-name");
  const join = () => {
    const name = field.value.trim();
    card.refused = "";
    if (name) client.callMe(name);
  };
  $("welcome").addEventListener("submit", (/** @type {Event} */ event) => {
    event.preventDefault();
    join();
  });
  field.addEventListener("input", () => offerName(field, $("welcome-offer")));
  $("welcome-offer").onclick = () => {
    takeOffer(field, $("welcome-offer"));
    join();
  };
}

/**
 * Offer a usable name in place of an unusable name in a field.
 *
 * @param {HTMLInputElement} field
 * @param {HTMLElement} button
 */
export function offerName(field, button) {
  const name = usableName(field.value);
  button.hidden = !name;
  button.dataset.name = name;
  write(button, name ? `Use ${name}` : "");
}

/** @param {HTMLInputElement} field  @param {HTMLElement} button */
export function takeOffer(field, button) {
  field.value = button.dataset.name ?? "";
  offerName(field, button);
  field.focus();
}

/**
 * @param {import("./state.js").State} state
 * @param {string} where  the room that is entered first
 * @returns {boolean} whether the card is shown instead of the chat
 */
export function drawCard(state, where) {
  const { phase } = state.status;
  const asking = !state.me.name || state.refused !== "" || (card.shown && phase !== "open");
  write($("welcome-where"), `to #${where} on ${location.host}`);
  write($("welcome-error"), sentence(state.refused) || noConnection(state));
  $("welcome-name").setAttribute("aria-invalid", String(state.refused !== ""));
  write($("welcome-join"), asking && phase === "connecting" && !state.refused ? "Joining…" : "Join");
  card.shown = asking;
  if ($("card").hidden === asking || $("app").hidden !== asking) {
    $("card").hidden = !asking;
    $("app").hidden = asking;
    if (asking) {
      $("welcome-name").value = state.me.name;
      offerName($("welcome-name"), $("welcome-offer"));
      $("welcome-name").focus();
    }
  }
  if (state.refused && state.refused !== card.refused) $("welcome-name").focus();
  card.refused = state.refused;
  return asking;
}

/** @param {import("./state.js").State} state  @returns {string} that the server cannot be reached, if so */
function noConnection(state) {
  const { phase, why } = state.status;
  if (phase === "idle" || phase === "open") Object.assign(card, { since: 0, fault: "" });
  else card.since ||= Date.now();
  const reason = why ? `: ${why.replace(/\.$/u, "")}` : "";
  if (phase === "ended")
    card.fault = `The server ended the connection${reason}. Join again to try once more.`;
  if (phase === "waiting") card.fault = `Cannot reach the server at ${location.host}${reason}. Trying again…`;
  if (phase !== "connecting" || card.fault) return card.fault; // the text stays during the next attempt
  const wait = QUIET_MS - (Date.now() - card.since);
  if (wait <= 0) return `No answer from the server at ${location.host} yet.`;
  setTimeout(() => state.changed(), wait);
  return "";
}
