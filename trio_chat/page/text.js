/**
 * What somebody wrote, as segments that are safe to show.
 *
 * Nothing here makes HTML: a segment is a kind and a text, and dom.js puts it into nodes. Only http and https
 * become links. The controls that turn the direction of writing around are made visible, since with them one
 * line can pretend to be another. In code there are neither links nor mentions.
 *
 * Every scanner takes linear time on any text: tests/browser/test_scanners.py counts its steps, and a new one goes into
 * the table there.
 *
 * @typedef {{kind: "text" | "link" | "mention" | "mark" | "code" | "block", text: string, href?: string,
 *   raw?: string}} Segment
 */

import { parts } from "./code.js";
import { links, TRIES_MAX, TURNS } from "./links.js";

const TURN = new RegExp(`[${TURNS}]`, "gu");
const SHORTEST_BARE_NAME = 3; // somebody called "I" is not meant by every sentence: "@I" is

// Segments other than text in one message; the rest of the message is text. Each is one element or two, and a window
// holds 400 messages. Without the bound, 60 messages of `a` in backticks made 60,000 nodes and blocked for a second.
const MARKED_MAX = 50;
const REMEMBERED_MAX = 200; // texts: an entry is scanned when it counts as unread, and drawn soon after

/** @type {Map<string, Segment[]>} by name and text, the oldest first */
const remembered = new Map();

/**
 * Divide a text into what is shown differently: at most `MARKED_MAX` segments that are not text.
 *
 * @param {string} text
 * @param {string} me  one's name, whose mentions are marked; empty for none
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
 * Yield the spans of the first finder, and in the stretches between them those of the next finders.
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
    for (const { index, 0: name } of me ? text.matchAll(pattern(me)) : []) {
      yield { start: index, end: index + name.length, segment: { kind: "mention", text: name } };
    }
  };
}

/** @type {Finder} of controls that turn the writing around */
function* turns(text) {
  for (const { index, 0: control } of text.matchAll(TURN)) {
    yield { start: index, end: index + 1, segment: { kind: "mark", text: named(control) } };
  }
}

const named = (control) => "U+" + control.codePointAt(0).toString(16).toUpperCase();

/** Replace the controls that turn the writing around by their names. @param {string} text */
const visible = (text) => text.replace(TURN, named);

/** @param {string} text  @param {string} me  @returns {boolean} whether somebody is called in it */
export function mentions(text, me) {
  if (me === "" || !pattern(me).test(text)) return false;
  return segments(text, me).some(({ kind }) => kind === "mention"); // not by a link, and not by code
}

/** @param {string} text  @returns {string} on one line, where there are no nodes: a topic, an announcement */
export function oneLine(text) {
  return visible(text).replace(/\s+/gu, " ").trim();
}

/** @param {string} detail  of an error  @returns {string} as a sentence begins */
export function sentence(detail) {
  return detail.charAt(0).toUpperCase() + detail.slice(1);
}

/** What may be said: a text has no control characters but newline and tab, and a paste may. */
export function sayable(/** @type {string} */ text) {
  return text.replace(/\r\n?/g, "\n").replace(/[\u0000-\u0008\u000B-\u001F\u007F-\u009F]/g, "");
}

/** @type {Map<string, RegExp>} one's own few names: a pattern is dear, and asked for with every entry */
const patterns = new Map();

function pattern(name) {
  let made = patterns.get(name);
  if (!made) {
    const escaped = name.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
    const at = Array.from(name).length < SHORTEST_BARE_NAME ? "@" : "@?";
    made = new RegExp(`(?<![\\p{L}\\p{N}_@])${at}${escaped}(?![\\p{L}\\p{N}_])`, "giu");
    if (patterns.size > 20) patterns.clear();
    patterns.set(name, made);
  }
  made.lastIndex = 0; // a global pattern remembers where its last test ended
  return made;
}
