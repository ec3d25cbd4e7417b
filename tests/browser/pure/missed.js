import { MissedMentions } from "/static/missed.js";
import { Room } from "/static/room.js";
import { check, equal } from "./checks.js";

/** Run with timers that are ours: `wait` fires those that are due, `told` has what was shown. */
function gathered(run) {
  const { setTimeout, clearTimeout } = globalThis;
  /** @type {Map<number, {call: () => void, at: number}>} */
  const timers = new Map();
  let now = 0;
  let count = 0;
  Object.assign(globalThis, {
    setTimeout: (call, ms) => timers.set(++count, { call, at: now + ms }) && count,
    clearTimeout: (n) => timers.delete(n),
  });
  const told = /** @type {number[][]} */ ([]);
  const missed = new MissedMentions((all) => told.push(all.map(({ entry }) => entry.seq)));
  const wait = (ms) => {
    now += ms;
    for (const [n, { call, at }] of [...timers]) if (at <= now && timers.delete(n)) call();
  };
  const room = new Room("lobby");
  const add = (seq) => {
    room.mentions.push(seq);
    missed.add(room, { seq, at: seq });
  };
  try {
    run({ missed, room, add, wait, told, timers });
  } finally {
    Object.assign(globalThis, { setTimeout, clearTimeout });
  }
}

check("all that come within a while are told once, oldest first", () => {
  gathered(({ add, wait, told, timers }) => {
    for (const seq of [3, 1, 2]) {
      add(seq);
      wait(1_000);
    }
    equal(told, []);
    wait(1_000);
    equal([told, timers.size], [[[1, 2, 3]], 0]);
  });
});

check("those that never cease are told all the same", () => {
  gathered(({ add, wait, told }) => {
    for (let seq = 1; seq <= 12; seq++) {
      add(seq);
      wait(1_000);
    }
    equal(told[0], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });
});

check("what was seen meanwhile is not told, and nothing of another server", () => {
  gathered(({ missed, room, add, wait, told }) => {
    add(1);
    add(2);
    room.saw(1, 1);
    wait(2_000);
    add(3);
    room.saw(2, 3);
    wait(2_000);
    equal(told, [[2]]);
    add(4);
    missed.clear();
    wait(20_000);
    equal(told, [[2]]);
  });
});

check("so many are kept, the newest", () => {
  gathered(({ add, wait, told }) => {
    for (let seq = 1; seq <= 500; seq++) add(seq);
    wait(2_000);
    equal([told[0].length, told[0][0]], [100, 401]);
  });
});
