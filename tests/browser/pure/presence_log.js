import { line, PresenceLog } from "/static/presence_log.js";
import { check, equal } from "./checks.js";

/** The lines of a room in which this happened, each after the number before it. */
function lines(...notices) {
  const log = new PresenceLog();
  for (const { after = 1, ...notice } of notices) log.add({ members: 9, ...notice }, after, "me", 0);
  return log.groups.map(text);
}

const text = (group) =>
  line(group)
    .map((part) => (typeof part === "string" ? part : part.name))
    .join("");
const left = (...names) => names.map((name) => ({ name, why: "quit" }));
const renamed = (...pairs) => pairs.map(([name, to]) => ({ name, to }));
const many = (count) => Array.from({ length: count }, (_, n) => `m${n}`);

check("arrivals, departures and renames between two entries are one line", () => {
  equal(lines({ joined: ["ada"] }), ["ada came in"]);
  equal(lines({ left: left("ada") }), ["ada left"]);
  equal(lines({ renamed: renamed(["carl", "bob"]) }), ["carl is now bob"]);
  equal(lines({ joined: ["ada"] }, { joined: ["bob"] }, { left: left("eve") }), [
    "ada and bob came in · eve left",
  ]);
  equal(lines({ left: left("bob") }, { renamed: renamed(["carl", "bob"]) }), ["bob left · carl is now bob"]);
});

check("at most three names stand in a clause, and the others are counted", () => {
  equal(lines({ joined: ["ada", "bob", "eve"] }), ["ada, bob and eve came in"]);
  equal(lines({ joined: ["ada", "bob", "eve", "dan"] }), ["ada, bob and 2 others came in"]);
  equal(lines({ joined: many(1_200) }), ["m0, m1 and 1,198 others came in"]);
  equal(lines({ renamed: renamed(["a", "b"], ["c", "d"], ["e", "f"]) }), [
    "a is now b, c is now d and e is now f",
  ]);
  const renames = many(40).map((name) => [name, name + "x"]);
  equal(lines({ renamed: renamed(...renames) }), [
    "m0 is now m0x, m1 is now m1x and 38 others took another name",
  ]);
  equal(lines({ left: left(...many(40)) }, { joined: many(80).slice(40) }), [
    "m0, m1 and 38 others left · 40 people came in",
  ]);
});

check("a person who comes and goes between two entries is told once", () => {
  equal(lines({ joined: ["ada"] }, { left: left("ada") }), ["ada came in and left"]);
  equal(lines({ left: left("ada") }, { joined: ["Ada"] }), ["ada left and came back"]);
  equal(lines({ left: left("ada"), joined: ["ada"] }), ["ada left and came back"]);
  equal(lines({ joined: ["ada"] }, { left: left("ada") }, { joined: ["ada"] }), ["ada came in"]);
});

check("each entry between changes begins another line", () => {
  equal(lines({ joined: ["ada"], after: 1 }, { joined: ["bob"], after: 2 }), ["ada came in", "bob came in"]);
});

check("one's own arrivals and departures are no lines, one's own new name is", () => {
  equal(lines({ joined: ["Me"] }, { left: left("me") }, { joined: [] }), []);
  equal(lines({ renamed: renamed(["me", "myself"]) }), ["me is now myself"]);
});

check("the lines of a room, and the names of a line, have a bound", () => {
  const log = new PresenceLog();
  for (let after = 1; after <= 1_000; after++) log.add({ members: 2, joined: ["ada"] }, after, "me", 0);
  equal([log.groups.length, log.groups[0].after, log.groups.at(-1)?.after], [100, 901, 1_000]);
  log.cut(951);
  equal([log.groups.length, log.groups[0].after], [50, 951]);
  for (let n = 0; n < 100; n++) {
    const fresh = many(50).map((name) => `${n}${name}`);
    log.add(
      { members: 2, joined: fresh, renamed: fresh.map((name) => ({ name, to: name })) },
      1_000,
      "me",
      0,
    );
  }
  const group = log.groups[log.groups.length - 1];
  equal([group.changes.size, group.renames.length], [30, 30]);
});
