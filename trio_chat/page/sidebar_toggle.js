/**
 * Toggle the sidebars: on a narrow screen the rooms and the members are drawers, on a wide screen they are always
 * shown.
 */

import { $ } from "./dom.js";

const NARROW = { rooms: "(max-width: 44.99em)", people: "(max-width: 63.74em)" };
/** @type {"" | "rooms" | "people"} */
let shown = "";
/** @type {any} the element that had the focus before */
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

/** Open a sidebar, or focus it if it is already in sight. @param {"rooms" | "people"} which */
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

/** Make hidden sidebars inert. */
function arrange() {
  for (const which of /** @type {const} */ (["rooms", "people"])) {
    $(which).classList.toggle("open", shown === which);
    $(which).inert = shown !== which && matchMedia(NARROW[which]).matches;
  }
  $("middle").inert = shown !== "";
  $("backdrop").hidden = shown === "";
}
