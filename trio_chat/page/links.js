/**
 * Find addresses in a text: only http and https, without the punctuation of the sentence around them.
 *
 * The scanner reads every letter a fixed number of times. It checks the length of a host before the browser parses
 * the address, because the parser takes time that grows with the square of that length.
 */

/** The controls that turn the direction of writing around, for a class of a regular expression. */
export const TURNS = "\u202A-\u202E\u2066-\u2069";

// The host begins after two slashes: the parser would skip a third, and the check of its length would miss it.
const LINK = new RegExp(`https?://[^\\s<>"/\\\\${TURNS}][^\\s<>"${TURNS}]*`, "giu");
const HOST_END = /[/?#\\]/u;
const HOST_MAX = 256; // a name in the DNS has 253; with a port, or a user
const TAIL = ".,:;!?'’”)]}*_";

/** The addresses of one message that the browser parses; refusing one costs more than accepting it. */
export const TRIES_MAX = 100;

/**
 * Yield the addresses in a text, in their order.
 *
 * @param {string} text
 * @param {{tries: number}} budget  the addresses left to parse, in this text and in others with the same budget
 * @returns {Generator<{start: number, end: number, href: string}>}
 */
export function* links(text, budget = { tries: TRIES_MAX }) {
  for (const match of text.matchAll(LINK)) {
    if (--budget.tries < 0) return;
    const shown = withoutTail(match[0]);
    const href = address(shown);
    if (href !== null) yield { start: match.index, end: match.index + shown.length, href };
  }
}

/** The punctuation behind an address belongs to the sentence, unless its bracket was opened within. */
function withoutTail(link) {
  let unopened = count(link, ")") - count(link, "(");
  let end = link.length;
  for (; end > 0; end--) {
    const last = link.charAt(end - 1);
    if (!TAIL.includes(last)) break;
    if (last !== ")") continue;
    if (unopened <= 0) break;
    unopened--;
  }
  return link.slice(0, end);
}

const count = (text, letter) => text.split(letter).length - 1;

function address(link) {
  const host = link.slice(link.indexOf("//") + 2);
  if (host.length > HOST_MAX && host.slice(0, HOST_MAX + 1).search(HOST_END) < 0) return null;
  try {
    const url = new URL(link);
    return (url.protocol === "https:" || url.protocol === "http:") && url.hostname ? url.href : null;
  } catch {
    return null;
  }
}
