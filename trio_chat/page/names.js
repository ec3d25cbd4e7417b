/**
 * Compare names, and read and write them in the address.
 *
 * The server decides which names are valid; the page only guesses before it has the server's answer: `Ada`, `ada`
 * and the full-width `ａｄａ` are the same name. A place is a room, or the whispers with a person.
 */

/** How many colours names are shown in: `--name-0` and on, in colours.css. */
const HUES = 10;

const NAME_UNITS_MAX = 128; // a room's name has at most 64 characters, each of one or two units

/** @param {string} name  @returns {string} equal for equal names */
export function fold(name) {
  const steady = name.length > NAME_UNITS_MAX ? streamSafe(name) : name;
  return steady.normalize("NFKC").toLowerCase().normalize("NFC");
}

/**
 * Return the Stream-Safe form of UAX #15. Normalization sorts each run of combining marks in time that grows with the
 * square of its length, so no run may be longer than 30.
 *
 * @param {string} text
 */
const streamSafe = (text) => text.replace(/[^\P{M}\u034F]{30}(?=[^\P{M}\u034F])/gu, "$&\u034F");

/** @param {string} name  @returns {number} the colour of a name, the same on every page */
export function hue(name) {
  let hash = 0x811c9dc5;
  for (const letter of fold(name)) {
    hash = Math.imul(hash ^ Number(letter.codePointAt(0)), 0x01000193) >>> 0;
  }
  return (((hash >>> 16) ^ hash) >>> 0) % HUES;
}

/** @param {string} name  @returns {string} the initial shown as an avatar */
export function initial(name) {
  return (Array.from(name)[0] ?? "?").toUpperCase();
}

/** Return the key of a room. No room's name begins with `@`, so the two kinds of keys never meet. */
export const roomKey = (/** @type {string} */ name) => "#" + fold(name);

/** Return the key of the whispers with a person. */
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
    // A lone % was typed by hand: keep it as it is.
  }
  if (name.startsWith("@")) {
    return name.length > 1 ? { key: whisperKey(name.slice(1)), name: name.slice(1) } : null;
  }
  return name ? { key: roomKey(name), name } : null;
}

/**
 * Complete a name that begins before the caret: with `@`, or as the receiver of a whisper.
 *
 * @param {string} before  the text before the caret
 * @param {Iterable<string>} names
 * @returns {{from: number, fits: string[]} | null} the index of the typed part, and the names that match it
 */
export function begun(before, names) {
  const from = lastWord(before);
  const word = before.slice(from);
  if (!word || !(word.startsWith("@") || isWhisper(before.slice(0, from)))) return null;
  const wanted = fold(word.startsWith("@") ? word.slice(1) : word);
  const fits = [...names].filter((name) => fold(name).startsWith(wanted)).sort();
  return fits.length ? { from, fits } : null;
}

/** @returns {number} the start of the last word, or the end of the text if the word is longer than any name */
function lastWord(/** @type {string} */ text) {
  const least = Math.max(0, text.length - NAME_UNITS_MAX - 1); // one more, for the `@`
  let from = text.length;
  while (from > 0 && !SPACE.test(text.charAt(from - 1))) {
    if (--from < least) return text.length;
  }
  return from;
}

const SPACE = /\s/u;

/** @param {string} start  the text before a word  @returns {boolean} whether the word names the receiver */
const isWhisper = (start) => SPACE.test(start.charAt(4)) && start.trim().toLowerCase() === "/msg";
