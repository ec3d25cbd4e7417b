/**
 * Find the nearest valid name for typed text.
 *
 * The server decides which names are valid. This file has enough of its rule to offer
 * `Ada-Lovelace` for `Ada Lovelace`.
 */

// Joiners and dots that are letters in some script.
const SIGNS = "[\\u200c\\u200d\\u00b7\\u0375\\u05f3\\u05f4\\u30fb]";
const UNFIT = new RegExp(`(?!${SIGNS})[^\\p{L}\\p{M}\\p{Nd}!-~]`, "gu");
const DASH = /[^\P{Pd}-]/gu;
const FIRST = /^[#@*/]+/u; // no name begins with these
const TYPED_MAX = 1_000; // letters that are read

/**
 * @param {string} typed
 * @param {number} [most]  characters of a name
 * @returns {string} a name to offer, or empty if there is none except the typed name
 */
export function usableName(typed, most = 32) {
  const trimmed = typed.slice(0, TYPED_MAX).normalize("NFKC").trim();
  const words = trimmed.split(/\s+/u).map((word) => word.replace(DASH, "-").replace(UNFIT, ""));
  const name = words
    .filter((word) => /[^-]/u.test(word))
    .join("-")
    .replace(FIRST, "");
  const short = Array.from(name).slice(0, most).join("");
  return short === typed.trim() || short === trimmed ? "" : short;
}
