/**
 * The composer: a draft for each place, which Enter sends or runs as a command.
 */

import { parse } from "./commands.js";
import { $, composing, write } from "./dom.js";
import { Autocomplete } from "./autocomplete.js";
import { Room } from "./room.js";
import { sayable, sentence } from "./text.js";

const LINES_MAX = 100; // the limit of the protocol
const KEEP_EVERY_MS = 400;

export class Composer {
  /**
   * @param {import("./client.js").Client} client
   * @param {(action: import("./commands.js").Action) => void} act  runs an action other than `say`
   * @param {() => void} sent
   */
  constructor(client, act, sent) {
    this.client = client;
    this.act = act;
    this.sent = sent;
    this.box = $("say");
    this.key = "";
    this.unfit = true;
    this.kept = ""; // the draft as it is stored
    /** @type {any} */ this.keeping = 0;
    /** @type {Map<string, string>} the last line sent in each place */
    this.last = new Map();
    const names = () => {
      const { place, me } = client.state;
      return [...((place instanceof Room && place.members) || [])].filter((name) => name !== me.name);
    };
    this.offers = new Autocomplete(this.box, $("offers"), names, (offer) => {
      this.box.setRangeText(offer.text, offer.from, this.box.selectionStart, "end");
      this.#typed();
    });
    this.box.addEventListener("input", () => this.#typed());
    this.box.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.#pressed(event));
    $("composer").addEventListener("submit", (/** @type {Event} */ event) => {
      event.preventDefault();
      this.#enter();
      this.focus(); // a button that is now disabled would lose the focus
    });
    // Keep the keyboard of a phone open.
    $("send").addEventListener("pointerdown", (/** @type {Event} */ event) => event.preventDefault());
    addEventListener("pagehide", () => this.#keep());
    this.box.addEventListener("paste", (/** @type {ClipboardEvent} */ event) =>
      this.#brought(event, event.clipboardData),
    );
    // Anywhere on the page: the browser would open a file dropped beside the composer in place of the chat.
    addEventListener("dragover", (event) => bringsFiles(event.dataTransfer) && event.preventDefault());
    addEventListener("drop", (event) => this.#brought(event, event.dataTransfer));
  }

  /** @param {import("./state.js").State["place"]} place */
  open(place) {
    this.#keep();
    this.key = place?.key ?? "";
    this.kept = this.client.state.draft(this.key);
    this.#put(this.kept);
    this.box.placeholder = place instanceof Room ? `Message #${place.name}` : `Whisper to ${place?.name}`;
    this.box.setAttribute("aria-label", this.box.placeholder);
  }

  /** Store the draft. */
  keep() {
    this.#keep();
  }

  /** Store the draft and close the place: until `open`, typed text belongs to no place. */
  close() {
    this.#keep();
    this.key = this.kept = "";
    this.last.clear();
    this.#put("");
  }

  /** Put an unsent line back into the box. @param {string} text */
  edit(text) {
    this.#put(this.box.value ? `${text}\n${this.box.value}` : text);
    this.box.focus();
  }

  /** Insert text as if typed into the composer. */
  focus() {
    this.box.focus({ preventScroll: true });
  }

  draw() {
    const { state } = this.client;
    const typing = [...(state.place?.typing.keys() ?? [])];
    if (this.unfit) this.#fit();
    this.#edited();
    write($("typing"), state.note || this.#tooLong() ? "" : typingLine(typing));
  }

  /** Update at once what depends on the text in the box: the next key may come before the next frame. */
  #edited() {
    const { state } = this.client;
    const tooLong = this.#tooLong();
    write($("note"), tooLong || sentence(state.note));
    $("note").classList.toggle("error", Boolean(tooLong));
    this.box.disabled = Boolean(state.place?.why); // no messages to a room that cannot be entered
    $("send").disabled = this.box.disabled || !this.box.value.trim();
  }

  #typed() {
    const { state } = this.client;
    state.note = "";
    this.offers.look();
    this.#fit();
    this.#edited();
    clearTimeout(this.keeping);
    this.keeping = setTimeout(() => this.#keep(), KEEP_EVERY_MS);
    if (this.box.value && !this.box.value.startsWith("/")) this.client.speaker.typing(state.place);
    state.changed();
  }

  /**
   * Show that files cannot be sent, if only files were pasted or dropped.
   *
   * @param {Event} event
   * @param {DataTransfer | null} data
   */
  #brought(event, data) {
    if (!data || !bringsFiles(data)) return;
    event.preventDefault();
    const pictures = [...data.files].every(({ type }) => type.startsWith("image/"));
    this.client.state.say(
      `${pictures ? "Pictures" : "Files"} cannot be sent, only text. Send a link instead.`,
    );
  }

  /** @param {KeyboardEvent} event */
  #pressed(event) {
    if (composing(event) || this.offers.pressed(event)) return;
    if (event.key === "Enter" && !event.shiftKey && !event.ctrlKey && !event.altKey) {
      event.preventDefault();
      this.#enter();
    } else if (event.key === "ArrowUp" && !event.altKey && !this.box.value && this.last.has(this.key)) {
      event.preventDefault();
      this.#put(this.last.get(this.key) ?? "");
      this.box.setSelectionRange(this.box.value.length, this.box.value.length);
    }
  }

  #enter() {
    const text = sayable(this.box.value).trimEnd();
    const action = parse(text);
    const { state } = this.client;
    if (action.do === "nothing" || this.#tooLong()) return;
    state.note = "";
    if ((action.do === "say" || action.do === "tell") && this.client.outbox.full) {
      state.say("Too much is waiting to be sent. This stays here until there is room for it.");
      return;
    }
    if (action.do === "say") {
      if (!this.client.speaker.say(state.place, action.text, action.action)) return;
      this.last.set(this.key, text);
      this.sent();
    }
    if (action.do === "unclear") {
      state.say(action.why);
      return;
    }
    this.#put("");
    this.#keep();
    if (action.do !== "say") this.act(action);
    state.changed();
  }

  #tooLong() {
    const text = this.box.value;
    const limit = this.client.state.text_bytes;
    if (text.split("\n", LINES_MAX + 1).length > LINES_MAX) return `At most ${LINES_MAX} lines at once`;
    if (text.length * 3 <= limit) return "";
    const bytes = new TextEncoder().encode(text).length;
    return bytes > limit ? `Too long by ${(bytes - limit).toLocaleString()} bytes` : "";
  }

  /** @param {string} text */
  #put(text) {
    this.box.value = text;
    this.offers.close();
    this.#fit();
    this.#edited();
    this.client.state.changed();
  }

  /** Fit the height to the text; the style sheet sets the maximum. */
  #fit() {
    this.box.style.height = "auto";
    this.unfit = this.box.scrollHeight === 0; // a hidden box has no height
    if (!this.unfit) this.box.style.height = `${this.box.scrollHeight}px`;
  }

  #keep() {
    clearTimeout(this.keeping);
    if (!this.key || this.box.value === this.kept) return; // an empty box does not overwrite another tab's draft
    this.kept = this.box.value;
    this.client.state.keepDraft(this.key, this.kept);
  }
}

/** Return whether the data has files and no text. @param {DataTransfer | null} data */
function bringsFiles(data) {
  const types = [...(data?.types ?? [])];
  return types.includes("Files") && !types.includes("text/plain") && !types.includes("text/uri-list");
}

/** @param {string[]} names */
function typingLine(names) {
  if (names.length === 0) return "";
  if (names.length === 1) return `${names[0]} is typing…`;
  if (names.length === 2) return `${names[0]} and ${names[1]} are typing…`;
  return "Several people are typing…";
}
