/**
 * Cut an excerpt of a text around a search result.
 */

import { fold } from "./names.js";
import { oneLine } from "./text.js";

const BEFORE_MAX = 60; // letters before the hit, so that the hit is in sight in a long text

/**
 * @param {string} text
 * @param {string} wanted
 * @returns {{before: string, hit: string, after: string}} on one line; all of it in `before` if the page
 *   does not find the server's hit
 */
export function excerpt(text, wanted) {
  const { from, to } = place(text, fold(wanted));
  const before = oneLine("." + text.slice(0, from) + ".").slice(1, -1); // a space at an end is kept
  const letters = Array.from(before);
  const cut = letters.length > BEFORE_MAX && to > from;
  return {
    before: cut ? "…" + letters.slice(-BEFORE_MAX).join("") : before,
    hit: text.slice(from, to),
    after: oneLine("." + text.slice(to)).slice(1),
  };
}

/** Search by letters, each folded alone, so that an index in the folded text maps to an index in the text. */
function place(/** @type {string} */ text, /** @type {string} */ wanted) {
  const none = { from: text.length, to: text.length };
  if (!wanted) return none;
  let folded = "";
  /** @type {number[]} for each unit of the folded text where its letter begins */
  const begins = [];
  let at = 0;
  for (const letter of text) {
    const shown = fold(letter);
    folded += shown;
    for (let n = 0; n < shown.length; n++) begins.push(at);
    at += letter.length;
  }
  const found = indexOf(folded, wanted);
  if (found < 0) return none;
  return { from: begins[found], to: begins[found + wanted.length] ?? text.length };
}

/**
 * Return the first place of a word, by the algorithm of Knuth, Morris and Pratt. The browser's `indexOf` can compare
 * the whole word at every place.
 *
 * @param {string} text
 * @param {string} word
 * @returns {number} -1 if the word does not occur
 */
function indexOf(text, word) {
  const borders = bordersOf(word);
  let matched = 0;
  for (let at = 0; at < text.length; at++) {
    while (matched > 0 && text.charAt(at) !== word.charAt(matched)) matched = borders[matched - 1];
    if (text.charAt(at) === word.charAt(matched)) matched++;
    if (matched === word.length) return at - matched + 1;
  }
  return -1;
}

/** @param {string} word  @returns {number[]} for each prefix the length of its longest border */
function bordersOf(word) {
  const borders = [0];
  let border = 0;
  for (let at = 1; at < word.length; at++) {
    while (border > 0 && word.charAt(at) !== word.charAt(border)) border = borders[border - 1];
    if (word.charAt(at) === word.charAt(border)) border++;
    borders.push(border);
  }
  return borders;
}
