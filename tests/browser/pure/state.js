import { Room } from "/static/room.js";
import { State } from "/static/state.js";
import { Storage } from "/static/storage.js";
import { check, equal, holds } from "./checks.js";

const answer = { room: "lobby", epoch: "e", resumed: false, first: 1, head: 9, members: 1, topic: "" };

check("a room is one, however it is written, and is not whispers of that name", () => {
  const state = new State(new Storage(null));
  holds(state.room("Lobby") === state.room("ｌobby"), "there are two rooms");
  holds(state.thread("Bob") === state.thread("bob"), "there are two threads");
  holds(state.room("bob") !== /** @type {any} */ (state.thread("bob")), "they are one");
  equal([state.rooms.size, state.threads.size], [2, 1]);
  holds(state.at("#lobby") instanceof Room && state.at("@bob") === state.thread("bob"), "they are elsewhere");
  equal(state.at("#nowhere"), undefined);
});

check("the next load of the page knows who one is, where, and what was read and typed", () => {
  const storage = new Storage(null);
  const before = new State(storage);
  before.iAm({ name: "Ada" });
  before.iAm({ token: "t" });
  const lobby = before.room("lobby");
  lobby.entered(answer, 60, null);
  lobby.add({ type: "said", seq: 10, at: 0, by: "bob", text: "hi" });
  before.seen(lobby);
  before.room("garden");
  before.keepRooms();
  before.keepDraft("#lobby", "half a sen");
  const after = new State(storage);
  equal(after.me, { name: "Ada", token: "t" });
  equal([...after.rooms.keys()], ["#lobby", "#garden"]);
  equal(after.draft("#lobby"), "half a sen");
  equal([after.isMe("ada"), after.isMe("adá")], [true, false]);
  after.seenElsewhere("#lobby");
  equal(after.room("lobby").read, 0, "of a history that is not known yet");
  after.room("lobby").entered(answer, 60, null);
  after.seenElsewhere("#lobby");
  equal(after.room("lobby").read, 10);
});

check("what another tab has shown is read here, but never unread again", () => {
  const state = new State(new Storage(null));
  const lobby = state.room("lobby");
  lobby.entered(answer, 60, null);
  state.storage.set("read.#lobby", { epoch: "e", seq: 12 });
  state.seenElsewhere("#lobby");
  state.storage.set("read.#lobby", { epoch: "e", seq: 11 });
  state.seenElsewhere("#lobby");
  state.storage.set("read.#lobby", { epoch: "d", seq: 90 });
  state.seenElsewhere("#lobby");
  state.seenElsewhere("#nowhere");
  equal(lobby.read, 12);
});

check("a place that was left leaves nothing behind", () => {
  const state = new State(new Storage(null));
  const lobby = state.room("lobby");
  state.keepRooms();
  lobby.entered({ ...answer, head: 20 }, 60, { epoch: "e", seq: 3 });
  state.seen(lobby);
  lobby.cursor = 20;
  state.seen(lobby);
  state.keepDraft("#lobby", "half");
  holds(
    state.storage.keys("read.").length === 1 && state.storage.keys("draft.").length === 1,
    "nothing was kept",
  );
  state.forget("#lobby");
  equal([state.rooms.size, state.storage.keys("read."), state.storage.keys("draft.")], [0, [], []]);
  equal(new State(state.storage).rooms.size, 0);
});

check("a draft that was sent is gone, and a long one has a bound", () => {
  const state = new State(new Storage(null));
  state.keepDraft("#lobby", "x".repeat(50_000));
  equal(state.draft("#lobby").length, 20_000);
  state.keepDraft("#lobby", "");
  equal([state.draft("#lobby"), state.storage.keys("draft.")], ["", []]);
});

check("where to be: the last room, else the first, else the lobby", () => {
  const state = new State(new Storage(null));
  equal(state.lastRoom, "lobby");
  state.room("Garden");
  equal(state.lastRoom, "Garden");
  state.storage.set("last", "#a%2Fb");
  equal(state.lastRoom, "a/b");
  state.storage.set("last", "#@bob");
  equal(state.lastRoom, "Garden");
});

check("all who listen are told of news", () => {
  const state = new State(new Storage(null));
  const told = [];
  state.listeners.add(() => told.push("one"));
  state.listeners.add(() => told.push(state.note));
  state.say("hello");
  equal(told, ["one", "hello"]);
});
