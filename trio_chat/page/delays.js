/**
 * Delays that a server asks for: followed within reason.
 *
 * A wrong or hostile number must neither stop the page for ever nor make it repeat something without a pause. A timer
 * of a browser holds 2³¹ - 1 ms and fires at once when it is given more, so every number of a server is bounded here
 * before it becomes a timer.
 */

const RECONNECT_S_MAX = 3_600; // longer maintenance exists, and one try an hour does not disturb it
const RETRY_S = 1;
const RETRY_S_MAX = 60; // the rates of a server fill within seconds
const PING_S = 25;
const PING_S_MAX = 3_600;

/**
 * Return a number between two bounds.
 *
 * @param {unknown} value
 * @param {number} least
 * @param {number} most
 * @param {number} otherwise  for what is not a finite number
 * @returns {number}
 */
export function bounded(value, least, most, otherwise) {
  if (typeof value !== "number" || !Number.isFinite(value)) return otherwise;
  return Math.min(most, Math.max(least, value));
}

/** Return the shortest pause before the next connection. @param {unknown} after_s  @returns {number} */
export const reconnect_s = (after_s) => bounded(after_s, 0, RECONNECT_S_MAX, 0);

/** Return the pause before a refused command is repeated. @param {unknown} retry_after_s  @returns {number} */
export const retry_s = (retry_after_s) => bounded(retry_after_s, RETRY_S, RETRY_S_MAX, RETRY_S);

/** Return the pause between two pings. @param {unknown} ping_s  @returns {number} */
export const pingEvery_s = (ping_s) => bounded(ping_s, 1, PING_S_MAX, PING_S);
