/**
 * On a narrow screen the rooms and the people are drawers; on a wide one they simply stand there.
 */

import { $ } from "./dom.js";

const NARROW = { rooms: "(max-width: 44.99em)", people: "(max-width: 63.74em)" };
/** @type {"" | "rooms" | "people"} */
let shown = "";
/** @type {any} what had the focus before */
let back = null;

export function prepareDrawers() {
  for (const which of /** @type {const} */ (["rooms", "people"])) {
    $(`${which}-open`).onclick = () => openDrawer(which);
    $(`${which}-close`).onclick = closeDrawers;
    matchMedia(NARROW[which]).addEventListener("change", () => closeDrawers() || arrange());
  }
  $("backdrop").onclick = closeDrawers;
  arrange();
}

/** Show one, or where it is in sight already, go into it. @param {"rooms" | "people"} which */
export function openDrawer(which) {
  if (matchMedia(NARROW[which]).matches) {
    back = document.activeElement;
    shown = which;
    arrange();
    $(`${which}-close`).focus();
  } else {
    $(which).querySelector('[tabindex="0"], a')?.focus();
  }
}

/** @returns {boolean} whether a sidebar was open */
export function closeDrawers() {
  if (!shown) return false;
  shown = "";
  arrange();
  back?.focus({ preventScroll: true });
  return true;
}

/** What is out of sight is out of reach, too. */
function arrange() {
  for (const which of /** @type {const} */ (["rooms", "people"])) {
    $(which).classList.toggle("open", shown === which);
    $(which).inert = shown !== which && matchMedia(NARROW[which]).matches;
  }
  $("middle").inert = shown !== "";
  $("backdrop").hidden = shown === "";
}
