/**
 * Explain how others may join: by the address of the page, unless that address works on this computer only.
 */

const NOWHERE = new Set(["0.0.0.0", "[::]"]); // addresses to listen on, which browsers resolve to this computer

const MAPPED = "[::ffff:"; // an IPv4 address in an IPv6 one, as two groups of four digits

const DEFAULT_PORT = "5555";

/** @param {string} hostname  as a URL has it  @returns {boolean} whether the address is loopback on every computer */
export function isLoopback(hostname) {
  const host = hostname.toLowerCase();
  const [top, ...under] = host
    .split(".")
    .reverse()
    .filter((label) => label !== "");
  if (top === "localhost" || host === "[::1]" || NOWHERE.has(host)) return true;
  if (host.startsWith(MAPPED))
    return host.startsWith("7f", MAPPED.length) && host.charAt(MAPPED.length + 4) === ":";
  return under.length === 3 && under[2] === "127" && !Number.isNaN(Number(top));
}

/**
 * @param {{hostname: string, port: string}} location  of the page
 * @returns {{text: string, command: string}} the text for a user who is alone in a room, and the command
 *   that lets others join, which is empty where the address is enough
 */
export function invitation({ hostname, port }) {
  if (!isLoopback(hostname)) return { text: "Give others this address, and they can join you:", command: "" };
  const other = port === DEFAULT_PORT ? "" : ` --port ${port || 80}`;
  return {
    text: "This address works on this computer only:",
    command: `trio-chat serve --host 0.0.0.0${other}`,
  };
}
