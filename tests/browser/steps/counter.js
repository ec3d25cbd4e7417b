/**
 * Count the steps that a call takes inside the browser's own strings, arrays and regular expressions.
 *
 * The browser counts the blocks of the page's code (test_scanners.py reads them). That count misses the cost of a
 * primitive: a single call of `slice` or `normalize` may read a whole text. Each primitive costs here the most that it
 * can take on its input, also where an engine is faster.
 *
 * The form of a regular expression decides its cost. The pattern alone has to bound the letters it reads at one place,
 * or it has to consume the letters it reads. Any other form is a fault, even if it was fast on this text.
 */

// A pattern of atoms with bounds, and of assertions about one atom. Groups and references are no part of the form.
const ATOM =
  /\\[pP]\{[^}]*\}|\\u\{[^}]*\}|\\u[0-9A-Fa-f]{4}|\\[^]|\[(?:\\[^]|[^\]\\])*\]|[^\\[\](){}?*+|^$]/uy;
const AROUND = new RegExp(`\\(\\?<?[!=](?:${ATOM.source})\\)|[\\^$]|\\\\b`, "uy");
const BOUNDED = /\?|\{(\d+)(?:,(\d+))?\}/uy;
const ENDLESS = /[+*]/uy;

/**
 * Return the most letters that a regular expression reads at one place, apart from those it consumes at its end.
 *
 * @param {string} source
 * @param {string} flags
 * @returns {number}
 */
export function width(source, flags) {
  const anchored = source.startsWith("^") && !flags.includes("m");
  let at = 0;
  let letters = 0;
  let endless = 0;
  const next = (pattern) => {
    pattern.lastIndex = at;
    const match = pattern.exec(source);
    if (match) at += match[0].length;
    return match;
  };
  const refuse = (why) => {
    throw new Error(`/${source}/${flags} is not linear by its form: ${why}`);
  };
  while (at < source.length) {
    if (next(AROUND)) letters++;
    else if (!next(ATOM)) refuse(`${source.slice(at)} is not understood`);
    else if (next(ENDLESS)) {
      if (++endless > 1) refuse("it has two parts without a bound");
      if (!anchored && at < source.length) refuse("it can read on, fail, and begin again at the next letter");
    } else {
      const bound = next(BOUNDED);
      letters += Number(bound?.[2] ?? bound?.[1] ?? 1);
    }
  }
  return letters + 1;
}

const one = () => 1;
const whole = (text) => text.length + 1;
const result = (_owner, _args, made) => made.length + 1;

/** A word is compared at every place that was passed. */
function sought(text, [word, from = 0], found) {
  const { length } = String(word);
  const last = typeof found === "number" && found >= 0 ? found : text.length - length;
  return Math.max(0, last - from + 1) * Math.max(1, length) + 1;
}

/** To order combining marks takes the square of the length of each run of them. */
function normalized(text) {
  const runs = text.match(/[^\P{M}\u034F]+/gu) ?? [];
  return runs.reduce((sum, run) => sum + run.length ** 2, text.length + 1);
}

/** To encode the name of a host takes the square of its length. */
function parsed(address) {
  const host = /^[a-z]+:[/\\]*([^/?#\\]*)/iu.exec(address)?.[1] ?? "";
  return address.length + host.length ** 2 + 1;
}

function replaced(text, [pattern]) {
  return typeof pattern === "string" ? sought(text, [pattern], -1) : 1; // else `exec` is charged
}

function divided(text, [separator]) {
  return typeof separator === "string" ? sought(text, [separator], -1) : 1;
}

const sorted = (list) => list.length * Math.ceil(Math.log2(list.length + 2)) + 1;
const moved = (list) => list.length + 1;
const spliced = (list, [at], removed) => Math.max(0, list.length - at) + removed.length + 1;

/** @type {[object, Record<string, (owner: any, args: any[], made: any, from: number) => number>][]} */
const COSTS = [
  [String.prototype, { at: one, charAt: one, charCodeAt: one, codePointAt: one }],
  [String.prototype, { slice: result, substring: result, substr: result, repeat: result, concat: result }],
  [String.prototype, { indexOf: sought, lastIndexOf: sought, search: replaced, split: divided }],
  [String.prototype, { includes: (text, args) => sought(text, args, -1) }],
  [
    String.prototype,
    { startsWith: (_, [word]) => word.length + 1, endsWith: (_, [word]) => word.length + 1 },
  ],
  [String.prototype, { replace: replaced, replaceAll: replaced, normalize: normalized }],
  [
    String.prototype,
    { trim: whole, trimStart: whole, trimEnd: whole, toLowerCase: whole, toUpperCase: whole },
  ],
  [String.prototype, { localeCompare: whole, padStart: result, padEnd: result, [Symbol.iterator]: whole }],
  [Array.prototype, { slice: result, concat: result, join: result, splice: spliced, shift: moved }],
  [Array.prototype, { unshift: moved, indexOf: moved, includes: moved, reverse: moved, flat: moved }],
  [Array.prototype, { sort: sorted, push: (_list, args) => args.length }],
  [Map.prototype, { values: (map) => map.size + 1, keys: one, [Symbol.iterator]: (map) => map.size + 1 }],
  [Set.prototype, { values: (set) => set.size + 1, [Symbol.iterator]: (set) => set.size + 1 }],
  [
    globalThis,
    { decodeURIComponent: (_, [text]) => whole(text), encodeURIComponent: (_, [text]) => whole(text) },
  ],
  [RegExp.prototype, { exec: executed }],
];

/** What was passed, at every place as much as the form allows. */
function executed(pattern, [text], match, from) {
  const key = `/${pattern.source}/${pattern.flags}`;
  if (!widths.has(key)) widths.set(key, width(pattern.source, pattern.flags));
  const last = pattern.sticky ? from : text.length; // a sticky one fails where it stands
  const end = match ? match.index + match[0].length : last;
  return (widths.get(key) ?? 0) * (Math.max(0, end - from) + 1);
}

/** @type {Map<string, number>} */
const widths = new Map();

/**
 * Run it, and count what its primitives cost.
 *
 * @param {() => void} run
 * @returns {{steps: number, fault: string}}
 */
export function counted(run) {
  let steps = 0;
  let fault = "";
  let charging = false;
  const charge = (cost, owner, args, made, from = 0) => {
    charging = true;
    try {
      steps += cost(owner, args, made, from);
    } catch (error) {
      fault ||= error instanceof Error ? error.message : String(error);
    } finally {
      charging = false;
    }
  };
  const restore = [];
  for (const [owner, costs] of COSTS) {
    for (const name of Reflect.ownKeys(costs)) {
      const plain = owner[name];
      owner[name] = function (...args) {
        if (charging) return plain.apply(this, args);
        const from = this instanceof RegExp && (this.global || this.sticky) ? this.lastIndex : 0;
        const made = plain.apply(this, args);
        charge(costs[name], this, args, made, from);
        return made;
      };
      restore.push(() => (owner[name] = plain));
    }
  }
  const Plain = globalThis.URL;
  globalThis.URL = /** @type {any} */ (
    class extends Plain {
      constructor(address) {
        charge(parsed, String(address), [], null);
        super(address);
      }
    }
  );
  restore.push(() => (globalThis.URL = Plain));
  try {
    run();
  } finally {
    for (const undo of restore) undo();
  }
  return { steps, fault };
}
