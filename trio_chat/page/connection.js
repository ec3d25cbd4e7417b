/**
 * One WebSocket at a time, replaced when it closes.
 *
 * The class knows nothing of rooms: it passes events on, reports when a connection opens and closes, and keeps it
 * alive. A browser notices a dead connection late or never, so silence after a ping closes it here.
 *
 * @typedef {{phase: "idle" | "connecting" | "open" | "waiting" | "ended", why: string}} Status
 */

import { pause_s } from "./backoff.js";
import { pingEvery_s, reconnect_s } from "./delays.js";
import { checked } from "./events.js";

const OPENING_MS = 10_000;
const ANSWER_MS = 10_000;
const STEADY_MS = 10_000; // a connection that closes sooner counts as a failed attempt
const BETWEEN_MS = 1_000; // minimum time between attempts that browser events trigger
const OFFLINE = "this device is offline";

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
    /** Whether a goodbye was sent on this connection, to say hello on the next connection. */
    this.restarting = false;
    this.restarts = 0; // in a row
    /** Whether the browser has reported that the device has no network. */
    this.offline = false;
    // Times are from `performance`: the system clock may be set at any time.
    this.notBefore = 0;
    this.triedAt = -Infinity;
    this.welcomedAt = 0;
    this.messages = 0; // received
    /** @type {import("./events.js").Bye | null} */
    this.bye = null;
    /** @type {any} */ this.timer = 0;
    /** @type {any} */ this.pinger = 0;
  }

  /** Connect, unless connected or connecting. */
  start() {
    if (this.socket) return;
    clearTimeout(this.timer);
    this.triedAt = performance.now();
    this.bye = null;
    this.#become("connecting");
    const socket = new WebSocket(this.url);
    this.socket = socket;
    this.#awaitWelcome(socket);
    socket.onopen = () => {
      this.messages++;
      this.above.opened();
    };
    socket.onmessage = ({ data }) => this.#hear(data);
    socket.onclose = () => this.#gone(socket);
  }

  /** Try now if waiting, or check whether the connection is still alive: an attempt is likely to succeed. */
  nudge() {
    const { phase } = this.status;
    if (phase === "open") this.#ping();
    if (phase !== "waiting" || this.offline) return;
    const now = performance.now();
    if (now < this.notBefore) return; // the delay that the server asked for takes precedence, and its timer runs
    const early = this.triedAt + BETWEEN_MS - now;
    if (early > 0) this.#tryIn(early);
    else this.start();
  }

  /** Handle the loss of the network: make no attempt until it is back, or until the user asks for one. */
  lostNetwork() {
    this.offline = true;
    if (this.socket && this.status.phase !== "idle") this.#gone(this.socket);
    else if (this.status.phase === "waiting") this.#wait();
  }

  /** Handle the return of the network. */
  foundNetwork() {
    const waiting = this.offline && this.status.phase === "waiting";
    this.offline = false;
    if (waiting && performance.now() < this.notBefore) this.#wait();
    else this.nudge();
  }

  /** @param {object} command  @returns {boolean} whether a connection was there to send it on */
  send(command) {
    if (this.socket?.readyState !== WebSocket.OPEN || this.restarting) return false;
    this.socket.send(JSON.stringify(command));
    return true;
  }

  /** Handle the server's welcome. @param {number} ping_s */
  welcomed(ping_s) {
    clearTimeout(this.timer);
    this.restarts = 0;
    this.offline = false; // the server is reachable whatever the browser reports, such as a server on this machine
    this.welcomedAt = performance.now();
    this.triedAt = -Infinity; // after a successful attempt the next need not wait
    clearInterval(this.pinger);
    this.pinger = setInterval(() => this.#ping(), 1000 * pingEvery_s(ping_s));
    this.#become("open");
  }

  /**
   * Send only a goodbye, and say hello on a new connection once this connection has ended: earlier, the server might
   * still hold the name.
   */
  restart() {
    this.send({ type: "quit" });
    this.restarting = true;
    this.restarts++;
  }

  /** Wait for the user's answer: do not count the wait as a failure to connect. */
  hold() {
    clearTimeout(this.timer);
    this.#become("idle");
  }

  /** Resume after the user's answer: from now on a failed connection is replaced again. */
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
    this.messages++;
    if (this.restarting) return;
    for (const line of String(data).split("\n")) {
      if (!line) continue;
      try {
        const event = checked(JSON.parse(line));
        if (event?.type === "bye") this.bye = event;
        else if (event) this.above.heard(event);
      } catch (error) {
        console.error("cannot take an event:", error); // the next event may be valid
      }
    }
  }

  #ping() {
    const socket = this.socket;
    const { messages } = this;
    if (!socket || !this.send({ type: "ping" })) return;
    setTimeout(() => {
      if (this.socket === socket && this.messages === messages) this.#gone(socket);
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
    const steady = this.welcomedAt && performance.now() - this.welcomedAt > STEADY_MS;
    if (steady) this.failures = 0;
    else if (!this.offline) this.failures++;
    this.welcomedAt = 0;
    const held = this.status.phase === "idle";
    const restarted = this.restarting;
    this.restarting = false;
    this.above.closed();
    if (held) return;
    if (restarted && this.restarts === 1 && !this.offline) {
      this.start();
      return;
    }
    if (this.bye && !this.bye.reconnect) {
      this.#become("ended", this.bye.detail);
      return;
    }
    this.notBefore = performance.now() + 1000 * reconnect_s(this.bye?.after_s);
    this.#wait();
  }

  /** Wait for the next attempt, or while offline for the network. */
  #wait() {
    clearTimeout(this.timer);
    if (this.offline) return this.#become("waiting", OFFLINE);
    const earliest_s = Math.max(0, this.notBefore - performance.now()) / 1000;
    this.#tryIn(1000 * pause_s(this.failures, earliest_s));
    this.#become("waiting", this.bye?.detail ?? "");
  }

  /** @param {number} ms */
  #tryIn(ms) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.start(), ms);
  }

  /** @param {Status["phase"]} phase */
  #become(phase, why = "") {
    this.status = { phase, why };
    this.above.changed();
  }
}
