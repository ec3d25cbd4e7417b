/**
 * What asks or tells: the card at the door, one line to be typed, the settings, the help.
 */

import { HELP } from "./commands.js";
import { $, make, write } from "./dom.js";
import { sentence } from "./text.js";

const KEYS = [
  ["Ctrl K", "go to a room, or @somebody"],
  ["Alt ↑ Alt ↓", "the room above, below"],
  ["Alt Shift ↑ ↓", "the next with something unread"],
  ["Enter", "send"],
  ["Shift Enter", "a new line"],
  ["@ or / and Tab", "the name, the command it begins"],
  ["`code`", "as it stands; between lines of ``` whole lines"],
  ["↑", "what you said last, when nothing is typed"],
  ["Ctrl Shift F", "search"],
  ["Page ↑ Page ↓", "through the talk"],
  ["Esc", "close, or back to the newest"],
];

/**
 * The card that asks for a name, on the first visit and when a name is taken.
 *
 * @param {import("./client.js").Client} client
 */
export function prepareCard(client) {
  $("welcome").addEventListener("submit", (event) => {
    event.preventDefault();
    const name = $("welcome-name").value.trim();
    if (name) client.callMe(name);
  });
}

/** @param {import("./state.js").State} state  @param {string} where */
export function drawCard(state, where) {
  const asking = !state.me.name || state.refused !== "";
  write($("welcome-where"), `to #${where} on ${location.host}`);
  write($("welcome-error"), sentence(state.refused));
  $("welcome-name").setAttribute("aria-invalid", String(state.refused !== ""));
  if ($("card").hidden === asking || $("app").hidden !== asking) {
    $("card").hidden = !asking;
    $("app").hidden = asking;
    if (asking) {
      $("welcome-name").value = state.me.name;
      $("welcome-name").focus();
    }
  }
  return asking;
}

/**
 * Ask for one line; the dialog stays until it is taken.
 *
 * @param {{title: string, label: string, value: string, max: number,
 *   take: (text: string) => Promise<any>}} what
 */
export function ask({ title, label, value, max, take }) {
  write($("ask-title"), title);
  write($("ask-label"), label);
  write($("ask-error"), "");
  Object.assign($("ask-text"), { value, maxLength: max });
  $("ask-form").onsubmit = async (event) => {
    event.preventDefault();
    const text = $("ask-text").value.trim();
    if (!text) return;
    try {
      await take(text);
      $("ask").close();
    } catch (error) {
      write($("ask-error"), sentence(/** @type {any} */ (error).detail));
    }
  };
  $("ask").showModal();
  $("ask-text").select();
}

/**
 * @param {import("./state.js").State} state
 * @param {{rename: () => void, notify: () => Promise<string>}} act
 */
export function prepareSettings(state, act) {
  const root = document.documentElement;
  const scheme = state.settings.get("scheme", "auto");
  for (const input of /** @type {any} */ (document.querySelectorAll("input[name=scheme]"))) {
    input.checked = input.value === scheme;
    input.onchange = () => {
      state.settings.set("scheme", input.value);
      if (input.value === "auto") delete root.dataset.scheme;
      else root.dataset.scheme = input.value;
    };
  }
  $("notify").onchange = async () => {
    state.settings.set("notify", $("notify").checked);
    if ($("notify").checked) write($("notify-why"), await act.notify());
  };
  $("presence").onchange = () => {
    state.settings.set("presence", $("presence").checked);
    state.changed();
  };
  $("you").onclick = async () => {
    $("presence").checked = state.showsPresence;
    write($("settings-name"), state.me.name);
    $("notify").checked = state.settings.get("notify", false);
    $("settings").showModal();
    if (!globalThis.Notification || !isSecureContext) {
      $("notify").disabled = true;
      $("notify").checked = false;
      write($("notify-why"), "Browsers allow these only over https, or on this computer.");
    }
  };
  $("settings-close").onclick = () => $("settings").close();
  $("rename").onclick = () => {
    $("settings").close();
    act.rename();
  };
  $("help-open").onclick = () => {
    $("settings").close();
    showHelp();
  };
}

export function showHelp() {
  const list = (pairs) =>
    pairs.map(([term, about]) =>
      make("div", {}, make("dt", {}, make("kbd", { textContent: term })), make("dd", { textContent: about })),
    );
  $("help-keys").replaceChildren(...list(KEYS));
  $("help-commands").replaceChildren(...list(HELP));
  $("help-close").onclick = () => $("help").close();
  if (!$("help").open) $("help").showModal();
}

/** A click beside a dialog closes it, as Esc does. */
export function closeBeside() {
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog) dialog.close();
    });
  }
}
