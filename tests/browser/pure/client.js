import { Client } from "/static/client.js";
import { Namespace } from "/static/namespace.js";
import { State } from "/static/state.js";
import { Storage } from "/static/storage.js";
import { Tab } from "/static/tab.js";
import { check, equal, holds } from "./checks.js";

const TOO_FAST = { type: "error", code: "rate_limited", detail: "too fast", retry_after_s: 1 };

const LIMITS = { frame_bytes: 65536, text_bytes: 4096, rooms: 100, talk_burst: 20, talk_per_s: 5 };

/** A socket whose other end is in our hands. */
class ModelSocket {
  static OPEN = 1;

  constructor() {
    this.readyState = 0;
    this.sent = [];
    this.onopen = this.onmessage = this.onclose = () => {};
    sockets.push(this);
  }

  send(text) {
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.readyState = 3;
  }
}

/** @type {ModelSocket[]} */
let sockets = [];

/** The server of one page, which answers as a check wants it to. */
class World {
  /** @param {string[]} rooms  that the browser remembers */
  constructor(...rooms) {
    this.all = new Storage(null);
    this.namespace = new Namespace(this.all, "/");
    const { storage } = this.namespace;
    storage.set("me", { name: "ada", token: "t" });
    storage.set("rooms", rooms);
    this.state = new State(storage);
    const tab = new Tab(storage, new Storage(null));
    this.moves = 0;
    /** @type {number[]} the entries of which the page above was told: said now, and mentions that were missed */
    this.live = [];
    /** @type {number[]} */
    this.missed = [];
    /** @type {string[]} */
    this.refused = [];
    const above = {
      live: (_, { seq }) => this.live.push(seq),
      missed: (_, { seq }) => this.missed.push(seq),
      refused: (room, detail) => this.refused.push(`${room.name}: ${detail}`),
      moving: () => this.moves++,
    };
    this.client = new Client(this.state, tab, "ws://x/ws", this.namespace, above);
    this.client.start();
    this.open();
  }

  get socket() {
    return /** @type {ModelSocket} */ (sockets.at(-1));
  }

  /** The connection stands. */
  open() {
    this.socket.readyState = ModelSocket.OPEN;
    this.socket.onopen();
  }

  /** Welcome the page as one who has sent this hello. */
  welcome(more = {}) {
    const { name, token = "t" } = this.last("hello");
    this.hear({
      ...{
        type: "welcome",
        version: 1,
        session: 1,
        server: "model",
        ref: "hello",
        name,
        token,
        kept: "forever",
      },
      ...{ features: [], limits: LIMITS, ping_s: 25, ...more },
    });
  }

  /** Another server is there from the next connection on, and welcomes the page with these fields. */
  answers(later, more) {
    this.breaks();
    later(10_000);
    this.open();
    this.welcome(more);
  }

  /** The types of what was sent on the connection that there is. */
  get types() {
    return this.socket.sent.map(({ type }) => type);
  }

  hear(event) {
    this.socket.onmessage({ data: JSON.stringify(event) });
  }

  /** What was sent last of this type. */
  last(type) {
    return this.socket.sent.findLast((command) => command.type === type);
  }

  count(type) {
    return this.socket.sent.filter((command) => command.type === type).length;
  }

  /** Answer the last join. */
  enter(more = {}) {
    const { room, ref } = this.last("join");
    const about = { epoch: "e", resumed: false, first: 1, head: 0, members: 1, topic: "" };
    this.hear({ type: "room", room, ref, ...about, ...more });
  }

  breaks() {
    this.socket.readyState = 3;
    this.socket.onclose();
  }

  room(name) {
    return this.state.rooms.get("#" + name);
  }
}

/** As `check`, with sockets and a clock that are ours: `later` runs what waits for its time. */
function checkClient(name, run) {
  check(name, () => {
    const { WebSocket, setTimeout, clearTimeout, setInterval } = globalThis;
    const waits = new Map();
    let count = 0;
    sockets = [];
    Object.assign(globalThis, {
      WebSocket: ModelSocket,
      setTimeout: (call, ms) => waits.set(++count, { call, ms }) && count,
      clearTimeout: (n) => waits.delete(n),
      setInterval: () => 0,
    });
    const later = (most_ms) => {
      for (const [n, { call, ms }] of [...waits]) if (ms <= most_ms && waits.delete(n)) call();
    };
    try {
      return run(later);
    } finally {
      Object.assign(globalThis, { WebSocket, setTimeout, clearTimeout, setInterval });
    }
  });
}

checkClient("to leave whispers is not to leave the room that has the name", () => {
  const world = new World("bob");
  world.welcome();
  world.enter();
  world.client.leave(world.state.thread("bob"));
  equal(world.count("leave"), 0);
  equal(world.room("bob").joined, true);
});

checkClient("who comes back waits until it is known that they are out", (later) => {
  const world = new World("lobby");
  world.welcome();
  world.enter();
  world.client.leave(world.room("lobby"));
  world.client.join("lobby");
  equal(world.count("join"), 1, "before the answer to leave");
  world.hear({ ...TOO_FAST, ref: world.last("leave").ref });
  equal(world.count("join"), 1, "while it is too early to leave");
  later(1_000);
  world.hear({ type: "ack", ref: world.last("leave").ref, room: "lobby" });
  equal([world.count("leave"), world.count("join")], [2, 2]);
  world.enter();
  equal(world.room("lobby").joined, true);
});

checkClient("who leaves and comes back just as the connection breaks is in on the next one", (later) => {
  const world = new World("lobby");
  world.welcome();
  world.enter();
  world.client.leave(world.room("lobby"));
  world.client.join("lobby");
  world.breaks();
  later(10_000);
  world.open();
  world.welcome();
  world.enter();
  equal(world.room("lobby").joined, true);
});

checkClient("a line that is in sight as an entry and not yet acked keeps one in the room", () => {
  const world = new World("lobby");
  world.welcome();
  world.enter();
  world.client.speaker.say(world.room("lobby"), "hi");
  world.hear({ type: "said", room: "lobby", seq: 1, at: 1, by: "ada", text: "hi" });
  world.client.leave(world.room("lobby"));
  equal(world.count("leave"), 0);
  world.hear({ type: "ack", ref: world.last("say").ref, seq: 1 });
  world.client.leave(world.room("lobby"));
  equal(world.count("leave"), 1);
});

checkClient(
  "who takes another name at the door is not forgotten there when the connection breaks",
  (later) => {
    const world = new World("lobby");
    world.hear({ type: "error", ref: "hello", code: "name_taken", detail: "the name ada is taken" });
    world.client.callMe("grace");
    world.breaks();
    later(10_000);
    equal(sockets.length, 2);
    world.open();
    equal(world.last("hello").name, "grace");
  },
);

checkClient(
  "who takes another name at the door is not left waiting by a connection that is dead",
  (later) => {
    const world = new World("lobby");
    world.hear({ type: "error", ref: "hello", code: "name_taken", detail: "the name ada is taken" });
    world.client.callMe("grace");
    later(10_000); // nothing comes
    later(10_000);
    equal(sockets.length, 2);
  },
);

checkClient("who leaves while still on the way in goes out again, and may come back", () => {
  const world = new World("lobby");
  world.welcome();
  world.client.leave(world.room("lobby"));
  world.client.join("lobby");
  equal([world.count("join"), world.count("leave")], [1, 0]);
  world.enter();
  equal([world.count("join"), world.count("leave")], [1, 1]);
  world.hear({ type: "ack", ref: world.last("leave").ref, room: "lobby" });
  equal([world.count("join"), world.room("lobby").entering], [2, true]);
});

checkClient("who leaves a room that then does not let them in may try again", () => {
  const world = new World("lobby");
  world.welcome();
  world.client.leave(world.room("lobby"));
  world.client.join("lobby");
  world.hear({ type: "error", ref: world.last("join").ref, code: "too_many_rooms", detail: "too many" });
  equal([world.count("join"), world.room("lobby").why], [2, ""]);
});

checkClient("what another tab has shown until one is in counts as read", () => {
  const world = new World("lobby");
  world.welcome();
  world.state.storage.set("read.#lobby", { epoch: "e", seq: 7 });
  world.enter({ head: 9 });
  equal([world.room("lobby").read, world.state.storage.get("read.#lobby").seq], [7, 7]);
});

checkClient("the first server that is heard has what was kept for whatever is there", () => {
  const world = new World("lobby");
  world.welcome({ server_id: "S" });
  equal(world.types, ["hello", "join"]);
  equal([world.namespace.id, world.state.storage.get("me").token, world.moves], ["S", "t", 0]);
});

checkClient("another server gets a goodbye and then a hello of its own, and nothing else", (later) => {
  const world = new World("lobby");
  world.welcome({ server_id: "S" });
  world.enter();
  world.client.speaker.say(world.room("lobby"), "under way");
  world.client.speaker.say(world.room("lobby"), "behind it");
  world.answers(later, { server_id: "T" });
  equal(world.types, ["hello", "quit"]);
  equal(world.client.outbox.items.size, 0);
  world.hear({ type: "whispered", by: "eve", to: "ada", text: "not for this tab", at: 1 });
  equal(world.state.threads.size, 0);
  world.client.rename("grace").catch(() => {});
  world.client.join("kitchen");
  equal(world.types, ["hello", "quit"], "after the goodbye");
  world.breaks();
  world.open();
  const { name, token } = world.last("hello");
  equal([name, token], ["ada", undefined], "the name, and not the token of the other");
  world.welcome({ server_id: "T", token: "of T" });
  equal(world.types, ["hello", "join"], "the room that the person is in, and no line");
  equal(world.moves, 1);
});

checkClient("the first server is back, and so are its name, its rooms and its lines", (later) => {
  const world = new World("lobby");
  world.welcome({ server_id: "S" });
  world.enter();
  world.client.speaker.say(world.room("lobby"), "one");
  world.client.speaker.say(world.room("lobby"), "two");
  const { ref } = world.last("say");
  world.answers(later, { server_id: "T" });
  world.breaks();
  world.open();
  world.welcome({ server_id: "T", name: "ada_2", token: "of T" });
  world.answers(later, { server_id: "S" });
  equal(world.types, ["hello", "quit"]);
  world.breaks();
  world.open();
  const { name, token } = world.last("hello");
  equal([name, token], ["ada", "t"]);
  world.welcome({ server_id: "S" });
  world.enter();
  equal([world.last("say").text, world.last("say").ref], ["one", ref]);
  world.hear({ type: "ack", ref, seq: 1 });
  equal(world.last("say").text, "two");
});

checkClient("a server that names itself no more, or at last, is another one", (later) => {
  const world = new World("lobby");
  world.welcome({ server_id: "S" });
  world.answers(later, {});
  equal([world.types, world.namespace.id], [["hello", "quit"], ""]);
  world.breaks();
  world.open();
  world.welcome({ token: "of the other" });
  world.answers(later, { server_id: "S" });
  equal([world.types, world.namespace.id], [["hello", "quit"], "S"]);
});

checkClient("a server without an id that comes back is the one that was there", (later) => {
  const world = new World("lobby");
  world.welcome();
  world.enter();
  world.client.speaker.say(world.room("lobby"), "under way");
  world.answers(later, {});
  world.enter();
  equal(world.last("say").text, "under way");
});

checkClient("two servers that take turns behind one address are not asked without a pause", (later) => {
  const world = new World("lobby");
  world.welcome({ server_id: "S" });
  world.answers(later, { server_id: "T" });
  for (const server_id of ["S", "T", "S", "T"]) {
    const count = sockets.length;
    world.hear({ type: "bye", code: "quit", detail: "goodbye", reconnect: false });
    world.breaks();
    const immediate = sockets.length - count;
    equal(immediate, server_id === "S" && count === 2 ? 1 : 0, `connections at once, behind ${count}`);
    if (!immediate) later(60_000);
    equal(sockets.length, count + 1);
    world.open();
    world.welcome({ server_id });
    equal(world.types, ["hello", "quit"]);
  }
});

checkClient("a goodbye that another server does not heed is followed by a hello all the same", (later) => {
  const world = new World("lobby");
  world.welcome({ server_id: "S" });
  world.answers(later, { server_id: "T" });
  const count = sockets.length;
  later(10_000);
  equal(sockets.length, count + 1);
});

checkClient("what another server refuses changes nothing that is kept", (later) => {
  const world = new World("lobby");
  world.welcome({ server_id: "S" });
  world.breaks();
  later(10_000);
  world.open();
  world.hear({ type: "error", ref: "hello", code: "bad_message", field: "token", detail: "not here" });
  equal(world.last("hello").token, undefined);
  world.hear({ type: "error", ref: "hello", code: "name_taken", detail: "taken" });
  world.client.callMe("grace");
  equal(world.state.storage.get("me"), { name: "ada", token: "t" });
  world.welcome({ server_id: "T", token: "of T" });
  equal(world.namespace.storage.under(world.namespace.place.prefix + "/S/").get("me"), {
    name: "ada",
    token: "t",
  });
  equal(world.state.me.name, "grace", "as the person has just said");
});

checkClient("a tab comes back by what another tab has found at its address", (later) => {
  const world = new World("lobby");
  world.welcome({ server_id: "S" });
  world.breaks();
  const other = new Namespace(world.all, "/");
  other.identify("T", "t");
  other.storage.set("me", { name: "ada", token: "of T" });
  later(10_000);
  world.open();
  equal(world.last("hello").token, "of T");
  world.welcome({ server_id: "T" });
  equal([world.types, world.moves, world.namespace.id], [["hello"], 1, "T"]);
});

checkClient("a name that oneself has taken in another tab is not asked for", (later) => {
  const world = new World("lobby");
  world.welcome({ server_id: "S" });
  world.breaks();
  later(10_000);
  world.open();
  const other = new Namespace(world.all, "/"); // in between
  other.identify("T", "t");
  other.storage.set("me", { name: "ada", token: "of T" });
  world.hear({ type: "error", ref: "hello", code: "name_taken", detail: "the name ada is taken" });
  equal([world.state.refused, world.last("hello").token], ["", "of T"]);
  world.hear({ type: "error", ref: "hello", code: "name_taken", detail: "the name ada is taken" });
  equal([world.state.refused, world.count("hello")], ["the name ada is taken", 2], "once");
});

checkClient(
  "a page at its door goes by what another tab has heard, and one that is connected does not",
  (later) => {
    const world = new World("lobby");
    world.welcome({ server_id: "S" });
    const other = new Namespace(world.all, "/");
    other.identify("T", "t");
    equal([world.client.heardElsewhere(), world.namespace.id], [false, "S"]);
    other.identify("S", "t");
    world.breaks();
    later(10_000);
    world.open();
    world.hear({ type: "error", ref: "hello", code: "name_taken", detail: "the name ada is taken" });
    other.identify("T", "t");
    equal([world.client.heardElsewhere(), world.namespace.id, world.state.refused], [true, "T", ""]);
    equal(world.count("hello"), 2);
  },
);

/** Run with a silent console. @param {() => void} run  @returns {number} how often it was written to */
function silently(run) {
  const { warn, error } = console;
  let count = 0;
  console.warn = console.error = () => count++;
  try {
    run();
  } finally {
    Object.assign(console, { warn, error });
  }
  return count;
}

checkClient("a malformed welcome is shown as the reason not to be in", () => {
  const world = new World("lobby");
  equal(
    silently(() => world.welcome({ ping_s: "25" })),
    1,
  );
  equal(world.state.refused, "cannot read the server's answer: invalid welcome.ping_s");
  equal([world.state.connected, world.count("join")], [false, 0]);
});

checkClient("a malformed event does not keep those beside it from being taken", () => {
  const world = new World("lobby");
  world.welcome();
  world.enter();
  const said = (seq, more) => ({ type: "said", room: "lobby", seq, at: 1, by: "bob", text: "hi", ...more });
  const lines = [
    said(1),
    said(2, { at: undefined }),
    said(3, { at: "now" }),
    said(4, { at: 9e15 }),
    null,
    said(5),
  ];
  equal(
    silently(() => world.socket.onmessage({ data: lines.map((line) => JSON.stringify(line)).join("\n") })),
    4,
  );
  equal(
    world.room("lobby").entries.map(({ seq }) => seq),
    [1, 5],
  );
});

checkClient("an event that the page fails at does not keep the next one from being taken", () => {
  const world = new World("lobby");
  world.welcome();
  world.enter();
  world.room("lobby").changed = () => {
    throw new Error("planted");
  };
  const notice = { type: "presence", room: "lobby", members: 2 };
  const said = { type: "said", room: "lobby", seq: 1, at: 1, by: "bob", text: "hi" };
  const data = [notice, said].map((event) => JSON.stringify(event)).join("\n");
  equal(
    silently(() => world.socket.onmessage({ data })),
    1,
  );
  equal(world.room("lobby").entries.length, 1);
});

checkClient("an answer of another type refuses the question", () => {
  const world = new World("lobby");
  world.welcome();
  world.hear({ type: "pong", ref: world.last("join").ref });
  const { joined, entering, why } = world.room("lobby");
  equal([joined, entering, why], [false, false, "cannot read the server's answer: got pong"]);
});

checkClient("a goodbye that is malformed is not one to stay away for", (later) => {
  const world = new World("lobby");
  world.welcome();
  silently(() => world.hear({ type: "bye", code: "kicked", detail: "no", reconnect: "false" }));
  world.breaks();
  equal(world.state.status.phase, "waiting");
  later(10_000);
  equal(sockets.length, 2);
});

const ODD = [0, 1e9, 2 ** 53 - 1];

/** The delays of all timers that were started while `run` ran; none of them fires. */
function delays(run) {
  const { setTimeout, setInterval } = globalThis;
  const found = /** @type {number[]} */ ([]);
  const note = (_, ms) => found.push(ms);
  Object.assign(globalThis, { setTimeout: note, setInterval: note });
  try {
    run();
  } finally {
    Object.assign(globalThis, { setTimeout, setInterval });
  }
  return found;
}

checkClient("no number of a server makes a timer that fires at once, or never", () => {
  const world = new World("lobby");
  for (const odd of ODD) {
    const found = delays(() => {
      world.welcome({ ping_s: odd });
      world.enter();
      world.client.speaker.say(world.room("lobby"), "hi");
      world.hear({ ...TOO_FAST, ref: world.last("say").ref, retry_after_s: odd });
      world.client.rename("grace").catch(() => {});
      world.hear({ ...TOO_FAST, ref: world.last("rename").ref, retry_after_s: odd });
      world.hear({ type: "bye", code: "draining", detail: "later", reconnect: true, after_s: odd });
      world.breaks();
    });
    equal(found.length, 4, `${odd}`);
    holds(
      found.every((ms) => ms >= 250 && ms <= 3_630_000),
      `${odd}: ${found}`,
    );
    world.client.speaker.putAway();
    world.client.callMe("ada");
    world.open();
  }
});

checkClient("a server that ends every connection is not asked without a pause", () => {
  const { random } = Math;
  Math.random = () => 0;
  try {
    const world = new World();
    for (let n = 0; n < 50; n++) {
      const found = delays(() => {
        world.welcome();
        world.hear({ type: "bye", code: "draining", detail: "no", reconnect: true, after_s: 0 });
        world.breaks();
      });
      holds(found.at(-1) >= 250, `${found.at(-1)} ms`);
      world.client.connection.start();
      world.open();
    }
  } finally {
    Math.random = random;
  }
});

checkClient("a text limit that nothing fits in is not believed", () => {
  const world = new World();
  for (const [sent, taken] of [
    [0, 1],
    [2 ** 53 - 1, 1_048_576],
    [800, 800],
  ]) {
    world.welcome({ limits: { ...LIMITS, text_bytes: sent } });
    equal(world.state.text_bytes, taken);
  }
});

checkClient("a hello without a token is not repeated when the server calls its token wrong", () => {
  const world = new World();
  const wrong = { type: "error", ref: "hello", code: "bad_message", field: "token", detail: "not here" };
  for (let n = 0; n < 9; n++) world.hear(wrong);
  equal([world.count("hello"), world.state.refused], [2, "not here"]);
});

checkClient("whatever many type, some are shown, and each for a while", (later) => {
  const world = new World("lobby");
  world.welcome();
  world.enter();
  for (let n = 0; n < 500; n++) world.hear({ type: "typing", room: "lobby", by: `p${n}` });
  equal(world.room("lobby").typing.size, 20);
  later(5_000);
  equal(world.room("lobby").typing.size, 0);
});

checkClient("an offline device tries nothing, and tries at once when it is online", (later) => {
  const world = new World("lobby");
  const { connection } = world.client;
  world.welcome();
  connection.lostNetwork();
  equal([world.state.connected, world.state.status.why], [false, "this device is offline"], "at once");
  connection.nudge();
  later(Infinity);
  equal(sockets.length, 1, "while it is offline");
  connection.foundNetwork();
  equal(sockets.length, 2);
  world.open();
  world.welcome();
  equal(world.state.connected, true);
});

checkClient("a device that goes offline between two tries, or while connecting, tries nothing", (later) => {
  const world = new World("lobby");
  const { connection } = world.client;
  world.welcome();
  world.breaks();
  connection.lostNetwork();
  later(Infinity);
  equal(sockets.length, 1);
  connection.start(); // a person asks for it
  equal(sockets.length, 2);
  connection.lostNetwork();
  later(Infinity);
  equal(sockets.length, 2);
  equal(connection.failures, 1, "being offline is not a server's failure");
});

checkClient("a connection that a person gets offline counts, and is got back when it breaks", (later) => {
  const world = new World("lobby");
  const { connection } = world.client;
  world.welcome();
  connection.lostNetwork();
  connection.start();
  world.open();
  world.welcome();
  world.breaks();
  later(30_000);
  equal(sockets.length, 3);
});

checkClient("a network that comes and goes makes no flood of connections", (later) => {
  const { performance } = globalThis;
  let now = 100_000;
  Object.defineProperty(globalThis, "performance", { value: { now: () => now }, configurable: true });
  try {
    const world = new World("lobby");
    const { connection } = world.client;
    world.welcome();
    for (let n = 0; n < 100; n++, now += 30) {
      connection.lostNetwork();
      connection.foundNetwork();
    }
    holds(sockets.length <= 4, `${sockets.length} connections in 3 s`);
    later(1_000);
    equal(world.state.status.phase, "connecting");
  } finally {
    Object.defineProperty(globalThis, "performance", { value: performance, configurable: true });
  }
});

checkClient("the server's after_s holds, also when the device is online again", () => {
  const world = new World();
  const { connection } = world.client;
  world.welcome();
  world.hear({ type: "bye", code: "draining", detail: "later", reconnect: true, after_s: 60 });
  world.breaks();
  connection.lostNetwork();
  const [ms] = delays(() => connection.foundNetwork());
  equal(sockets.length, 1);
  holds(ms > 59_000 && ms < 91_000, `${ms} ms`);
});

checkClient(
  "a clock that is set back neither ends a connection nor keeps a line from being sent",
  (later) => {
    const { now } = Date;
    const world = new World("lobby");
    world.welcome();
    world.enter();
    world.client.speaker.say(world.room("lobby"), "hi");
    world.hear({ ...TOO_FAST, ref: world.last("say").ref });
    world.hear({ type: "typing", room: "lobby", by: "bob" });
    world.client.connection.nudge(); // a ping
    try {
      Date.now = () => now() - 3_600_000;
      world.hear({ type: "pong" });
      later(10_000);
      equal([world.count("say"), sockets.length, world.room("lobby").typing.size], [2, 1, 0]);
    } finally {
      Date.now = now;
    }
  },
);

const line = (seq, more = {}) => ({
  type: "said",
  room: "lobby",
  seq,
  at: seq,
  by: "bob",
  text: "hi",
  ...more,
});

checkClient(
  "mentions that came while disconnected are told, once, and those of the live talk are not",
  (later) => {
    const world = new World("lobby");
    world.welcome();
    world.enter();
    world.hear(line(1, { text: "ada, live" }));
    world.breaks();
    later(10_000);
    world.open();
    world.welcome();
    world.enter({ resumed: true, head: 4 });
    world.hear(line(2, { text: "ada!" }));
    world.hear(line(3));
    world.hear(line(4, { by: "ada", text: "ada am I" }));
    world.hear(line(5, { text: "ada, live" }));
    equal([world.live, world.missed], [[1, 5], [2]]);
    equal(world.state.storage.get("read.#lobby").mentions, [1, 2, 5]);
  },
);

checkClient("the next load of the page tells of mentions since the last, and not of those it knows", () => {
  const world = new World("lobby");
  world.state.storage.set("read.#lobby", { epoch: "e", seq: 1, mentions: [1], scanned: 3 });
  world.welcome();
  world.enter({ head: 4 });
  for (const seq of [1, 2, 3, 4]) world.hear(line(seq, { text: "ada!" }));
  equal([world.missed, world.room("lobby").mentions], [[4], [1, 4]]);
});

checkClient("a room that the server never lets one into is not one to come back to", () => {
  for (const code of ["bad_room", "too_many_rooms", "forbidden", "bad_message", "not_found"]) {
    const world = new World("lobby");
    world.welcome();
    world.enter();
    world.client.join("odd");
    world.hear({ type: "error", ref: world.last("join").ref, code, detail: "no" });
    equal([world.refused, world.state.storage.get("rooms")], [["odd: no"], ["lobby"]], code);
  }
});

checkClient("a room that is shut for now stays", () => {
  for (const code of ["unavailable", "already_in_room"]) {
    const world = new World("lobby");
    world.welcome();
    world.hear({ type: "error", ref: world.last("join").ref, code, detail: "later" });
    equal([world.refused, world.room("lobby").why, world.room("lobby").refused], [[], "later", false], code);
  }
});

checkClient("a refused room with a line in it stays for the line, and not for the next load", () => {
  const world = new World("lobby");
  world.welcome();
  world.client.speaker.say(world.room("lobby"), "hi");
  world.hear({ type: "error", ref: world.last("join").ref, code: "bad_room", detail: "no" });
  equal([world.refused, world.client.outbox.in("#lobby").map(({ why }) => why)], [[], ["no"]]);
  equal(world.state.storage.get("rooms"), []);
});

checkClient("an entry by a name that has passed to another person has another identity", () => {
  const world = new World("lobby");
  world.welcome();
  world.enter();
  const said = (seq) => world.hear({ type: "said", room: "lobby", seq, at: seq, by: "bob", text: "hi" });
  said(1);
  world.hear({ type: "presence", room: "lobby", members: 2, left: [{ name: "bob", why: "quit" }] });
  world.hear({ type: "presence", room: "lobby", members: 2, renamed: [{ name: "carl", to: "bob" }] });
  said(2);
  equal(new Set(world.room("lobby").entries.map(({ identity }) => identity)).size, 2);
});

checkClient("a list of members that comes unasked stands for notices that did not come", () => {
  const world = new World("lobby");
  world.welcome();
  world.enter();
  const said = (seq) => world.hear({ type: "said", room: "lobby", seq, at: seq, by: "bob", text: "hi" });
  const identities = () => world.room("lobby").entries.map(({ identity }) => identity);
  for (const seq of [1, 2]) said(seq);
  equal(new Set(identities()).size, 1);
  world.hear({ type: "members", room: "lobby", names: ["ada", "bob"], count: 2, more: false });
  said(3);
  equal(new Set(identities()).size, 2);
});

checkClient("whispers by a name that has passed to another person have another identity", (later) => {
  const world = new World("lobby");
  world.welcome();
  world.enter();
  const whispers = (by) => world.hear({ type: "whispered", by, to: "ada", text: "psst", at: 1 });
  for (const by of ["bob", "eve"]) whispers(by);
  world.hear({ type: "presence", room: "lobby", members: 2, renamed: [{ name: "bob", to: "rob" }] });
  for (const by of ["bob", "eve"]) whispers(by);
  const same = (name) => {
    const [one, other] = world.state.thread(name).entries.slice(-2);
    return one.identity === other.identity;
  };
  equal([same("bob"), same("eve")], [false, true]);
  world.answers(later, {});
  whispers("eve");
  equal(same("eve"), false, "after an outage");
});
