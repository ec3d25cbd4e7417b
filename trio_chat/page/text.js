/**
 * Split a user's text into segments that are safe to show.
 *
 * Nothing here makes HTML: a segment is a kind and a text, and dom.js puts it into nodes. Only http and https
 * become links. Bidirectional control characters are made visible, since with them one line can
 * imitate another. In code there are neither links nor mentions.
 *
 * Every scanner takes linear time on any text: tests/browser/test_scanners.py counts its steps. A new scanner needs a
 * row in the table there.
 *
 * @typedef {{kind: "text" | "link" | "mention" | "mark" | "code" | "block", text: string, href?: string,
 *   raw?: string}} Segment
 */

import { parts } from "./code.js";

/** Bidirectional control characters. */
const TURN = /[\u202A-\u202E\u2066-\u2069]/gu;
const SHORTEST_BARE_NAME = 3; // a user named "I" is not mentioned by every sentence, only by "@I"

// Segments other than text in one message; the rest of the message is text. Each is one element or two, and a window
// holds 400 messages. Without the bound, 60 messages of `a` in backticks made 60,000 nodes and blocked for a second.
const MARKED_MAX = 50;
const REMEMBERED_MAX = 200; // texts: an entry is scanned when it counts as unread, and drawn soon after

/** @type {Map<string, Segment[]>} by name and text, the oldest first */
const remembered = new Map();

/**
 * Split a text into segments of different kinds: at most `MARKED_MAX` segments that are not text.
 *
 * @param {string} text
 * @param {string} me  the user's name, whose mentions are marked; empty for none
 * @returns {Segment[]} read-only: a later call with the same text may return the same list
 */
export function segments(text, me = "") {
  const key = `${me}\n${text}`;
  let made = remembered.get(key);
  if (!made) {
    made = divided(text, me);
    if (remembered.size >= REMEMBERED_MAX) remembered.delete(remembered.keys().next().value ?? "");
    remembered.set(key, made);
  }
  return made;
}

/** @param {string} text  @param {string} me  @returns {Segment[]} */
function divided(text, me) {
  /** @type {Segment[]} */
  const found = [];
  let from = 0;
  let marked = 0;
  for (const { start, end, segment } of nested(text, [codes, addresses(), calls(me), turns], 0)) {
    if (++marked > MARKED_MAX) break;
    if (start > from) found.push({ kind: "text", text: text.slice(from, start) });
    found.push(segment);
    from = end;
  }
  if (from < text.length) found.push({ kind: "text", text: visible(text.slice(from)) });
  return found;
}

/**
 * Yield the spans of the first finder, and in the text between them those of the next finders.
 *
 * A finder gets each stretch as a text of its own, so each finder reads every letter once.
 *
 * @typedef {{start: number, end: number, segment: Segment}} Span
 * @typedef {(text: string) => Iterable<Span>} Finder
 *
 * @param {string} text
 * @param {Finder[]} finders
 * @param {number} offset  of the text
 * @returns {Generator<Span>}
 */
function* nested(text, [find, ...others], offset) {
  if (!find || !text) return;
  let from = 0;
  for (const { start, end, segment } of find(text)) {
    yield* nested(text.slice(from, start), others, offset + from);
    yield { start: offset + start, end: offset + end, segment };
    from = end;
  }
  yield* nested(text.slice(from), others, offset + from);
}

/** @type {Finder} of code, with visible controls */
function* codes(text) {
  let start = 0;
  for (const { kind, text: code, raw } of parts(text)) {
    const end = start + raw.length;
    if (kind !== "text") yield { start, end, segment: { kind, text: visible(code), raw } };
    start = end;
  }
}

/** @returns {Finder} of links; its stretches share one budget */
function addresses() {
  const budget = { tries: TRIES_MAX };
  return function* (text) {
    for (const { start, end, href } of links(text, budget)) {
      yield { start, end, segment: { kind: "link", text: text.slice(start, end), href } };
    }
  };
}

/** @param {string} me  @returns {Finder} of the mentions of a name */
function calls(me) {
  return function* (text) {
    for (const { start, end } of called(text, me)) {
      yield { start, end, segment: { kind: "mention", text: text.slice(start, end) } };
    }
  };
}

/** @type {Finder} of bidirectional controls */
function* turns(text) {
  for (const { index, 0: control } of text.matchAll(TURN)) {
    yield { start: index, end: index + 1, segment: { kind: "mark", text: named(control) } };
  }
}

const named = (/** @type {string} */ control) =>
  "U+" + Number(control.codePointAt(0)).toString(16).toUpperCase();

/** Replace bidirectional controls by their names. @param {string} text */
const visible = (text) => text.replace(TURN, named);

/** @param {string} text  @param {string} me  @returns {boolean} whether the text mentions `me` */
export function mentions(text, me) {
  if (called(text, me).next().done) return false;
  return segments(text, me).some(({ kind }) => kind === "mention"); // links and code do not count
}

/** @param {string} text  @returns {string} on one line, for texts without nodes: a topic, an announcement */
export function oneLine(text) {
  return visible(text).replace(/\s+/gu, " ").trim();
}

/** @param {string} detail  of an error  @returns {string} as a sentence begins */
export function sentence(detail) {
  return detail.charAt(0).toUpperCase() + detail.slice(1);
}

/** Return a pasted text as the server accepts it: without control characters except newline and tab. */
export function sayable(/** @type {string} */ text) {
  return text.replace(/\r\n?/g, "\n").replace(/[\u0000-\u0008\u000B-\u001F\u007F-\u009F]/g, "");
}

/** The addresses of one message that the browser parses; refusing one costs more than accepting it. */
const TRIES_MAX = 100;

// The host begins after two slashes: the parser would skip a third, and the check of its length would miss it.
const LINK_START = /https?:\/\/[^\s<>"/\\\u202A-\u202E\u2066-\u2069]/giu;
/** Ends an address anywhere: the sentence continues after it, in some scripts without a space. */
const LINK_STOP =
  /[\s<>"\u202A-\u202E\u2066-\u2069«»“”„‹›、。〃〝〞〟！＂＇，．：；？｡､،؛؟۔।॥։׃၊။។៕።፣፤፥፦፧།༎]/u;
const OPENING = "（「『【〔〖〘〚《〈［｛｟｢";
const CLOSING = "）」』】〕〗〙〛》〉］｝｠｣";
/** Belongs to the sentence at the end of an address, and to the address within it. */
const LINK_TAIL = /[.,:;!?'’)\]}*_]/u;
const PUNCTUATION = /[^\P{P}\u0000-\u007F]/u; // of any script but ASCII
const HOST_END = /[/?#\\]/u;
const HOST_MAX = 256; // a name in the DNS has 253; with a port, or a user

/**
 * Yield the addresses in a text, in their order: only http and https, without the punctuation of the sentence around
 * them.
 *
 * The scanner reads every letter a fixed number of times. It checks the length of a host before the browser parses
 * the address, because the parser takes time that grows with the square of that length.
 *
 * @param {string} text
 * @param {{tries: number}} budget  the addresses left to parse, in this text and in others with the same budget
 * @returns {Generator<{start: number, end: number, href: string}>}
 */
function* links(text, budget) {
  let scanned = 0;
  /** @type {Set<number> | null} */
  let paired = null;
  for (const { index: start, 0: head } of text.matchAll(LINK_START)) {
    if (start < scanned) continue;
    if (--budget.tries < 0) return;
    paired ??= pairs(text);
    scanned = start + head.length - 1;
    while (scanned < text.length && !endsLink(text, scanned, paired)) scanned++;
    const shown = withoutTail(text.slice(start, scanned));
    const href = address(shown);
    if (href !== null) yield { start, end: start + shown.length, href };
  }
}

/** @param {string} text  @param {number} at  @param {Set<number>} paired */
function endsLink(text, at, paired) {
  const letter = text.charAt(at);
  return LINK_STOP.test(letter) || (isBracket(letter) && !paired.has(at));
}

/** @param {string} letter */
const isBracket = (letter) => OPENING.includes(letter) || CLOSING.includes(letter);

/**
 * Return the positions of matching full-width brackets. A pair holds no space, no end of a sentence and no
 * beginning of another address.
 *
 * @param {string} text
 */
function pairs(text) {
  /** @type {Set<number>} */
  const paired = new Set();
  /** @type {number[]} */
  let open = [];
  for (let at = 0; at < text.length; at++) {
    const letter = text.charAt(at);
    if (OPENING.includes(letter)) {
      open.push(at);
    } else if (CLOSING.includes(letter)) {
      const opening = open.pop() ?? -1;
      if (opening >= 0 && OPENING.indexOf(text.charAt(opening)) === CLOSING.indexOf(letter)) {
        paired.add(opening).add(at);
      } else {
        open = [];
      }
    } else if (LINK_STOP.test(letter) || (letter === ":" && text.startsWith("//", at + 1))) {
      open = [];
    }
  }
  return paired;
}

/** The punctuation behind an address belongs to the sentence, unless its bracket was opened within. */
function withoutTail(/** @type {string} */ link) {
  let unopened = count(link, ")") - count(link, "(");
  let end = link.length;
  while (end > 0) {
    const last = letterBefore(link, end);
    if (!LINK_TAIL.test(last) && (!PUNCTUATION.test(last) || isBracket(last))) break;
    if (last === ")" && unopened-- <= 0) break;
    end -= last.length;
  }
  return link.slice(0, end);
}

const count = (/** @type {string} */ text, /** @type {string} */ letter) => text.split(letter).length - 1;

function address(/** @type {string} */ link) {
  const host = link.slice(link.indexOf("//") + 2);
  if (host.length > HOST_MAX && host.slice(0, HOST_MAX + 1).search(HOST_END) < 0) return null;
  try {
    const url = new URL(link);
    return (url.protocol === "https:" || url.protocol === "http:") && url.hostname ? url.href : null;
  } catch {
    return null;
  }
}

/** The characters of a word, except the invisible joiners. */
const WORD = /[\p{L}\p{N}\p{M}\p{Pc}]/u;
const JOINER = /[\u00AD\u200C\u200D\u2060\uFEFF]/u;
/** Joins two words to one name or address: `jean-luc`, `ada.lovelace`, `ada+news@x.org`. */
const HYPHEN = /[-.+@·‧‐֊־׳״・]/u;
/** Scripts that write words without a space between them, or particles directly behind a name. */
const SPACELESS =
  /[\p{scx=Han}\p{scx=Hira}\p{scx=Kana}\p{scx=Bopo}\p{scx=Hang}\p{scx=Yiii}\p{scx=Thai}\p{scx=Laoo}\p{scx=Khmr}\p{scx=Mymr}\p{scx=Tibt}\p{scx=Lana}\p{scx=Tale}\p{scx=Talu}\p{scx=Java}\p{scx=Bali}]/u;
/** Begins a word of such a script. Thai and Lao have letters that only follow others of their word. */
const BEGINS_WORD = /[^\P{Lo}\u0E2F-\u0E33\u0E45\u0EAF-\u0EB3]/u;

/**
 * Yield the mentions of a name: the whole name, in any case and any form of its letters, or after an `@` also if a
 * script without spaces continues directly. docs/vectors.json has examples.
 *
 * @param {string} text
 * @param {string} me  empty for none
 * @returns {Generator<{start: number, end: number}>}
 */
function* called(text, me) {
  const name = folded(me).text;
  if (name === "") return;
  const { text: words, begins } = folded(text);
  const isShort = Array.from(me).length < SHORTEST_BARE_NAME;
  const beginOf = (/** @type {number} */ at) => (begins ? (begins[at] ?? text.length) : at);
  const isInside = (/** @type {number} */ at) => at > 0 && beginOf(at) === beginOf(at - 1);
  for (let at = words.indexOf(name); at >= 0; at = words.indexOf(name, at)) {
    const end = at + name.length;
    const sign = signBefore(words, at);
    const isWhole = sign !== null && !isInside(at) && !isInside(end) && endsName(words, end, sign !== "");
    if (isWhole && (sign || !isShort)) {
      yield { start: beginOf(at - sign.length), end: beginOf(end) };
      at = end;
    } else {
      at++;
    }
  }
}

/**
 * Return the sign before a name: `@`, or nothing; null where the name is the end of a longer word.
 *
 * @param {string} words
 * @param {number} at  of the name
 */
function signBefore(words, at) {
  let from = at;
  while (from > 0 && JOINER.test(words.charAt(from - 1))) from--;
  const last = letterBefore(words, from);
  const before = letterBefore(words, from - last.length);
  if (last === "@" && from === at && before !== "@" && (!WORD.test(before) || SPACELESS.test(before)))
    return "@";
  return last === "@" || WORD.test(last) || (HYPHEN.test(last) && WORD.test(before)) ? null : "";
}

/** @param {string} words  @param {number} end  of a name  @param {boolean} signed  with an `@` before it */
function endsName(words, end, signed) {
  let from = end;
  while (JOINER.test(words.charAt(from))) from++;
  const next = letterAt(words, from);
  if (signed && from === end && SPACELESS.test(next) && BEGINS_WORD.test(next)) return true;
  if (WORD.test(next)) return false;
  const after = letterAt(words, from + next.length);
  if (next === "@" && signed && (SPACELESS.test(after) || SPACELESS.test(letterBefore(words, end))))
    return true;
  return !HYPHEN.test(next) || !WORD.test(after);
}

// A letter with its marks, or with the vowels and ends of its syllable in Hangul; normalizing takes the square of them.
const CLUSTER = /\P{M}?[\p{M}\u1160-\u11FF]{0,30}/gu;
const ASCII = /^[\u0000-\u007F]*$/u;

/**
 * Return a text with one form of each letter and no capitals, and for each unit of it where its letter begins in the
 * text; null where both have the same units.
 *
 * @param {string} text
 * @returns {{text: string, begins: number[] | null}}
 */
function folded(text) {
  if (ASCII.test(text)) return { text: text.toLowerCase(), begins: null };
  let made = "";
  /** @type {number[]} */
  const begins = [];
  for (const { index, 0: cluster } of text.matchAll(CLUSTER)) {
    const letter = cluster.normalize("NFKC").toLowerCase().normalize("NFC").replaceAll("ς", "σ");
    for (let n = 0; n < letter.length; n++) begins.push(index);
    made += letter;
  }
  return { text: made, begins };
}

/** @param {string} text  @param {number} end  @returns {string} the letter that ends there; empty at the start */
function letterBefore(text, end) {
  const letter = String.fromCodePoint(text.codePointAt(Math.max(0, end - 2)) ?? 0);
  return end > 1 && letter.length === 2 ? letter : text.charAt(end - 1);
}

/** @param {string} text  @param {number} at  @returns {string} the letter that begins there; empty at the end */
function letterAt(text, at) {
  const point = text.codePointAt(at);
  return point === undefined ? "" : String.fromCodePoint(point);
}
