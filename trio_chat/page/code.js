/**
 * What somebody wrote between backticks: code, which is shown letter for letter, in a face of one width.
 *
 * `so` within a line, and whole lines between two lines of three backticks. Nothing else is looked for: a star
 * or an underscore stands for itself, as in the terminal.
 *
 * @typedef {{kind: "text" | "code" | "block", text: string, raw: string}} Part
 */

// The line that ends a block may be the last, and need not end itself.
const BLOCK = /^```[^`\n]*\n(?<block>[^]*?)\n?^```[^\S\n]*(?:\n|$(?![^]))/mu;
const INLINE = /(?<!`)(?<ticks>`{1,3})(?!`)(?<code>[^`\n]+)\k<ticks>(?!`)/u;
const CODE = new RegExp(`${BLOCK.source}|${INLINE.source}`, "gmu");

/** @param {string} text  @returns {Part[]} whose `raw`, joined, is the text */
export function parts(text) {
  if (!text.includes("`")) return [{ kind: "text", text, raw: text }];
  /** @type {Part[]} */
  const found = [];
  let from = 0;
  const plain = (to) => {
    if (to > from) found.push({ kind: "text", text: text.slice(from, to), raw: text.slice(from, to) });
  };
  for (const match of text.matchAll(CODE)) {
    const { block, code } = /** @type {Record<string, string>} */ (match.groups);
    plain(match.index);
    found.push({ kind: block === undefined ? "code" : "block", text: block ?? code, raw: match[0] });
    from = match.index + match[0].length;
  }
  plain(text.length);
  return found;
}
