import { Room } from "/static/room.js";
import { dayLabel, rows, timeLabel } from "/static/rows.js";
import { chances, check, equal, holds } from "./checks.js";

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const NOON = Date.UTC(2026, 10, 20, 12);

const line = (seq, more = {}) => ({ type: "said", seq, at: NOON, by: "bob", text: `line ${seq}`, ...more });
const item = (ref, more = {}) => ({
  ref,
  text: ref,
  at: NOON,
  action: false,
  state: "waiting",
  why: "",
  ...more,
});
const kinds = (made) => made.map(({ kind }) => kind).join(" ");
const heads = (made) => made.filter((row) => "head" in row).map(({ head }) => head);

function drawn(entries, more = {}) {
  const place = { items: [], divider: null, top: "", kept: () => true, id: "e", me: "ada", connected: true };
  return rows(/** @type {any} */ ({ ...place, entries, now: NOON, ...more }));
}

check("every entry has a row, what is missing is counted, and no two rows have one key", () => {
  chances(300, (chance) => {
    const room = new Room("x");
    for (let n = 0; n < 60; n++) {
      const seq = 1 + chance.below(90);
      room.insert([line(seq, { at: NOON + seq * 4 * 60 * MINUTE, by: `${seq % 3}` })]);
    }
    const { entries } = room;
    const items = [item("a-1"), item("a-2")].slice(chance.below(3));
    const made = drawn(entries, { items, divider: chance.below(90), top: "older" });
    equal(new Set(made.map(({ key }) => key)).size, made.length, "keys");
    equal(
      made.filter(({ kind }) => kind === "entry").map(({ entry }) => entry.seq),
      entries.map(({ seq }) => seq),
    );
    const holes = made.filter(({ kind }) => kind === "hole");
    let missing = 0;
    for (const { after, next, label } of holes) {
      missing += next - after - 1;
      equal(label, `${next - after - 1} ${next - after === 2 ? "message" : "messages"}`);
      holds(entries.some(({ seq }) => seq === after) && entries.some(({ seq }) => seq === next), "edges");
    }
    const [first, last] = [entries[0].seq, /** @type {any} */ (entries.at(-1)).seq];
    equal(missing, last - first + 1 - entries.length, "missing");
  });
});

check("the line before what is new stands once, between what was seen and what was not", () => {
  const entries = [1, 2, 3, 4].map((seq) => line(seq));
  equal(kinds(drawn(entries, { divider: 2 })), "day entry entry new entry entry");
  for (const divider of [null, 0, 4, 9])
    equal(kinds(drawn(entries, { divider })), "day entry entry entry entry");
  equal(kinds(drawn([line(1), line(5)], { divider: 3 })), "day entry hole new entry");
});

check("a day is told before its first entry, and before what one is about to say", () => {
  const entries = [line(1, { at: NOON - 2 * DAY }), line(2, { at: NOON - DAY }), line(3, { at: NOON - DAY })];
  const made = drawn(entries, { items: [item("a-1")] });
  equal(kinds(made), "day entry day entry entry day item");
  equal(
    made.filter(({ kind }) => kind === "day").map(({ label }) => label),
    [dayLabel(NOON - 2 * DAY, NOON), "Yesterday", "Today"],
  );
});

check("by a clock that goes back no day begins twice", () => {
  const entries = [line(1, { at: NOON - DAY }), line(2), line(3, { at: NOON - DAY })];
  equal(
    kinds(drawn(entries, { items: [item("a-1", { at: NOON - DAY })] })),
    "day entry day entry entry item",
  );
});

check("lines of one author are drawn together, unless something stands between them", () => {
  const together = (one, other) => !heads(drawn([line(1, one), line(2, other)]))[1];
  holds(together({}, { at: NOON + 4 * MINUTE }), "five minutes");
  holds(together({ by: "Bob" }, { by: "bob" }), "a name in another case");
  holds(!together({}, { at: NOON + 5 * MINUTE }), "a pause");
  holds(!together({}, { by: "eve" }), "another author");
  holds(!together({}, { action: true }) && !together({ action: true }, {}), "an action");
  holds(!together({}, { type: "retitled" }) && !together({ type: "retitled" }, {}), "a topic");
  equal(heads(drawn([line(1), line(3)])), [true, true], "a hole");
  equal(heads(drawn([line(1), line(2)], { divider: 1 })), [true, true], "the new line");
  const items = [item("a-1"), item("a-2"), item("a-3", { action: true })];
  equal(heads(drawn([line(1, { by: "ada" })], { items })), [true, false, false, true], "one's own");
});

check("changes of presence stand where they happened, and part what is around them", () => {
  const change = (after, id = after) => ({
    ...{ id, after, at: NOON, renames: [], uncounted: { joined: 0, left: 0, renamed: 0 } },
    changes: new Map([["eve", { name: "eve", first: "left", last: "left" }]]),
  });
  const entries = [line(1), line(2), line(5), line(6)];
  const made = drawn(entries, { changes: [0, 1, 3, 6].map((after) => change(after)), items: [item("a-1")] });
  equal(kinds(made), "presence day entry presence entry hole presence entry entry presence item");
  equal(heads(made), [true, true, true, false, true]);
  equal(
    kinds(drawn([line(1), line(2)], { changes: [change(1)], divider: 1 })),
    "day entry presence new entry",
  );
  equal(kinds(drawn([], { changes: [change(0)] })), "presence");
  equal(new Set(made.map(({ key }) => key)).size, made.length, "keys");
});

check("two people who used one name after another never share a head", () => {
  const identities = [1, 1, 2, 2, undefined, 0];
  equal(heads(drawn(identities.map((identity, n) => line(n + 1, { identity })))), [
    true,
    false,
    true,
    false,
    true,
    false,
  ]);
  const items = [item("a-1")];
  equal(heads(drawn([line(1, { by: "ada", identity: 3 })], { items, identity: 3 })), [true, false]);
  equal(heads(drawn([line(1, { by: "ada", identity: 3 })], { items, identity: 4 })), [true, true]);
});

check("a long run of one author repeats the head, in the same places wherever the window begins", () => {
  const headed = (entries) =>
    drawn(entries)
      .filter((row) => row.kind === "entry" && row.head)
      .map(({ entry }) => entry.seq);
  const run = Array.from({ length: 200 }, (_, n) => line(n + 1));
  equal(headed(run).slice(0, 4), [1, 10, 20, 30]);
  for (const from of [3, 8, 15, 57]) {
    const [first, ...others] = headed(run.slice(from));
    equal(first, from + 1);
    holds(others[0] - first <= 14, `${others[0] - first} entries without an author`);
    equal(
      others.slice(1),
      headed(run).filter((seq) => seq > others[0]),
      `from ${from}`,
    );
  }
  const long = "one line\n".repeat(6).trim();
  equal(headed([1, 2, 3, 4].map((seq) => line(seq, { text: long }))), [1, 3], "many lines");
  equal(headed([1, 2, 3].map((seq) => line(seq, { text: "x".repeat(450) }))), [1, 3], "long lines");
  equal(headed([1, 2, 3, 4].map((seq) => line(seq, { at: NOON + seq * 4 * MINUTE }))), [1, 4], "a long time");
  const items = Array.from({ length: 30 }, (_, n) => item(`a-${n}`));
  equal(heads(drawn([], { items })).filter(Boolean).length, 4, "one's own on their way");
});

check("a row looks different when it must be drawn anew, and else the same", () => {
  const looks = (more) =>
    drawn([line(1), line(3)], { items: [item("a-1", more.item)], ...more }).map((row) => row.look);
  const was = looks({});
  const changed = (more) =>
    looks(more)
      .map((look, n) => (look === was[n] ? "" : "day entry hole entry item".split(" ")[n]))
      .filter(Boolean);
  equal(changed({}), []);
  equal(changed({ item: { state: "failed" } }), ["item"]);
  equal(changed({ item: { why: "too long" } }), ["item"]);
  equal(changed({ connected: false }), ["item"]);
  equal(changed({ kept: () => false }), ["hole"]);
  equal(changed({ now: NOON + DAY }), ["day"]);
  equal(changed({ me: "eve" }), ["entry", "entry"]);
});

check("where the same numbers mean other entries, the rows are others", () => {
  const keys = (id) => drawn([line(1)], { id, top: "start" }).map(({ key }) => key);
  const [start, day, entry] = keys("e");
  const [otherStart, sameDay, otherEntry] = keys("f");
  equal([start === otherStart, day === sameDay, entry === otherEntry], [false, true, false]);
});

check("days have the names that people give them", () => {
  equal(dayLabel(NOON, NOON), "Today");
  equal(dayLabel(Date.UTC(2026, 10, 20), NOON), "Today");
  equal(dayLabel(Date.UTC(2026, 10, 20) - 1, NOON), "Yesterday");
  equal(dayLabel(Date.UTC(2026, 10, 18), NOON), "Wednesday 18 November");
  holds(/20 November 2025$/u.test(dayLabel(Date.UTC(2025, 10, 20), NOON)), "another year is not told");
  equal(timeLabel(Date.UTC(2026, 10, 20, 9, 5)), "09:05");
});
