/**
 * What somebody wrote, as segments that are safe to show.
 *
 * Nothing here makes HTML: a segment is a kind and a text, and dom.js puts it into nodes. Only http and https
 * become links. The controls that turn the direction of writing around are made visible, since with them one
 * line can pretend to be another. In code there are neither links nor mentions.
 *
 * @typedef {{kind: "text" | "link" | "mention" | "mark" | "code" | "block", text: string, href?: string,
 *   raw?: string}} Segment
 */

import { parts } from "./code.js";

const TURNS = "\u202A-\u202E\u2066-\u2069";
const LINK = new RegExp(`https?://[^\\s<>"${TURNS}]+`, "giu");
const TURN = new RegExp(`[${TURNS}]`, "gu");
const SHORTEST_BARE_NAME = 3; // somebody called "I" is not meant by every sentence: "@I" is

/**
 * @param {string} text
 * @param {string} me  one's name, whose mentions are marked; empty for none
 * @returns {Segment[]}
 */
export function segments(text, me = "") {
  return parts(text).flatMap(({ kind, text, raw }) =>
    kind === "text" ? linked(text, me) : [{ kind, text: visible(text), raw }],
  );
}

/** @param {string} text  without code  @param {string} me  @returns {Segment[]} */
function linked(text, me) {
  /** @type {Segment[]} */
  const found = [];
  let from = 0;
  for (const match of text.matchAll(LINK)) {
    const shown = withoutTail(match[0]);
    const href = address(shown);
    if (href === null) continue;
    found.push(...plain(text.slice(from, match.index), me));
    found.push({ kind: "link", text: shown, href });
    from = match.index + shown.length;
  }
  found.push(...plain(text.slice(from), me));
  return found;
}

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

/** The punctuation behind an address belongs to the sentence, unless its bracket was opened within. */
function withoutTail(link) {
  let end = link.length;
  for (; end > 0; end--) {
    const last = link[end - 1];
    if (last === ")" && count(link.slice(0, end), "(") >= count(link.slice(0, end), ")")) break;
    if (!".,:;!?'’”)]}*_".includes(last)) break;
  }
  return link.slice(0, end);
}

const count = (text, letter) => text.split(letter).length - 1;

function address(link) {
  try {
    const url = new URL(link);
    return (url.protocol === "https:" || url.protocol === "http:") && url.hostname ? url.href : null;
  } catch {
    return null;
  }
}

/** Text without links: mentions, and what must be made visible. @returns {Segment[]} */
function plain(text, me) {
  const found = [];
  let from = 0;
  for (const match of me ? text.matchAll(pattern(me)) : []) {
    found.push(...marked(text.slice(from, match.index)), { kind: "mention", text: match[0] });
    from = match.index + match[0].length;
  }
  return [...found, ...marked(text.slice(from))];
}

/** A text as it is, but for what turns the writing around. @param {string} text  @returns {Segment[]} */
function marked(text) {
  /** @type {Segment[]} */
  const found = [];
  let from = 0;
  for (const match of text.matchAll(TURN)) {
    if (match.index > from) found.push({ kind: "text", text: text.slice(from, match.index) });
    found.push({ kind: "mark", text: "U+" + match[0].codePointAt(0).toString(16).toUpperCase() });
    from = match.index + 1;
  }
  if (from < text.length) found.push({ kind: "text", text: text.slice(from) });
  return found;
}

/** The same where there are no nodes. @param {string} text */
const visible = (text) =>
  marked(text)
    .map((segment) => segment.text)
    .join("");

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
