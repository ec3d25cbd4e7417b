/**
 * Leave a place without a question, with an undo for a while.
 */

import { $, write } from "./dom.js";
import { Room } from "./room.js";

const UNDO_MS = 8_000;

/**
 * @typedef {Room | import("./direct_messages.js").DirectMessages} Place
 * @typedef {{place: Place, mark: import("./room.js").ReadMark | null, draft: string, order: string[]}} Left
 */

export class UndoLeave {
  /**
   * @param {import("./client.js").Client} client
   * @param {(place: Place) => void} go  shows the restored place
   */
  constructor(client, go) {
    this.client = client;
    this.go = go;
    /** @type {Left | null} */
    this.left = null;
    /** @type {any} */
    this.timer = 0;
    $("left-undo").onclick = () => this.undo();
  }

  /** Leave a place, unless it has an unsent line. @param {Place} place  @returns {boolean} */
  leave(place) {
    const { state } = this.client;
    const order = [...state.rooms.keys(), ...state.threads.keys()];
    const mark = place instanceof Room && place.epoch ? place.mark : null;
    const left = { place, mark, draft: state.draft(place.key), order };
    this.client.leave(place);
    if (state.at(place.key)) return false;
    this.close();
    this.left = left;
    $("left").hidden = false;
    write(
      $("left-text"),
      place instanceof Room ? `You left #${place.name}.` : `You closed the whispers with ${place.name}.`,
    );
    this.timer = setTimeout(() => this.close(), UNDO_MS);
    return true;
  }

  /** Restore the place: with its draft, its read mark, and its position among the others. */
  undo() {
    if (!this.left) return;
    const { place, mark, draft, order } = this.left;
    const { state } = this.client;
    this.close();
    if (mark && !state.at(place.key)) state.storage.set("read." + place.key, mark);
    if (draft && !state.draft(place.key)) state.keepDraft(place.key, draft);
    const back = place instanceof Room ? this.client.join(place.name) : state.takeBack(place);
    state.reorder(order);
    state.keepRooms();
    this.go(back);
  }

  /** Withdraw the undo. */
  close() {
    clearTimeout(this.timer);
    this.left = null;
    $("left").hidden = true;
    write($("left-text"), "");
  }
}
