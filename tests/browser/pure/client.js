import { Client } from "/static/client.js";
import { State } from "/static/state.js";
import { Storage } from "/static/storage.js";
import { Tab } from "/static/tab.js";
import { check, equal } from "./checks.js";

const TOO_FAST = { type: "error", code: "rate_limited", detail: "too fast", retry_after_s: 1 };

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
    const storage = new Storage(null);
    storage.set("me", { name: "ada", token: "t" });
    storage.set("rooms", rooms);
    this.state = new State(storage);
    this.client = new Client(this.state, new Tab(storage, new Storage(null)), "ws://x/ws", () => {});
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

  welcome() {
    this.hear({
      ...{ type: "welcome", ref: "hello", name: this.state.me.name, token: "t", kept: "forever" },
      ...{ features: [], limits: { text_bytes: 4096 }, ping_s: 25 },
    });
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

checkClient("who takes another name at the door is not forgotten there when the connection breaks", (later) => {
  const world = new World("lobby");
  world.hear({ type: "error", ref: "hello", code: "name_taken", detail: "the name ada is taken" });
  world.client.callMe("grace");
  world.breaks();
  later(10_000);
  equal(sockets.length, 2);
  world.open();
  equal(world.last("hello").name, "grace");
});

checkClient("who takes another name at the door is not left waiting by a connection that is dead", (later) => {
  const world = new World("lobby");
  world.hear({ type: "error", ref: "hello", code: "name_taken", detail: "the name ada is taken" });
  world.client.callMe("grace");
  later(10_000); // nothing comes
  later(10_000);
  equal(sockets.length, 2);
});

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
