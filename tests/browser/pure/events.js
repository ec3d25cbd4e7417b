import { AT_MAX, checked, SHAPES } from "/static/events.js";
import { chances, check, equal, holds } from "./checks.js";

const VECTORS = await (await fetch("/pure/vectors.json")).json();
const SAID = { type: "said", room: "lobby", seq: 1, at: 2, by: "ada", text: "hi" };

/** Run with a console that keeps what is warned of. @param {() => void} run  @returns {string[]} */
function warnings(run) {
  const { warn } = console;
  /** @type {string[]} */
  const warned = [];
  console.warn = (text) => warned.push(text);
  try {
    run();
  } finally {
    console.warn = warn;
  }
  return warned;
}

/** @param {unknown} message  @returns {any} */
function quietly(message) {
  let event;
  warnings(() => (event = checked(message)));
  return event;
}

check("every sound event of the vectors is taken, and one of an unknown type is passed over", () => {
  for (const { about, payload, message } of VECTORS.events) {
    const warned = warnings(() => {
      const event = checked(JSON.parse(payload));
      equal(event === null, message === null, about);
      if (event) equal(event, JSON.parse(payload), about);
    });
    equal(warned, [], about);
  }
});

check("every malformed event of the vectors is dropped with a word, or drops its entry", () => {
  for (const { about, payload } of VECTORS.refused_events) {
    const warned = warnings(() => {
      const event = checked(JSON.parse(payload));
      equal(/** @type {any} */ (event)?.entries ?? [], [], about);
      holds(event === null || event.type === "history", about);
    });
    equal(warned.length, 1, about);
  }
});

check("a time is a number that a calendar holds", () => {
  for (const at of [0, AT_MAX]) equal(quietly({ ...SAID, at })?.at, at);
  for (const at of [undefined, null, "now", "5", 1.5, -1, NaN, AT_MAX + 1, 9e15, [], {}, true]) {
    equal(quietly({ ...SAID, at }), null, String(at));
    equal(quietly({ type: "whispered", by: "bob", to: "ada", text: "hi", at }), null, String(at));
  }
});

check("a field of any event that is missing or of another type is found", () => {
  /** @type {Record<string, any>} */
  const sound = {};
  for (const { payload, message } of VECTORS.events) if (message) sound[message.type] = JSON.parse(payload);
  let tried = 0;
  for (const [type, event] of Object.entries(sound)) {
    for (const field of Object.keys(/** @type {any} */ (SHAPES)[type])) {
      if (field === "entries") continue; // an odd one is dropped from its page
      for (const odd of [null, {}, Symbol("odd"), -1, [Symbol("odd")]]) {
        tried++;
        equal(quietly({ ...event, ref: undefined, [field]: odd }), null, `${type}.${field}`);
      }
    }
  }
  holds(tried > 100, "little was tried");
});

check("a malformed answer is a refusal of its command", () => {
  const answer = quietly({ type: "members", room: "lobby", names: "ada", count: 1, more: false, ref: "r1" });
  equal(answer, {
    type: "error",
    code: "bad_message",
    detail: "cannot read the server's answer: invalid members.names",
    ref: "r1",
  });
  equal(quietly({ type: "members", room: "lobby", names: "ada", count: 1, more: false }), null);
  equal(quietly({ type: "pong", ref: 5 }), null);
});

check("one malformed entry of a page is dropped, and the others stay", () => {
  const entries = [
    SAID,
    { ...SAID, seq: 2, at: "now" },
    { ...SAID, seq: 3, type: "sung" },
    null,
    { ...SAID, seq: 4 },
  ];
  for (const type of ["history", "found"]) {
    const page = quietly({ type, room: "lobby", entries, more: false, ref: "r1" });
    equal(
      page.entries.map((/** @type {any} */ entry) => entry.seq),
      [1, 4],
    );
  }
});

check("nothing that a server sends throws", () => {
  const values = [null, 5, "x", [], {}, true, -1, 1e300, [[]], { type: 5 }, "constructor", "__proto__"];
  chances(2_000, (chance) => {
    const type = chance.of([...Object.keys(SHAPES), "constructor", "toString", "__proto__", ""]);
    const message = { type, ref: chance.of(values) };
    const fields = Object.keys(/** @type {any} */ (SHAPES)[type] ?? {});
    for (const field of fields) if (chance.below(3)) Object.assign(message, { [field]: chance.of(values) });
    quietly(message);
  });
  for (const message of values) equal(quietly(message), null);
});
