/**
 * Code between backticks, shown verbatim in a monospace font.
 *
 * `code` within a line, and whole lines between two lines of three backticks. No other markup is parsed: a star
 * or an underscore is shown as it is, as in the terminal.
 *
 * The scanner reads every line once. A regular expression for a whole block would search for the end again from every
 * line that could begin one.
 *
 * @typedef {{kind: "text" | "code" | "block", text: string, raw: string}} Part
 */

const FENCE = "```";
const TICKS = /`+/gu;

/** @param {string} text  @returns {Part[]} whose `raw`, joined, is the text */
export function parts(text) {
  if (!text.includes("`")) return [{ kind: "text", text, raw: text }];
  /** @type {Part[]} */
  const found = [];
  let from = 0;
  const plain = (/** @type {number} */ to) => {
    if (to > from) found.push({ kind: "text", text: text.slice(from, to), raw: text.slice(from, to) });
  };
  for (const { kind, code, start, end } of spans(text)) {
    plain(start);
    found.push({ kind, text: code, raw: text.slice(start, end) });
    from = end;
  }
  plain(text.length);
  return found;
}

/** Yield the blocks and the pieces of code within lines, in order. @param {string} text */
function* spans(text) {
  const lines = text.split("\n");
  const closing = closingFences(lines);
  let start = 0;
  for (let n = 0; n < lines.length; n++) {
    const last = opensBlock(lines[n]) ? closing[n + 1] : undefined;
    if (last === undefined) {
      yield* inline(lines[n], start);
      start += lines[n].length + 1;
      continue;
    }
    const code = lines.slice(n + 1, last).join("\n");
    const whole = lines.slice(n, last + 1).join("\n");
    const end = Math.min(start + whole.length + 1, text.length); // the last line may have no line break
    yield { kind: /** @type {const} */ ("block"), code, start, end };
    start = end;
    n = last;
  }
}

/** @param {string} line  @returns {boolean} whether it is three backticks, with or without a language */
const opensBlock = (line) => line.startsWith(FENCE) && !line.includes("`", FENCE.length);

/** @param {string[]} lines  @returns {(number | undefined)[]} for each line the next closing fence */
function closingFences(lines) {
  const closing = [];
  let next;
  for (let n = lines.length - 1; n >= 0; n--) {
    if (lines[n].startsWith(FENCE) && lines[n].slice(FENCE.length).trim() === "") next = n;
    closing[n] = next;
  }
  return closing;
}

/** Yield the code between neighbouring runs of equally many backticks. @param {string} line */
function* inline(line, /** @type {number} */ offset) {
  let open = null;
  for (const match of line.matchAll(TICKS)) {
    const ticks = match[0].length;
    const end = match.index + ticks;
    if (open !== null && open.ticks === ticks && ticks <= FENCE.length) {
      const code = line.slice(open.end, match.index);
      yield { kind: /** @type {const} */ ("code"), code, start: offset + open.start, end: offset + end };
      open = null;
    } else {
      open = { ticks, start: match.index, end };
    }
  }
}
