/**
 * Exponential backoff with full jitter, and a lower bound.
 *
 * All pages of a restarted server reconnect at once; full jitter spreads them over the whole pause.
 */

const FIRST_S = 0.5;
const LEAST_S = 0.25; // minimum, so that a server that closes every connection is not retried without a pause
const LONGEST_S = 30;

/**
 * @param {number} failures  failed attempts since the last success
 * @param {number} [earliest_s]  the delay that the server asked for
 * @param {() => number} [random]  from 0 to 1
 * @returns {number} seconds
 */
export function pause_s(failures, earliest_s = 0, random = Math.random) {
  const ceiling = Math.min(LONGEST_S, FIRST_S * 2 ** Math.min(failures, 10));
  return earliest_s + Math.max(LEAST_S, random() * ceiling); // `earliest_s` is the same for all clients
}
