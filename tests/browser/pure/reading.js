import { Reading } from "/static/reading.js";
import { State } from "/static/state.js";
import { Storage } from "/static/storage.js";
import { check, equal } from "./checks.js";

const line = (seq) => ({ type: "said", seq, at: seq, by: "bob", text: "hi" });

/** Ask for what is before line 50, of which this page comes. */
function history(page) {
  const asked = /** @type {any[]} */ ([]);
  const ask = (command, done) => {
    asked.push(command);
    done(page);
  };
  const state = new State(new Storage(null));
  const room = state.room("lobby");
  room.entered({ room: "lobby", epoch: "e", resumed: false, first: 1, head: 100, members: 1, topic: "" }, 60, null);
  room.insert([line(50)]);
  new Reading(state, /** @type {any} */ ({ ask })).history(room, 50);
  return { asked: asked.length, begun: room.begun, entries: room.entries.length };
}

check("a page of history is put before what is here", () => {
  equal(history({ entries: [line(48), line(49)], more: true }), { asked: 1, begun: false, entries: 3 });
  equal(history({ entries: [line(48), line(49)], more: false }), { asked: 1, begun: true, entries: 3 });
  equal(history({ entries: [], more: true }), { asked: 1, begun: true, entries: 1 });
});

check("a page of history that leads nowhere is the last that is asked for", () => {
  equal(history({ entries: [line(50)], more: true }), { asked: 1, begun: true, entries: 1 });
});
