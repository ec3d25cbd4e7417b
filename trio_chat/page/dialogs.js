/**
 * Dialogs: a one-line prompt, the topic of a room, the settings, the help.
 */

import { HELP } from "./commands.js";
import { $, make, write, written } from "./dom.js";
import { offerName, takeOffer } from "./sign_in.js";
import { sentence } from "./text.js";

const KEYS = [
  ["Ctrl K", "go to a room, or @name"],
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
 * Ask for one line; the dialog stays open until the line is accepted.
 *
 * @param {{title: string, label: string, value: string, max: number, isName?: boolean,
 *   take: (text: string) => Promise<any>}} what  with `isName` a usable name is offered for an invalid name
 */
export function ask({ title, label, value, max, isName = false, take }) {
  write($("ask-title"), title);
  write($("ask-label"), label);
  write($("ask-error"), "");
  Object.assign($("ask-text"), { value, maxLength: max });
  $("ask-form").onsubmit = async (/** @type {Event} */ event) => {
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
  const offer = () => isName && offerName($("ask-text"), $("ask-offer"));
  $("ask-offer").hidden = true;
  $("ask-text").oninput = offer;
  $("ask-offer").onclick = () => {
    takeOffer($("ask-text"), $("ask-offer"));
    $("ask-form").requestSubmit();
  };
  $("ask").showModal();
  $("ask-text").select();
}

/**
 * Ask for another topic; first show the present one where the header has no room for all of it, or while it
 * cannot be changed.
 *
 * @param {import("./room.js").Room} room
 * @param {boolean} connected
 * @param {(text: string) => Promise<any>} take
 */
export function openTopic(room, connected, take) {
  const title = `The topic of #${room.name}`;
  const change = () => ask({ title, label: "Topic", value: room.topic, max: 500, take });
  if (connected && $("topic").scrollWidth <= $("topic").clientWidth) {
    change();
    return;
  }
  write($("topic-title"), title);
  $("topic-whole").replaceChildren(...written(room.topic).childNodes);
  $("topic-change").disabled = !connected;
  $("topic-change").onclick = () => {
    $("topic-sheet").close();
    change();
  };
  $("topic-close").onclick = () => $("topic-sheet").close();
  $("topic-sheet").showModal();
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
  const list = (/** @type {string[][]} */ pairs) =>
    pairs.map(([term, about]) =>
      make("div", {}, make("dt", {}, make("kbd", { textContent: term })), make("dd", { textContent: about })),
    );
  $("help-keys").replaceChildren(...list(KEYS));
  $("help-commands").replaceChildren(...list(HELP));
  $("help-close").onclick = () => $("help").close();
  if (!$("help").open) $("help").showModal();
}

/** Close a dialog on a click beside it, as Esc does. */
export function closeBeside() {
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog) dialog.close();
    });
  }
}
