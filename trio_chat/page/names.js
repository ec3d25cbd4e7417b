/**
 * Names as people compare them, and where they stand in the address.
 *
 * The server decides what a name is; here is only what a page has to guess before it is told: that `Ada`,
 * `ada` and the full-width `ａｄａ` are one. A place is where one can be: a room, or whispers with somebody.
 */

/** How many colours names are shown in: `--name-0` and on, in colours.css. */
const HUES = 10;

/** @param {string} name  @returns {string} equal for equal names */
export function fold(name) {
  return name.normalize("NFKC").toLowerCase().normalize("NFC");
}

/** @param {string} name  @returns {number} which of the colours is theirs, on every page the same */
export function hue(name) {
  let hash = 0x811c9dc5;
  for (const letter of fold(name)) {
    hash = Math.imul(hash ^ Number(letter.codePointAt(0)), 0x01000193) >>> 0;
  }
  return (((hash >>> 16) ^ hash) >>> 0) % HUES;
}

/** @param {string} name  @returns {string} what stands in for a face */
export function initial(name) {
  return (Array.from(name)[0] ?? "?").toUpperCase();
}

/** The key of a room. No room's name begins with `@`, so the two kinds of keys never meet. */
export const roomKey = (/** @type {string} */ name) => "#" + fold(name);

/** The key of one's whispers with somebody. */
export const whisperKey = (/** @type {string} */ name) => "@" + fold(name);

/** @param {string} key  @param {string} name  @returns {string} the fragment of the page's address */
export function addressOf(key, name) {
  return "#" + (key.startsWith("@") ? "@" : "") + encodeURIComponent(name);
}

/**
 * @param {string} hash  the fragment, with its `#`
 * @returns {{key: string, name: string} | null} null when it names no place
 */
export function placeAt(hash) {
  let name = hash.replace(/^#/, "");
  try {
    name = decodeURIComponent(name);
  } catch {
    // A lone % is what somebody typed by hand: take it as it stands.
  }
  if (name.startsWith("@")) {
    return name.length > 1 ? { key: whisperKey(name.slice(1)), name: name.slice(1) } : null;
  }
  return name ? { key: roomKey(name), name } : null;
}

/**
 * The rest of a name that was begun before the caret: with `@`, or as the one to whisper to.
 *
 * @param {string} before  what stands before the caret
 * @param {Iterable<string>} names
 * @returns {{from: number, fits: string[]} | null} where the begun name is, and which names it may become
 */
export function begun(before, names) {
  const match = /(?<=^|\s)@(\S*)$/u.exec(before) ?? /(?<=^\/msg\s+)([^\s@]\S*)$/iu.exec(before);
  if (!match) return null;
  const fits = [...names].filter((name) => fold(name).startsWith(fold(match[1]))).sort();
  return fits.length ? { from: match.index, fits } : null;
}
