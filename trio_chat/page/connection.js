/**
 * One WebSocket at a time, and the next one when it is gone.
 *
 * It knows nothing of rooms: it hands up what was heard, says when a connection begins and ends, and keeps it
 * alive. A browser notices a dead connection late or never, so silence after a ping ends it here.
 *
 * @typedef {{phase: "idle" | "connecting" | "open" | "waiting" | "ended", why: string}} Status
 */

import { pause_s } from "./backoff.js";
import { checked } from "./events.js";

const OPENING_MS = 10_000;
const ANSWER_MS = 10_000;
const STEADY_MS = 10_000; // a connection that ends sooner counts as a failed try

export class Connection {
  /**
   * @param {string} url
   * @param {{opened: () => void, heard: (event: import("./events.js").Event) => void, closed: () => void, changed: () => void}} above
   */
  constructor(url, above) {
    this.url = url;
    this.above = above;
    /** @type {Status} */
    this.status = { phase: "idle", why: "" };
    /** @type {WebSocket | null} */
    this.socket = null;
    this.failures = 0;
    /** Whether goodbye was said on this connection, to say hello anew on the next one. */
    this.restarting = false;
    this.restarts = 0; // in a row
    this.notBefore = 0;
    this.welcomedAt = 0;
    this.heardAt = 0;
    /** @type {import("./events.js").Bye | null} */
    this.bye = null;
    /** @type {any} */ this.timer = 0;
    /** @type {any} */ this.pinger = 0;
  }

  /** Connect, unless that is done or under way. */
  start() {
    if (this.socket) return;
    this.bye = null;
    this.#become("connecting");
    const socket = new WebSocket(this.url);
    this.socket = socket;
    this.#awaitWelcome(socket);
    socket.onopen = () => {
      this.heardAt = Date.now();
      this.above.opened();
    };
    socket.onmessage = ({ data }) => this.#hear(data);
    socket.onclose = () => this.#gone(socket);
  }

  /** There is reason to hope: try now, if waiting, or see whether the connection still lives. */
  nudge() {
    if (this.status.phase === "waiting" && Date.now() >= this.notBefore) this.start();
    if (this.status.phase === "open") this.#ping();
  }

  /** @param {object} command  @returns {boolean} whether there was a connection to put it on */
  send(command) {
    if (this.socket?.readyState !== WebSocket.OPEN || this.restarting) return false;
    this.socket.send(JSON.stringify(command));
    return true;
  }

  /** The server took us. @param {number} ping_s */
  welcomed(ping_s) {
    clearTimeout(this.timer);
    this.restarts = 0;
    this.welcomedAt = Date.now();
    this.pinger = setInterval(() => this.#ping(), ping_s * 1000);
    this.#become("open");
  }

  /**
   * Say goodbye instead of anything else, and hello anew on another connection once this one has ended: sooner
   * the server might still hold the name.
   */
  restart() {
    this.send({ type: "quit" });
    this.restarting = true;
    this.restarts++;
  }

  /** A person is asked something: do not call that a failure to connect. */
  hold() {
    clearTimeout(this.timer);
    this.#become("idle");
  }

  /** The person has answered: from now on a connection that fails is one to be replaced again. */
  release() {
    if (!this.socket) return;
    this.#become("connecting");
    this.#awaitWelcome(this.socket);
  }

  /** @param {WebSocket} socket */
  #awaitWelcome(socket) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.#gone(socket), OPENING_MS);
  }

  /** @param {unknown} data */
  #hear(data) {
    this.heardAt = Date.now();
    if (this.restarting) return;
    for (const line of String(data).split("\n")) {
      if (!line) continue;
      try {
        const event = checked(JSON.parse(line));
        if (event?.type === "bye") this.bye = event;
        else if (event) this.above.heard(event);
      } catch (error) {
        console.error("cannot take an event:", error); // the next one may be sound
      }
    }
  }

  #ping() {
    const socket = this.socket;
    const asked = Date.now();
    if (!socket || !this.send({ type: "ping" })) return;
    setTimeout(() => {
      if (this.socket === socket && this.heardAt < asked) this.#gone(socket);
    }, ANSWER_MS);
  }

  /** @param {WebSocket} socket */
  #gone(socket) {
    if (this.socket !== socket) return;
    this.socket = null;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
    clearInterval(this.pinger);
    clearTimeout(this.timer);
    const steady = this.welcomedAt && Date.now() - this.welcomedAt > STEADY_MS;
    this.failures = steady ? 0 : this.failures + 1;
    this.welcomedAt = 0;
    const held = this.status.phase === "idle";
    const restarted = this.restarting;
    this.restarting = false;
    this.above.closed();
    if (held) return;
    if (restarted && this.restarts === 1) {
      this.start();
      return;
    }
    if (this.bye && !this.bye.reconnect) {
      this.#become("ended", this.bye.detail);
      return;
    }
    const earliest_s = this.bye?.after_s ?? 0;
    this.notBefore = Date.now() + 1000 * earliest_s;
    this.timer = setTimeout(() => this.start(), 1000 * pause_s(this.failures, earliest_s));
    this.#become("waiting", this.bye?.detail ?? "");
  }

  /** @param {Status["phase"]} phase */
  #become(phase, why = "") {
    this.status = { phase, why };
    this.above.changed();
  }
}
