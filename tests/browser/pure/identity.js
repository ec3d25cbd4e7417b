import { Identities } from "/static/identity.js";
import { check, equal, holds } from "./checks.js";

const SECOND = 1_000;

/** A stay in a room that had ten entries. */
function stay() {
  const identities = new Identities();
  identities.enter(10, false);
  let seq = 10;
  const says = (by, now) => {
    const entry = { by, seq: ++seq, identity: -1 };
    identities.mark(entry, now);
    return entry;
  };
  return { identities, says };
}

const left = (name) => ({ members: 1, left: [{ name, why: "quit" }] });
const renamed = (name, to) => ({ members: 1, renamed: [{ name, to }] });

check("a name that no notice names keeps its number", () => {
  const { identities, says } = stay();
  const first = says("bob", 0);
  identities.changed({ members: 3, joined: ["carl"], left: [{ name: "dan" }] }, SECOND);
  equal(says("Bob", 2 * SECOND).identity, first.identity);
  equal(identities.of("bob"), first.identity);
});

check("a name that passes to another person has another number", () => {
  const { identities, says } = stay();
  const before = says("bob", 0).identity;
  identities.changed(left("bob"), 10 * SECOND);
  identities.changed(renamed("carl", "bob"), 20 * SECOND);
  const after = says("bob", 30 * SECOND).identity;
  holds(before !== after, "two people have one number");
  equal(says("BOB", 31 * SECOND).identity, after);
});

check("each notice that frees or takes a name changes its number", () => {
  for (const notice of [
    left("bob"),
    renamed("bob", "rob"),
    renamed("carl", "bob"),
    { members: 2, joined: ["bob"] },
  ]) {
    const { identities, says } = stay();
    const before = says("bob", 0).identity;
    identities.changed(/** @type {any} */ (notice), 10 * SECOND);
    holds(says("bob", 20 * SECOND).identity !== before, JSON.stringify(notice));
  }
});

check("a person who writes the same name differently stays one person", () => {
  const { identities, says } = stay();
  const before = says("ada", 0).identity;
  identities.changed(renamed("ada", "Ada"), SECOND);
  equal(says("Ada", 2 * SECOND).identity, before);
});

check("entries that overtook the notice of a handover are not joined to those before", () => {
  const { identities, says } = stay();
  const before = says("bob", 0);
  const after = says("bob", 20);
  const other = says("eve", 20);
  identities.changed({ ...left("bob"), ...renamed("carl", "bob") }, 40);
  holds(before.identity !== after.identity, "the entries around the handover have one number");
  equal(other.identity, says("eve", 50).identity);
});

check("a late entry of the last holder is not joined to those of the next", () => {
  const { identities, says } = stay();
  identities.changed(left("bob"), 0);
  identities.changed(renamed("carl", "bob"), 20);
  const late = says("bob", 40);
  const next = says("bob", 60);
  holds(late.identity !== next.identity, "both have one number");
  equal(says("bob", 10 * SECOND).identity, says("bob", 11 * SECOND).identity);
});

check("two people who swap names are told apart", () => {
  const { identities, says } = stay();
  const before = ["ada", "bob"].map((name) => says(name, 0).identity);
  const swap = [
    { name: "ada", to: "bob" },
    { name: "bob", to: "ada" },
  ];
  identities.changed({ members: 2, renamed: swap }, 10 * SECOND);
  const after = ["ada", "bob"].map((name) => says(name, 20 * SECOND).identity);
  holds(before[0] !== after[0] && before[1] !== after[1], "a name kept its number");
});

check("unseen changes, a cut notice, and an outage change every number", () => {
  for (const lose of [
    (identities) => identities.unseen(),
    (identities) => identities.changed({ members: 900, more: true }, SECOND),
    (identities) => identities.enter(11, true),
  ]) {
    const { identities, says } = stay();
    const before = says("bob", 0).identity;
    lose(identities);
    holds(says("bob", 2 * SECOND).identity !== before, String(lose));
  }
});

check("entries that a join sends again are history, and those of an outage a stretch of their own", () => {
  const { identities, says } = stay();
  const entry = { by: "bob", seq: 10, identity: -1 };
  identities.mark(entry, 0);
  equal(entry.identity, 0);
  const live = says("bob", 0);
  holds(live.identity !== 0, "a live entry has the number of history");
  identities.enter(12, true);
  const [missed, next] = [says("bob", 0), says("bob", 0)];
  equal(new Set([0, live.identity, missed.identity, next.identity]).size, 4);
});

check("the names that are kept have a bound, and at it every number changes", () => {
  const { identities, says } = stay();
  const before = says("bob", 0).identity;
  const names = (/** @type {number} */ from) => Array.from({ length: 600 }, (_, n) => `m${from + n}`);
  identities.changed({ members: 600, joined: names(0) }, SECOND);
  equal(says("bob", SECOND).identity, before);
  identities.changed({ members: 1_200, joined: names(600) }, SECOND);
  holds(identities.holders.size <= 1_000, `${identities.holders.size} names are kept`);
  holds(says("bob", 2 * SECOND).identity !== before, "the number is the same");
  for (let n = 0; n < 200; n++) says("eve", 0);
  equal(identities.recent.length, 50);
});
