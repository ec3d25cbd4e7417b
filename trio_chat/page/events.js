/**
 * The events of docs/protocol.md: their shapes, checked on arrival, and their types.
 *
 * `SHAPES` has a row for each event and a check for each field. The types below are derived from it, so a field is
 * written once. tests/test_page_events.py holds the table to the server's messages.
 */

/** The largest `at`: the last millisecond of the year 9999. A Date of a browser holds more. */
export const AT_MAX = 253_402_300_799_999;

/**
 * @template T
 * @typedef {(value: unknown) => value is T} Check
 */

/** @type {Check<string>} */
const text = (value) => typeof value === "string";

/** @type {Check<number>} */
const number = (value) => Number.isSafeInteger(value) && Number(value) >= 0;

/** @type {Check<number>} */
const time = (value) => number(value) && value <= AT_MAX;

/** @type {Check<boolean>} */
const flag = (value) => typeof value === "boolean";

/**
 * @template T
 * @param {Check<T>} check
 * @returns {Check<T | undefined>}
 */
function optional(check) {
  return /** @type {Check<T | undefined>} */ ((value) => value === undefined || check(value));
}

/**
 * @template T
 * @param {Check<T>} check
 * @returns {Check<T[]>}
 */
function list(check) {
  return /** @type {Check<T[]>} */ ((value) => Array.isArray(value) && value.every((each) => check(each)));
}

/**
 * @template {Shape} S
 * @param {S} shape
 * @returns {Check<Fields<S>>}
 */
function object(shape) {
  return /** @type {Check<Fields<S>>} */ ((value) => isObject(value) && faultyField(value, shape) === "");
}

const said = { room: text, seq: number, at: time, by: text, text, action: optional(flag) };
const retitled = { room: text, seq: number, at: time, by: text, text };
const ref = optional(text);

/** @type {Check<Entry>} */
const entry = (value) =>
  isObject(value) &&
  ((value.type === "said" && faultyField(value, said) === "") ||
    (value.type === "retitled" && faultyField(value, retitled) === ""));

/** Every event and its fields. Unknown fields are ignored. */
export const SHAPES = {
  welcome: {
    ref,
    version: number,
    name: text,
    session: number,
    token: text,
    server: text,
    server_id: optional(text),
    features: list(text),
    kept: text,
    ping_s: number,
    limits: object({
      frame_bytes: number,
      text_bytes: number,
      rooms: number,
      talk_burst: number,
      talk_per_s: number,
      talk_bytes_burst: optional(number),
      talk_bytes_per_s: optional(number),
    }),
  },
  room: {
    ref,
    room: text,
    epoch: text,
    resumed: flag,
    first: number,
    head: number,
    members: number,
    topic: text,
  },
  said,
  retitled,
  presence: {
    room: text,
    members: number,
    joined: optional(list(text)),
    left: optional(list(object({ name: text, why: text }))),
    renamed: optional(list(object({ name: text, to: text }))),
    more: optional(flag),
  },
  typing: { room: text, by: text },
  whispered: { by: text, to: text, text, at: time },
  ack: { ref: text, room: optional(text), seq: optional(number) },
  members: { ref, room: text, names: list(text), count: number, more: flag },
  rooms: { ref, rooms: list(object({ room: text, members: number, topic: text })), more: flag },
  history: { ref, room: text, entries: list(entry), more: flag },
  found: { ref, entries: list(entry), more: flag, next: optional(text) },
  named: { ref, name: text },
  pong: { ref, n: optional(number) },
  gap: { room: text, after: number, next: number, kept: flag },
  error: { ref, code: text, detail: text, field: optional(text), retry_after_s: optional(number) },
  bye: { ref, code: text, detail: text, reconnect: flag, after_s: optional(number) },
};

/**
 * Return the event in a parsed message, or null if there is none to act on.
 *
 * An event of an unknown type is ignored. A malformed event is dropped with a log line on the console; if it answers
 * a command, an `error` takes its place, so that the command does not wait for ever. A malformed entry is dropped from
 * its page, and the other entries stay.
 *
 * @param {unknown} message
 * @returns {Event | null}
 */
export function checked(message) {
  if (!isObject(message) || typeof message.type !== "string") return dropped("message", "type");
  const { type } = message;
  if (!isKnown(type)) return null;
  const event = type === "history" || type === "found" ? withSoundEntries(message) : message;
  const field = faultyField(event, SHAPES[type]);
  if (field === "") return /** @type {Event} */ (/** @type {unknown} */ (event));
  dropped(type, field);
  const detail = `cannot read the server's answer: invalid ${type}.${field}`;
  return text(message.ref) && message.ref !== ""
    ? { type: "error", code: "bad_message", detail, ref: message.ref }
    : null;
}

/**
 * @param {Event} event
 * @returns {string} the ref of the command that it answers; empty if there is none
 */
export function refOf(event) {
  return "ref" in event && event.ref ? event.ref : "";
}

/** @param {string} type  @returns {type is keyof typeof SHAPES} */
const isKnown = (type) => Object.hasOwn(SHAPES, type);

/** @param {unknown} value  @returns {value is Record<string, unknown>} */
const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

/**
 * @param {Record<string, unknown>} value
 * @param {Shape} shape
 * @returns {string} the first field that is not as the shape says; empty if there is none
 */
function faultyField(value, shape) {
  return Object.keys(shape).find((field) => !shape[field](value[field])) ?? "";
}

/** @param {Record<string, unknown>} page */
function withSoundEntries(page) {
  if (!Array.isArray(page.entries)) return page;
  const entries = page.entries.filter(entry);
  const lost = page.entries.length - entries.length;
  if (lost) dropped(`${page.type}: ${lost} of its entries`, "entries");
  return { ...page, entries };
}

/** @param {string} what  @param {string} field */
function dropped(what, field) {
  console.warn(`dropped a malformed ${what}: invalid ${field}`);
  return null;
}

/**
 * @typedef {Record<string, Check<any>>} Shape
 */

/**
 * The fields of a shape: those whose check admits `undefined` are optional.
 *
 * @template {Shape} S
 * @typedef {{[K in keyof S as undefined extends Checked<S[K]> ? never : K]: Checked<S[K]>}
 *   & {[K in keyof S as undefined extends Checked<S[K]> ? K : never]?: Checked<S[K]>}} Fields
 */

/**
 * @template C
 * @typedef {C extends Check<infer T> ? T : never} Checked
 */

/**
 * @template {keyof typeof SHAPES} T
 * @typedef {T extends unknown ? {type: T} & Fields<(typeof SHAPES)[T]> : never} EventOf
 */

/** @typedef {{type: "said"} & Fields<typeof said>} Said */
/** @typedef {{type: "retitled"} & Fields<typeof retitled>} Retitled */
/** @typedef {Said | Retitled} Entry */
/** @typedef {EventOf<keyof typeof SHAPES>} Event */
/** @typedef {EventOf<"welcome">} Welcome */
/** @typedef {EventOf<"room">} RoomAnswer */
/** @typedef {EventOf<"presence">} Presence */
/** @typedef {EventOf<"whispered">} Whispered */
/** @typedef {EventOf<"members">} MembersPage */
/** @typedef {EventOf<"rooms">} RoomsPage */
/** @typedef {EventOf<"history">} HistoryPage */
/** @typedef {EventOf<"found">} FoundPage */
/** @typedef {EventOf<"gap">} Gap */
/** @typedef {EventOf<"error">} ErrorEvent */
/** @typedef {EventOf<"bye">} Bye */
/** @typedef {EventOf<"named">} Named */
