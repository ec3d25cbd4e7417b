import { State } from "/static/state.js";
import { Storage } from "/static/storage.js";
import { choices } from "/static/switcher.js";
import { check, equal } from "./checks.js";

const OPEN = [
  { room: "Lobster", members: 3, topic: "" },
  { room: "garden", members: 1, topic: "seeds" },
  { room: "LOBBY", members: 2, topic: "" },
];

function stateWith(...rooms) {
  const state = new State(new Storage(null));
  state.me.name = "ada";
  for (const room of rooms) state.room(room);
  state.active = "#" + rooms[0];
  return state;
}

const offered = (typed, state, open = OPEN) =>
  choices(typed, state, open).map(({ kind, name }) => `${kind} ${name}`);

check("the user's own rooms are listed first, then rooms with members, then a new room", () => {
  equal(offered("", stateWith("lobby", "kitchen")), [
    "room lobby",
    "room kitchen",
    "open Lobster",
    "open garden",
  ]);
  equal(offered("lob", stateWith("lobby")), ["room lobby", "open Lobster", "new lob"]);
  equal(offered("soup", stateWith("lobby")), ["new soup"]);
});

check("what is named in full comes before what begins so, and that before what has it within", () => {
  equal(offered("den", stateWith("garden", "dens", "den"), []), ["room den", "room dens", "room garden"]);
});

check("a room is offered once, and never as a new one, however it is written", () => {
  equal(offered("LOBBY", stateWith("lobby")), ["room lobby"]);
  equal(offered("#GARDEN", stateWith("lobby")), ["open garden"]);
});

check("a room with news comes before one without", () => {
  const state = stateWith("lobby", "kitchen", "cellar");
  const cellar = state.room("cellar");
  cellar.entered(
    { room: "cellar", epoch: "e", resumed: false, first: 1, head: 0, members: 1, topic: "" },
    60,
    null,
  );
  cellar.add({ type: "said", seq: 1, at: 0, by: "bob", text: "hi" });
  equal(offered("", state, []), ["room cellar", "room lobby", "room kitchen"]);
  equal(choices("cellar", state, [])[0].about, "1 unread");
});

check("@ leads to people: those one whispers with, those who are here, and anybody by name", () => {
  const state = stateWith("lobby");
  state.thread("Carol");
  state.room("lobby").listed({ names: ["ada", "bob", "carol"], count: 3, more: false }, false);
  equal(offered("@", state), ["person bob", "person carol"]);
  equal(offered("@bo", state), ["person bob", "person bo"]);
  equal(offered("@BOB", state), ["person bob"]);
  equal(offered("@zoe", state), ["person zoe"]);
});

check("no more is offered than one can look through", () => {
  const open = Array.from({ length: 500 }, (_, n) => ({ room: `room${n}`, members: 1, topic: "" }));
  equal(choices("room", stateWith("lobby"), open).length, 40);
});

check("a room is offered by a name that it can have", () => {
  equal(offered("two  words", stateWith("lobby"), []), offered("two-words", stateWith("lobby"), []));
});
