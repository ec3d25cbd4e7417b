/**
 * When to try again: a pause that doubles from try to try, most of which chance may take away.
 *
 * A server that starts again is met by all its pages at once; full jitter spreads them over the whole pause.
 */

const FIRST_S = 0.5;
const LEAST_S = 0.25; // however chance falls: a server that ends every connection is not asked without a pause
const LONGEST_S = 30;

/**
 * @param {number} failures  how many tries have failed since the last good one
 * @param {number} [earliest_s]  what the server asked for
 * @param {() => number} [random]  from 0 to 1
 * @returns {number} seconds
 */
export function pause_s(failures, earliest_s = 0, random = Math.random) {
  const ceiling = Math.min(LONGEST_S, FIRST_S * 2 ** Math.min(failures, 10));
  return earliest_s + Math.max(LEAST_S, random() * ceiling); // what the server asks for, it asks of all at once
}
