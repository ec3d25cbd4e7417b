import { Questions } from "/static/questions.js";
import { check, equal } from "./checks.js";

const TOO_FAST = { type: "error", code: "rate_limited", detail: "too fast", retry_after_s: 3 };
const REFUSED = { type: "error", code: "bad_name", detail: "no" };

/** What is asked, and what comes of it; `later` runs what waits for its time. */
function asking() {
  const told = { sent: [], done: [], refused: [], waits: [], connected: true, later: () => {}, questions: null };
  let count = 0;
  const send = (command) => told.connected && Boolean(told.sent.push(command));
  told.questions = new Questions(send, () => `r${++count}`);
  told.later = () => {
    for (const run of told.waits.splice(0)) run();
  };
  return told;
}

/** Asked, with the clock in our hands. @param {any} told  @param {() => void} run */
function withClock(told, run) {
  const clock = globalThis.setTimeout;
  globalThis.setTimeout = /** @type {any} */ ((later) => told.waits.push(later));
  try {
    run();
  } finally {
    globalThis.setTimeout = clock;
  }
}

function ask(told) {
  const { done, refused } = told;
  told.questions.ask(
    { type: "join" },
    (answer) => done.push(answer.ref),
    (error) => refused.push(error.code),
  );
}

check("an answer goes to who asked, once", () => {
  const told = asking();
  ask(told);
  ask(told);
  equal(told.questions.answered({ type: "room", ref: "r2" }), true);
  equal(told.questions.answered({ type: "room", ref: "r2" }), false);
  equal(told.questions.answered({ type: "said" }), false);
  told.questions.answered({ ...REFUSED, ref: "r1" });
  equal([told.done, told.refused], [["r2"], ["bad_name"]]);
});

check("who is too fast asks again when told to, five times in all", () => {
  const told = asking();
  withClock(told, () => {
    ask(told);
    for (let n = 1; n <= 5; n++) {
      equal(told.sent.length, n);
      told.questions.answered({ ...TOO_FAST, ref: `r${n}` });
      told.later();
    }
  });
  equal([told.sent.length, told.refused], [5, ["rate_limited"]]);
});

check("what waits to be asked again is lost with the connection, and not asked on the next one", () => {
  const told = asking();
  withClock(told, () => {
    ask(told);
    told.questions.answered({ ...TOO_FAST, ref: "r1" });
    told.questions.lost();
    equal(told.refused, ["lost"]);
    told.later();
  });
  equal([told.sent.length, told.refused], [1, ["lost"]]);
});

check("without a connection nothing is asked", () => {
  const told = asking();
  told.connected = false;
  ask(told);
  equal([told.refused, told.questions.open.size], [["lost"], 0]);
});
