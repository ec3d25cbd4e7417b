/**
 * Scanners with quadratic cost, one of each kind, for the test of the counter itself.
 */

import { counted } from "./counter.js";

const QUADRATIC = {
  "a slice for each letter": (text) => {
    for (let end = text.length; end > 0; end--) text.slice(0, end);
  },
  "a loop in a loop": (text) => {
    let same = 0;
    for (let a = 0; a < text.length; a++) for (let b = 0; b < a; b++) same += text[a] === text[b] ? 1 : 0;
    return same;
  },
  "a call for each pair": (text) => {
    const letters = text.split("");
    letters.forEach(() => letters.forEach(() => {}));
  },
  "a search for each letter": (text) => Array.from(text, (letter, at) => text.indexOf("b", at) + letter),
  "a long word": (text) => text.indexOf(text.slice(0, text.length / 2) + "b"),
  "combining marks": (text) => "\u0315\u0300".repeat(text.length / 2).normalize("NFKC"),
  "the name of a host": (text) => new URL(`http://${text}`),
  "a list that loses its head": (text) => {
    for (const list = Array.from(text); list.length > 0;) list.shift();
  },
  "a text for each name": (text) => Array.from(text, () => text.toLowerCase()),
};

export const KINDS = Object.keys(QUADRATIC);

/** @param {string} kind  @param {number} n */
export const call = (kind, n) => counted(() => QUADRATIC[kind]("a".repeat(n)));
