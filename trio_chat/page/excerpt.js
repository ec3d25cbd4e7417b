/**
 * Where in a text something was found, and what stands around it.
 */

import { fold } from "./names.js";
import { oneLine } from "./text.js";

const BEFORE_MAX = 60; // letters: what was found is to be in sight, however long the text

/**
 * @param {string} text
 * @param {string} wanted
 * @returns {{before: string, hit: string, after: string}} on one line; all of it in `before` where the page
 *   does not see what the server has found
 */
export function excerpt(text, wanted) {
  const { from, to } = place(text, fold(wanted));
  const before = oneLine("." + text.slice(0, from) + ".").slice(1, -1); // a space at an end is one
  const letters = Array.from(before);
  const cut = letters.length > BEFORE_MAX && to > from;
  return {
    before: cut ? "…" + letters.slice(-BEFORE_MAX).join("") : before,
    hit: text.slice(from, to),
    after: oneLine("." + text.slice(to)).slice(1),
  };
}

/** By letters, each folded for itself: so what is found in the folded text has a place in the text. */
function place(text, wanted) {
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
  const found = folded.indexOf(wanted);
  if (found < 0) return none;
  return { from: begins[found], to: begins[found + wanted.length] ?? text.length };
}
