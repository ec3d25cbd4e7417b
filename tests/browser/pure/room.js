import { Room } from "/static/room.js";
import { chances, check, equal, holds } from "./checks.js";

const line = (seq, more = {}) => ({
  type: "said",
  seq,
  at: seq * 1_000,
  by: "bob",
  text: `line ${seq}`,
  ...more,
});
const lines = (from, to) => Array.from({ length: to - from + 1 }, (_, n) => line(from + n));
const numbers = (room) => room.entries.map(({ seq }) => seq);

/** A room that was just entered. */
function entered({ head = 100, first = 1, recent = 60, read = /** @type {any} */ (null), epoch = "e" } = {}) {
  const room = new Room("Lobby");
  room.entered({ ...answer, head, first, epoch }, recent, read);
  return room;
}

const answer = { room: "lobby", epoch: "e", resumed: false, first: 1, head: 100, members: 3, topic: "tea" };

check("entries in any order, and more than once, are there once and in theirs", () => {
  chances(200, (chance) => {
    const room = entered();
    const seen = new Set();
    for (let n = 0; n < 100; n++) {
      const from = 1 + chance.below(120);
      const some = lines(from, from + chance.below(8));
      for (const { seq } of some) seen.add(seq);
      room.insert(some);
    }
    const sorted = [...seen].sort((a, b) => a - b);
    equal(numbers(room), sorted);
    equal(room.begun, sorted[0] === 1);
    for (let seq = 0; seq < 130; seq++) {
      const at = sorted.findIndex((each) => each >= seq);
      equal(room.indexOf(seq), at < 0 ? sorted.length : at, `where ${seq} is`);
    }
  });
});

check("what is said live is there once, however often it is told", () => {
  chances(200, (chance) => {
    const room = entered();
    const news = new Set();
    for (let n = 0; n < 50; n++) {
      const seq = 30 + chance.below(80);
      const before = room.cursor ?? 0;
      const is = room.add(line(seq));
      equal(is, seq > before, `${seq} after ${before}`);
      if (is) news.add(seq);
      equal(room.cursor, Math.max(before, seq));
    }
    equal(numbers(room), [...news]);
  });
});

check("one enters at the end, and reads on from there", () => {
  equal(entered().cursor, 40);
  equal(entered({ head: 10 }).cursor, 0);
  equal(entered({ first: 81 }).cursor, 80);
  equal(entered({ head: 0 }).cursor, 0);
});

check("one comes back behind what is here", () => {
  const room = entered();
  equal(new Room("x").door, { recent: 60 });
  for (const each of lines(41, 105)) room.add(each);
  equal(room.door, { recent: 200, limit: 200, after: 105, epoch: "e" });
  room.entered({ ...answer, resumed: true, head: 120 }, 200, null);
  equal([numbers(room).length, room.cursor, room.head], [65, 105, 120]);
});

check("where the history is another, nothing of the old one stays", () => {
  const room = entered();
  for (const each of lines(41, 100)) room.add(each);
  room.forgotten(3, 5);
  room.entered({ ...answer, epoch: "f", head: 20 }, 60, { epoch: "e", seq: 90 });
  equal([numbers(room), room.lost, room.anew, room.cursor, room.read], [[], [], true, 0, 20]);
  equal(room.door, { recent: 200, limit: 200, after: 0, epoch: "f" });
});

check("what this browser has shown before is read, if it was of this history", () => {
  equal(entered({ read: { epoch: "e", seq: 90 } }).read, 90);
  equal(entered({ read: { epoch: "e", seq: 90 } }).divider, 90);
  equal(entered({ read: { epoch: "d", seq: 90 } }).read, 100);
  equal(entered({ read: { epoch: "e", seq: 101 } }).read, 100);
  equal(entered().divider, null);
});

check("a hole of which nobody has anything is not asked for", () => {
  const room = entered({ first: 10 });
  equal(room.kept(2, 9), false);
  equal(room.kept(2, 20), true);
  room.skip({ after: 40, next: 50, kept: true });
  equal([room.cursor, room.kept(40, 50)], [49, true]);
  room.skip({ after: 60, next: 70, kept: false });
  equal([room.cursor, room.kept(60, 70), room.kept(62, 69), room.kept(59, 70)], [69, false, false, true]);
  equal([room.kept(60, 71), room.kept(65, 75)], [true, true], "a part of it");
  room.skip({ after: 20, next: 30, kept: true });
  equal(room.cursor, 69);
});

check("a room keeps so much and no more, and forgets from the top", () => {
  const room = entered({ head: 0 });
  room.begun = true;
  for (const each of lines(1, 12_000)) {
    room.add(each);
    if (room.entries.length > 5_000) throw new Error(`${room.entries.length} entries`);
  }
  const left = numbers(room);
  equal(
    left,
    lines(left[0], 12_000).map(({ seq }) => seq),
  );
  holds(left.length >= 4_000, `only ${left.length} are left`);
  equal(room.begun, false);
});

check("unread is what others said since, up to a bound, and mentions are counted apart", () => {
  const room = entered({ head: 0 });
  room.add(line(1), "ada");
  room.add(line(2, { by: "ada" }), "ada");
  room.add(line(3, { type: "retitled", text: "ada" }), "ada");
  equal(room.unread("ada"), { unread: 1, mentions: 0, others: 1 });
  room.add(line(4, { text: "@ada?" }), "ada");
  equal(room.unread("ada"), { unread: 2, mentions: 1, others: 1 });
  equal([room.seen(), room.seen()], [true, false]);
  equal(room.unread("ada"), { unread: 0, mentions: 1, others: 0 }, "read over, and not seen");
  equal([room.saw(1, 3), room.saw(5, 9), room.saw(4, 4), room.saw(4, 4)], [false, false, true, false]);
  for (const each of lines(5, 300)) room.add(each, "ada");
  equal(room.unread("ada"), { unread: 100, mentions: 0, others: 100 });
});

check("a mention is unseen until it was on the screen, whatever was said since", () => {
  const room = entered({ head: 0 });
  room.add(line(1, { text: "ada!" }), "ada");
  for (const each of lines(2, 92)) room.add(each, "ada");
  room.seen();
  room.saw(60, 92);
  equal(room.mentions, [1]);
  room.saw(1, 30);
  equal(room.mentions, []);
});

check("unseen mentions have a bound, and the oldest go", () => {
  const room = entered({ head: 0 });
  for (const each of lines(1, 250)) room.add({ ...each, text: "ada" }, "ada");
  equal([room.mentions.length, room.mentions[0], room.mentions.at(-1)], [100, 151, 250]);
});

check("the next load of the page knows the unseen mentions, and where to look for more", () => {
  const room = entered({ head: 0 });
  for (const each of lines(1, 40)) room.add({ ...each, text: each.seq % 20 ? "" : "ada" }, "ada");
  room.seen();
  room.saw(20, 20);
  const { mark } = room;
  equal(mark, { epoch: "e", seq: 40, mentions: [40], scanned: 40 });
  const later = entered({ head: 200, read: mark });
  equal([later.read, later.mentions, later.scanned, later.cursor], [40, [40], 40, 140]);
  for (const each of lines(141, 200)) later.add({ ...each, text: "ada" }, "ada");
  equal([later.mentions.length, later.scanned], [61, 40], "41 to 140 are still to be looked at");
  equal(entered({ first: 41, read: mark }).mentions, [], "it is no longer kept");
  const odd = { epoch: "e", seq: 40, mentions: /** @type {any} */ ("no"), scanned: /** @type {any} */ (null) };
  equal([entered({ read: odd }).mentions, entered({ read: odd }).scanned], [[], 40], "of another program");
});

check("a room that was empty when it was left is unread from its first line", () => {
  const empty = entered({ head: 0, epoch: "d" });
  const room = entered({ head: 40, read: empty.mark });
  equal([room.read, room.scanned, room.cursor], [0, 0, 0]);
  for (const each of lines(1, 40)) room.add(each, "ada");
  equal(room.unread("ada").unread, 40);
});

check("what was said while one was away is unread, though it is not here yet", () => {
  const room = entered({ read: { epoch: "e", seq: 30 } });
  room.add(line(100));
  equal(room.unread("ada").unread, 70);
  room.add(line(101));
  room.read = 0;
  equal(room.unread("ada").unread, 100, "the bound");
});

check("a topic is the last that was given, and who speaks types no more", () => {
  const room = entered();
  equal(room.topic, "tea");
  room.typing.set("bob", 1);
  room.add(line(101, { type: "retitled", text: "soup" }));
  equal([room.topic, room.typing.size], ["soup", 0]);
});

check("who is in is told once and kept up", () => {
  const room = entered();
  room.changed({ members: 4, joined: ["eve"] });
  equal([room.here, room.members], [4, null], "nobody has asked yet");
  room.listed({ names: ["ada", "bob"], count: 4, more: true }, false);
  room.listed({ names: ["carol", "eve"], count: 4, more: false }, true);
  const known = () => [...(room.members ?? [])].sort();
  equal([known(), room.membersMore], [["ada", "bob", "carol", "eve"], false]);
  room.changed({
    members: 4,
    left: [{ name: "bob" }],
    joined: ["dan"],
    renamed: [{ name: "ada", to: "adam" }],
  });
  equal(known(), ["adam", "carol", "dan", "eve"]);
  room.changed({ members: 4, left: [{ name: "dan" }], joined: ["dan"] });
  equal(known(), ["adam", "carol", "dan", "eve"], "who left and came is in");
  room.changed({
    members: 4,
    renamed: [
      { name: "dan", to: "eve" },
      { name: "eve", to: "dan" },
    ],
  });
  equal(known(), ["adam", "carol", "dan", "eve"], "who changed names are both in");
  equal(room.membersStale, false);
  room.changed({ members: 900, more: true });
  equal(room.membersStale, true);
  room.listed({ names: ["ada"], count: 1, more: false }, false);
  equal([known(), room.here, room.membersStale], [["ada"], 1, false]);
});

check("changes of presence are kept behind the entry before them, and count as nothing", () => {
  const room = entered();
  room.add(line(101), "", 0);
  room.seen();
  room.changed({ members: 4, joined: ["eve", "Ada"] }, "ada", 7);
  const [group] = room.presence.groups;
  equal([group.after, group.at, [...group.changes.keys()]], [101, 7, ["eve"]]);
  equal([room.unread("ada").unread, room.seen(), numbers(room), room.cursor], [0, false, [101], 101]);
  room.entered({ ...answer, resumed: true, head: 101 }, 200, null);
  equal(room.presence.groups.length, 1);
  room.entered({ ...answer, epoch: "f", head: 9 }, 60, null);
  equal(room.presence.groups.length, 0, "of another history");
});

check("changes go with the entries that they stand behind", () => {
  const room = entered({ head: 0 });
  for (const each of lines(1, 5_001)) {
    room.add(each);
    if (each.seq === 500 || each.seq === 2_000) room.changed({ members: 2, joined: [`m${each.seq}`] });
  }
  equal(
    room.presence.groups.map(({ after }) => after),
    [2_000],
  );
});

check("a page of members that does not go on is the last", () => {
  const room = entered();
  room.listed({ names: ["ada"], count: 9, more: true }, false);
  equal(room.membersMore, true);
  room.listed({ names: ["ada"], count: 9, more: true }, true);
  equal(room.membersMore, false);
});
