/**
 * Which of one's tabs answers for a line that is not sent yet.
 *
 * Every load of the page has a name of its own and shows from time to time that it lives. What a load had
 * not sent goes to the load behind it in the same tab: at once when it took its leave (a reload), else when
 * nothing was heard of it for a while, as then the browser has fallen, or this tab is the double of one that
 * lives. And it goes to any other of one's tabs after a longer while (the tab was closed). Two may take the same
 * line, when a tab was asleep for long. That does no harm, as a line keeps its ref, and the server says a ref
 * once. Whispers have no such promise: one from another load is never sent unasked.
 */

import { randomLetters } from "./storage.js";

const GONE_MS = 180_000; // browsers let a hidden page look at its clock once a minute
const FALLEN_MS = 100_000; // the same, for this tab itself: no other tab is asked for its lines meanwhile
const GRACE_MS = 10_000; // for a reload to come back before another tab takes over

export class Tab {
  /**
   * @param {import("./storage.js").Storage} shared  of all tabs
   * @param {import("./storage.js").Storage} own  of this one
   */
  constructor(shared, own) {
    this.shared = shared;
    this.name = randomLetters(12);
    this.before = own.get("load", "");
    own.set("load", this.name);
  }

  /** Show that this page lives. @param {number} now */
  live(now) {
    this.shared.set("tab." + this.name, now);
    for (const key of this.shared.keys("tab.")) {
      if (now - this.shared.get(key, 0) > 2 * GONE_MS) this.shared.remove(key);
    }
  }

  /** The page is being closed, or loaded again. @param {number} now */
  letGo(now) {
    this.shared.set("tab." + this.name, now - GONE_MS + GRACE_MS);
  }

  /** @param {string} load  @param {number} now  @returns {boolean} whether its lines are ours to send */
  mayTake(load, now) {
    const silent = now - this.shared.get("tab." + load, 0);
    return silent > (load === this.before ? FALLEN_MS : GONE_MS);
  }
}
