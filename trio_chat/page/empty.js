/**
 * The content of a place without messages: how others may join, or why the room cannot be entered.
 *
 * @typedef {NonNullable<import("./state.js").State["place"]>} Place
 */

import { $, write } from "./dom.js";
import { invitation } from "./invite.js";
import { addressOf } from "./names.js";
import { Room } from "./room.js";

const COPIED_MS = 3_000;

export function prepareEmpty() {
  $("copy-link").onclick = async () => {
    const copied = await copy($("invite-address"));
    write($("copy-state"), copied ? "Copied" : "The address is selected: copy it with Ctrl C");
    setTimeout(() => write($("copy-state"), ""), COPIED_MS);
  };
}

/**
 * @param {import("./state.js").State} state
 * @param {Place} place
 */
export function drawEmpty(state, place) {
  const text = document.querySelector("#rows .line, #rows .action, #rows .retitled") ? "" : words(place);
  $("empty").hidden = !text;
  $("enter-again").hidden = !place.why || !state.connected;
  write($("empty-text"), text);
  const alone = Boolean(text) && isAlone(place);
  $("invite").hidden = !alone;
  if (alone) drawInvitation(place);
}

/** @param {Place} place  @returns {string} */
function words(place) {
  if (place.why) return `You are not in this room: ${place.why}.`;
  if (!(place instanceof Room)) return "Nothing whispered yet.";
  if (!place.epoch) return "";
  return isAlone(place)
    ? "You are the only member here."
    : "Nothing has been said here yet. You could be the first.";
}

/** @param {Place} place  @returns {boolean} */
function isAlone(place) {
  return place instanceof Room && !place.why && place.epoch !== "" && place.here <= 1;
}

/** @param {Place} place */
function drawInvitation(place) {
  const { text, command } = invitation(location);
  write($("invite-text"), text);
  write($("invite-command"), command);
  $("invite-how").hidden = !command;
  const address = location.origin + location.pathname + addressOf(place.key, place.name);
  if ($("invite-address").value !== address) $("invite-address").value = address;
}

/**
 * Copy the text of a field, or select it if the browser does not let a page copy, as over plain http.
 *
 * @param {HTMLInputElement} field
 * @returns {Promise<boolean>} whether it was copied
 */
async function copy(field) {
  try {
    await navigator.clipboard.writeText(field.value);
    return true;
  } catch {
    field.focus();
    field.select();
    return document.execCommand("copy");
  }
}
