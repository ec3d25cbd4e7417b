/**
 * Commands that wait for their answer, by ref.
 */

import { retry_s } from "./delays.js";
import { refOf } from "./events.js";

const TRIES_MAX = 5;

/** The type of the event that answers a command; no other event is taken for its answer. */
const ANSWERS = {
  join: "room",
  leave: "ack",
  topic: "ack",
  rename: "named",
  who: "members",
  rooms: "rooms",
  history: "history",
  search: "found",
};

/** @typedef {{type: keyof typeof ANSWERS, [field: string]: unknown}} Question */

export class Questions {
  /**
   * @param {(command: object) => boolean} send
   * @param {() => string} ref
   */
  constructor(send, ref) {
    this.send = send;
    this.ref = ref;
    /** @type {Map<string, {type: string, done: (answer: any) => void, refused: (error: Refusal) => void}>} */
    this.open = new Map();
  }

  /**
   * Send a command, and handle its answer on arrival: before the next event is handled.
   *
   * @param {Question} command
   * @param {(answer: any) => void} done
   * @param {(error: Refusal) => void} refused
   */
  ask(command, done, refused, tries = 1) {
    const ref = this.ref();
    const type = ANSWERS[command.type];
    const again = (/** @type {Refusal} */ error) => {
      if (error.code !== "rate_limited" || tries >= TRIES_MAX) return refused(error);
      this.open.set(ref, { type, done, refused }); // the command is lost with this connection, and not sent on the next
      const later = () => this.open.delete(ref) && this.ask(command, done, refused, tries + 1);
      setTimeout(later, 1000 * retry_s(error.retry_after_s));
    };
    if (this.send({ ...command, ref })) this.open.set(ref, { type, done, refused: again });
    else refused(LOST);
  }

  /** @param {Question} command  @returns {Promise<any>} */
  answer(command) {
    return new Promise((done, refused) => this.ask(command, done, refused));
  }

  /** @param {import("./events.js").Event} event  @returns {boolean} whether it answered one of them */
  answered(event) {
    const ref = refOf(event);
    const asked = this.open.get(ref);
    if (!asked) return false;
    this.open.delete(ref);
    if (event.type === "error") asked.refused(event);
    else if (event.type === asked.type) asked.done(event);
    else asked.refused({ code: "bad_message", detail: `cannot read the server's answer: got ${event.type}` });
    return true;
  }

  /** Fail all open commands: the connection is closed. */
  lost() {
    const open = [...this.open.values()];
    this.open.clear();
    for (const { refused } of open) refused(LOST);
  }
}

/** @typedef {{code: string, detail: string, retry_after_s?: number}} Refusal */

const LOST = { code: "lost", detail: "There is no connection just now" };
