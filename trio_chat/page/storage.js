/**
 * The browser's storage for this page: identity, place, unsent lines.
 *
 * A browser may have no storage for the page (blocked, private, full). The page then works as usual and loses its
 * data when it is closed: failed writes are kept in memory, and no write throws.
 */

const PREFIX = "trio-chat."; // of data shared by all servers of an origin

export class Storage {
  /**
   * @param {globalThis.Storage | null} kept  localStorage, or null where there is none
   * @param {string} [prefix]  of all keys; may be set anew
   */
  constructor(kept, prefix = PREFIX) {
    this.kept = kept;
    this.prefix = prefix;
    /** @type {Map<string, string>} values that could not be stored, by full key */
    this.held = new Map();
  }

  /** Return the same storage under another prefix. @param {string} prefix  @returns {Storage} */
  under(prefix) {
    const other = new Storage(this.kept, prefix);
    other.held = this.held;
    return other;
  }

  /** @param {string} key  @param {any} [otherwise]  @returns {any} */
  get(key, otherwise = null) {
    const whole = this.prefix + key;
    try {
      const text = this.held.get(whole) ?? this.kept?.getItem(whole);
      return text == null ? otherwise : JSON.parse(text);
    } catch {
      return otherwise; // written by another program or version: treat it as missing
    }
  }

  /** @param {string} key  @returns {string} empty where the storage has no text */
  text(key) {
    const value = this.get(key);
    return typeof value === "string" ? value : "";
  }

  /** @param {string} key  @returns {unknown[]} empty where the storage has no list */
  list(key) {
    const value = this.get(key);
    return Array.isArray(value) ? value : [];
  }

  /** @param {string} key  @param {any} value */
  set(key, value) {
    const whole = this.prefix + key;
    const text = JSON.stringify(value);
    try {
      if (!this.kept) throw new Error("no storage");
      this.kept.setItem(whole, text);
      this.held.delete(whole);
    } catch {
      this.held.set(whole, text);
    }
  }

  /** @param {string} key */
  remove(key) {
    this.held.delete(this.prefix + key);
    try {
      this.kept?.removeItem(this.prefix + key);
    } catch {
      // As above.
    }
  }

  /** @param {string} start  @returns {string[]} the keys that begin so */
  keys(start) {
    const whole = this.prefix + start;
    const found = new Set([...this.held.keys()].filter((key) => key.startsWith(whole)));
    try {
      for (let n = 0; this.kept && n < this.kept.length; n++) {
        const key = this.kept.key(n);
        if (key?.startsWith(whole)) found.add(key);
      }
    } catch {
      // As above.
    }
    return [...found].map((key) => key.slice(this.prefix.length));
  }

  /** @param {string | null} key  of a `storage` event  @returns {string} ours, or empty */
  ours(key) {
    return key?.startsWith(this.prefix) ? key.slice(this.prefix.length) : "";
  }
}

/** @param {"localStorage" | "sessionStorage"} which  @returns {globalThis.Storage | null} */
export function browsers(which) {
  try {
    return globalThis[which] ?? null; // reading the property throws if storage is blocked
  } catch {
    return null;
  }
}

/**
 * Return unguessable letters; also over plain http, where browsers have no `randomUUID`.
 *
 * @param {number} length
 * @returns {string}
 */
export function randomLetters(length) {
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  return Array.from(crypto.getRandomValues(new Uint8Array(length)), (byte) => letters[byte & 63]).join("");
}
