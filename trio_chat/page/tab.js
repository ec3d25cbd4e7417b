/**
 * Decide which tab of the user sends an unsent line.
 *
 * Every load of the page has its own name and stores a heartbeat. The next load in the same tab adopts the unsent
 * lines of a load: at once after a clean close (a reload), otherwise after a timeout, as the browser has crashed or
 * this tab is a duplicate of a live tab. Any other tab of the user adopts them after a longer timeout (the tab was
 * closed). Two tabs may adopt the same line if a tab was asleep for long. That does no harm: a line keeps its ref,
 * and the server stores a ref once. Whispers have no such guarantee: a whisper from another load is never sent
 * unasked.
 */

import { randomLetters } from "./storage.js";

const GONE_MS = 180_000; // browsers run the timers of a hidden page once a minute
const FALLEN_MS = 100_000; // the same, for this tab itself: no other tab is asked for its lines meanwhile
const GRACE_MS = 10_000; // for a reload to finish before another tab adopts its lines

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

  /** Store the heartbeat of this page. @param {number} now */
  live(now) {
    this.shared.set("tab." + this.name, now);
    for (const key of this.shared.keys("tab.")) {
      if (now - this.shared.get(key, 0) > 2 * GONE_MS) this.shared.remove(key);
    }
  }

  /** Store that the page is being closed or reloaded. @param {number} now */
  letGo(now) {
    this.shared.set("tab." + this.name, now - GONE_MS + GRACE_MS);
  }

  /** @param {string} load  @param {number} now  @returns {boolean} whether this tab may adopt its lines */
  mayTake(load, now) {
    const silent = now - this.shared.get("tab." + load, 0);
    return silent > (load === this.before ? FALLEN_MS : GONE_MS);
  }
}
