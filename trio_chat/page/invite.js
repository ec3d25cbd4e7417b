/**
 * How others may join: by the address of the page, unless that address works on this computer only.
 */

const NAMED = /^(.+\.)?localhost\.?$/u;
const FOUR = /^127(\.\d{1,3}){3}$/u;
const SIX = /^\[(::1|::ffff:7f[0-9a-f]{2}:[0-9a-f]{1,4})\]$/u;
const NOWHERE = new Set(["0.0.0.0", "[::]"]); // where a server listens, and browsers find this computer

const DEFAULT_PORT = "5555";

/** @param {string} hostname  as a URL has it  @returns {boolean} whether it means this computer on every computer */
export function isLoopback(hostname) {
  const host = hostname.toLowerCase();
  return NAMED.test(host) || FOUR.test(host) || SIX.test(host) || NOWHERE.has(host);
}

/**
 * @param {{hostname: string, port: string}} location  of the page
 * @returns {{text: string, command: string}} what to tell a person who is alone in a room, and the command that
 *   lets others join, which is empty where the address is enough
 */
export function invitation({ hostname, port }) {
  if (!isLoopback(hostname)) return { text: "Give others this address, and they can join you:", command: "" };
  const other = port === DEFAULT_PORT ? "" : ` --port ${port || 80}`;
  return {
    text: "This address works on this computer only:",
    command: `trio-chat serve --host 0.0.0.0${other}`,
  };
}
