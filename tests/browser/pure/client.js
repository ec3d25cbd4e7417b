import { Client } from "/static/client.js";
import { Namespace } from "/static/namespace.js";
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
    this.all = new Storage(null);
    this.namespace = new Namespace(this.all, "/");
    const { storage } = this.namespace;
    storage.set("me", { name: "ada", token: "t" });
    storage.set("rooms", rooms);
    this.state = new State(storage);
    const tab = new Tab(storage, new Storage(null));
    this.moves = 0;
    const above = { live: () => {}, moving: () => this.moves++ };
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
      ...{ type: "welcome", ref: "hello", name, token, kept: "forever" },
      ...{ features: [], limits: { text_bytes: 4096 }, ping_s: 25, ...more },
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
