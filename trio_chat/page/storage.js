/**
 * What the browser keeps for this page: who one is, where one is, what is not sent yet.
 *
 * A browser may have no storage for us (blocked, private, full). Then the page works all the same and forgets
 * when it is closed: every write is also kept here, and none may fail.
 */

const PREFIX = "trio-chat.";

export class Storage {
  /** @param {globalThis.Storage | null} kept  localStorage, or null where there is none */
  constructor(kept) {
    this.kept = kept;
    /** @type {Map<string, string>} what could not be kept */
    this.held = new Map();
  }

  /** @param {string} key  @param {any} [otherwise]  @returns {any} */
  get(key, otherwise = null) {
    try {
      const text = this.held.get(key) ?? this.kept?.getItem(PREFIX + key);
      return text == null ? otherwise : JSON.parse(text);
    } catch {
      return otherwise; // another program's, or another version's: as if there were none
    }
  }

  /** @param {string} key  @param {any} value */
  set(key, value) {
    const text = JSON.stringify(value);
    try {
      if (!this.kept) throw new Error("no storage");
      this.kept.setItem(PREFIX + key, text);
      this.held.delete(key);
    } catch {
      this.held.set(key, text);
    }
  }

  /** @param {string} key */
  remove(key) {
    this.held.delete(key);
    try {
      this.kept?.removeItem(PREFIX + key);
    } catch {
      // As above.
    }
  }

  /** @param {string} start  @returns {string[]} the keys that begin so */
  keys(start) {
    const found = new Set([...this.held.keys()].filter((key) => key.startsWith(start)));
    try {
      for (let n = 0; this.kept && n < this.kept.length; n++) {
        const key = this.kept.key(n);
        if (key?.startsWith(PREFIX + start)) found.add(key.slice(PREFIX.length));
      }
    } catch {
      // As above.
    }
    return [...found];
  }

  /** @param {string | null} key  of a `storage` event  @returns {string} ours, or empty */
  static ours(key) {
    return key?.startsWith(PREFIX) ? key.slice(PREFIX.length) : "";
  }
}

/** @param {"localStorage" | "sessionStorage"} which  @returns {globalThis.Storage | null} */
export function browsers(which) {
  try {
    return globalThis[which] ?? null; // merely to look at it throws where storage is blocked
  } catch {
    return null;
  }
}

/**
 * Letters that nobody guesses; also over plain http, where browsers withhold `randomUUID`.
 *
 * @param {number} length
 * @returns {string}
 */
export function randomLetters(length) {
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  return Array.from(crypto.getRandomValues(new Uint8Array(length)), (byte) => letters[byte & 63]).join("");
}
