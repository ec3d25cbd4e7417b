/**
 * The part of the browser's storage that belongs to one server: by the path of the page, and by the server's id.
 *
 * Servers behind one host name share an origin, and with it the browser's storage; and another server may answer at
 * a path tomorrow. Text typed for a server is never sent to another server, nor is a token. Only the `welcome`
 * identifies the server: until then the page uses the server that was last at its path. The id is empty for a
 * server that sends none (its journal is in memory), and null before any server at this path has answered.
 *
 *     trio-chat.scheme          settings of the user, for all servers
 *     trio-chat/PATH            the ids of the servers seen at this path, the newest first
 *     trio-chat/PATH/ID/me      data of one of them
 *     trio-chat/PATH/?/me       data of the first server that will answer there
 *
 * An older page stored all data by origin. For the page at `/` that data is moved to the first server that answers
 * there; at any other path it may belong to another server, and is left unchanged.
 */

import { Storage } from "./storage.js";

const SERVERS_MAX = 8; // of one path; beyond them the storage of the oldest is cleared
const ID = /^[\w-]{1,64}$/;
const OF_ALL = new Set(["scheme", "notify", "presence"]);

/** @param {string} path  @returns {string} the prefix of what belongs to all servers at that path */
export function prefixOf(path) {
  return `trio-chat/${encodeURIComponent(path)}`;
}

/** @param {unknown} id  as a server sends it */
function idOf(id) {
  return typeof id === "string" && ID.test(id) ? id : "";
}

/**
 * Return the storage of one tab, for one path.
 *
 * @param {string} path
 * @param {globalThis.Storage | null} kept  sessionStorage, or null where there is none
 * @returns {Storage}
 */
export function ownOf(path, kept) {
  const own = new Storage(kept, `${prefixOf(path)}/`);
  const older = new Storage(kept).get("load"); // of an older page, which stored it by origin
  if (path === "/" && older && own.get("load") === null) own.set("load", older);
  return own;
}

export class Namespace {
  /**
   * @param {Storage} all  as it was by origin
   * @param {string} path  of the page, up to its last slash
   */
  constructor(all, path) {
    this.all = all;
    this.path = path;
    this.place = all.under(prefixOf(path));
    this.storage = all.under("");
    /** @type {string | null} */
    this.id = null;
    this.follow();
    if (path === "/") this.#takeOver();
  }

  /**
   * Switch to the storage of the server that sent the welcome.
   *
   * @param {unknown} id  the id in its welcome
   * @param {string} token  the token in the hello
   * @returns {boolean} whether that was the token for this server; the storage is the server's in any case
   */
  identify(id, token) {
    const was = this.id;
    const now = idOf(id);
    if (now === was) return true;
    this.#use(now);
    if (was === null) this.#move(this.place.under(this.#prefix(null)), this.storage);
    this.#remember(now);
    const own = this.storage.get("me", {})?.token ?? "";
    return was === null && (own === "" || own === token);
  }

  /** @param {unknown} id  @returns {boolean} whether that is another server than the one that is known */
  isOther(id) {
    return this.id !== null && this.id !== idOf(id);
  }

  /** @returns {string | null} the server that was heard last at this path, perhaps by another tab */
  get latest() {
    return this.#ids[0] ?? null;
  }

  /** Switch to the server that was last seen. */
  follow() {
    this.#use(this.latest);
  }

  /** @returns {string[]} */
  get #ids() {
    const ids = this.place.get("", []);
    return Array.isArray(ids) ? ids.filter((id) => id === "" || idOf(id) !== "") : [];
  }

  /** @param {string | null} id */
  #prefix(id) {
    return [this.place.prefix, id ?? "?", ""].join("/");
  }

  /** @param {string | null} id */
  #use(id) {
    this.id = id;
    this.storage.prefix = this.#prefix(id);
  }

  /** @param {string} id */
  #remember(id) {
    const ids = [id, ...this.#ids.filter((each) => each !== id)];
    for (const old of ids.splice(SERVERS_MAX)) {
      const storage = this.storage.under(this.#prefix(old));
      for (const key of storage.keys("")) storage.remove(key);
    }
    this.place.set("", ids);
  }

  /** Move stored data; for a key at both ends the value at `to` is kept. @param {Storage} from  @param {Storage} to */
  #move(from, to, which = (/** @type {string} */ _) => true) {
    const keys = from.keys("").filter(which);
    for (const key of keys) if (to.get(key) === null) to.set(key, from.get(key));
    for (const key of keys) from.remove(key);
  }

  /** Import the data of an older page: all of it once, and later the lines that a tab with that page has left. */
  #takeOver() {
    const { all, storage } = this;
    if (this.id === null) {
      const copied = (/** @type {string} */ key) =>
        !OF_ALL.has(key) && !key.startsWith("out.") && storage.get(key) === null;
      for (const key of all.keys("").filter(copied)) storage.set(key, all.get(key));
    }
    const token = storage.get("me", {})?.token;
    const same = token && token === all.get("me", {})?.token;
    if (same || this.id === null) this.#move(all, storage, (key) => key.startsWith("out."));
  }
}
