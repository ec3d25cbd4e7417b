/**
 * What somebody wrote, as segments that are safe to show.
 *
 * Nothing here makes HTML: a segment is a kind and a text, and dom.js puts it into nodes. Only http and https
 * become links. The controls that turn the direction of writing around are made visible, since with them one
 * line can pretend to be another.
 *
 * @typedef {{kind: "text" | "link" | "mention" | "mark", text: string, href?: string}} Segment
 */

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
  return me !== "" && pattern(me).test(text);
}

/** @param {string} text  @returns {string} on one line, where there are no nodes: a topic, an announcement */
export function oneLine(text) {
  return [...marked(text)]
    .map((segment) => segment.text)
    .join("")
    .replace(/\s+/gu, " ")
    .trim();
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

/** Text without links: mentions, and what must be made visible. @returns {Generator<Segment>} */
function* plain(text, me) {
  if (!text) return;
  let from = 0;
  for (const match of me ? text.matchAll(pattern(me)) : []) {
    yield* marked(text.slice(from, match.index));
    yield { kind: "mention", text: match[0] };
    from = match.index + match[0].length;
  }
  yield* marked(text.slice(from));
}

/** @returns {Generator<Segment>} */
function* marked(text) {
  let from = 0;
  for (const match of text.matchAll(TURN)) {
    if (match.index > from) yield { kind: "text", text: text.slice(from, match.index) };
    yield { kind: "mark", text: "U+" + match[0].codePointAt(0).toString(16).toUpperCase() };
    from = match.index + 1;
  }
  if (from < text.length) yield { kind: "text", text: text.slice(from) };
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
