/**
 * Commands that wait for their answer, by ref.
 */

import { retry_s } from "./delays.js";

const TRIES_MAX = 5;

export class Questions {
  /**
   * @param {(command: object) => boolean} send
   * @param {() => string} ref
   */
  constructor(send, ref) {
    this.send = send;
    this.ref = ref;
    /** @type {Map<string, {done: (answer: any) => void, refused: (error: any) => void}>} */
    this.open = new Map();
  }

  /**
   * Ask, and do something with the answer in the moment it comes: before what follows it is looked at.
   *
   * @param {object} command
   * @param {(answer: any) => void} done
   * @param {(error: {code: string, detail: string, retry_after_s?: number}) => void} refused
   */
  ask(command, done, refused, tries = 1) {
    const ref = this.ref();
    const again = (error) => {
      if (error.code !== "rate_limited" || tries >= TRIES_MAX) return refused(error);
      this.open.set(ref, { done, refused }); // it is lost with this connection, and not asked on the next one
      const later = () => this.open.delete(ref) && this.ask(command, done, refused, tries + 1);
      setTimeout(later, 1000 * retry_s(error.retry_after_s));
    };
    if (this.send({ ...command, ref })) this.open.set(ref, { done, refused: again });
    else refused(LOST);
  }

  /** @param {object} command  @returns {Promise<any>} */
  answer(command) {
    return new Promise((done, refused) => this.ask(command, done, refused));
  }

  /** @param {any} event  @returns {boolean} whether it answered one of them */
  answered(event) {
    const asked = this.open.get(event.ref);
    if (!asked) return false;
    this.open.delete(event.ref);
    if (event.type === "error") asked.refused(event);
    else asked.done(event);
    return true;
  }

  /** The connection is gone, and the answers with it. */
  lost() {
    const open = [...this.open.values()];
    this.open.clear();
    for (const { refused } of open) refused(LOST);
  }
}

const LOST = { code: "lost", detail: "There is no connection just now" };
