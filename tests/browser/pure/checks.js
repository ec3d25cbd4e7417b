/**
 * What the files beside this one are written with: checks that have a name, and chance that can be repeated.
 *
 * test_pure.py imports a file and reads the results here. A check that fails does not keep the others from
 * being made.
 */

/** @type {{name: string, fault: string}[]} */
export const results = [];

/**
 * @param {string} name  what holds
 * @param {() => void} run  throws if it does not
 */
export function check(name, run) {
  let fault = "";
  try {
    if (/** @type {any} */ (run()) instanceof Promise)
      fault = "it returned a promise, for which nobody waits";
  } catch (error) {
    fault = error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
  results.push({ name, fault });
}

/** Compared by what is in them; a Set or a Map has to be spread first. */
export function equal(got, wanted, about = "") {
  const [is, ought] = [got, wanted].map((value) => JSON.stringify(inOrder(value)) ?? "undefined");
  if (is !== ought) throw new Error(`${about && about + ": "}got ${is}, not ${ought}`);
}

/** @param {unknown} value  @param {string} about */
export function holds(value, about) {
  if (!value) throw new Error(about);
}

/**
 * Run it with so many seeds, 1 and on, always the same; the one that fails is named.
 *
 * @param {number} times
 * @param {(chance: Chance) => void} run
 */
export function chances(times, run) {
  for (let seed = 1; seed <= times; seed++) {
    try {
      run(new Chance(seed));
    } catch (error) {
      throw new Error(`with seed ${seed}: ${error instanceof Error ? error.message : error}`);
    }
  }
}

/** Mulberry32: what it gives depends on its seed only. */
export class Chance {
  /** @param {number} seed */
  constructor(seed) {
    this.state = Math.imul(seed, 0x9e3779b9);
  }

  /** @returns {number} from 0 to less than 1 */
  next() {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), this.state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** @param {number} n  @returns {number} a whole number from 0 to n - 1 */
  below(n) {
    return Math.floor(this.next() * n);
  }

  /** @template T  @param {T[]} these  @returns {T} */
  of(these) {
    return these[this.below(these.length)];
  }
}

/** Objects are equal in whatever order their fields were written. */
function inOrder(value) {
  if (Array.isArray(value)) return value.map(inOrder);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, inOrder(value[key])]),
  );
}
