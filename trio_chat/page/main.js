/**
 * Entry point of the page: connect the parts, and show the place that the address names.
 *
 * Data flows one way: socket → client → state → drawing. Drawing reads the state, at most once a frame.
 */

import { allowNotifications, announce, attentive, notify, notifyMissed, title } from "./alerts.js";
import { Client } from "./client.js";
import { Composer } from "./composer.js";
import { ask, closeBeside, openTopic, prepareSettings, showHelp } from "./dialogs.js";
import { $, write } from "./dom.js";
import { addressOf, placeAt, roomKey } from "./names.js";
import { Namespace, ownOf } from "./namespace.js";
import { closeDrawers, openDrawer, prepareDrawers } from "./sidebar_toggle.js";
import { drawEmpty, prepareEmpty } from "./empty.js";
import { MissedMentions } from "./missed.js";
import { MemberList } from "./member_list.js";
import { Room } from "./room.js";
import { Search } from "./search.js";
import { drawCard, prepareCard } from "./sign_in.js";
import { drawSidebar, neighbour } from "./sidebar.js";
import { State } from "./state.js";
import { browsers, Storage } from "./storage.js";
import { drawHeader, drawStatus } from "./header.js";
import { Switcher } from "./switcher.js";
import { Tab } from "./tab.js";
import { MessageList } from "./message_list.js";
import { oneLine } from "./text.js";
import { UndoLeave } from "./undo_leave.js";
import { usableName } from "./usable_name.js";

const LOOK_ROUND_MS = 30_000;

const { pathname: path } = new URL(".", location.href);
const settings = new Storage(browsers("localStorage"));
const namespace = new Namespace(settings, path);
const { storage } = namespace;
const tab = new Tab(storage, ownOf(path, browsers("sessionStorage")));
const state = new State(storage, settings);
const socket = new URL("ws", location.href);
socket.protocol = location.protocol === "https:" ? "wss:" : "ws:";
socket.hash = "";

const missed = new MissedMentions((all) => notifyMissed(state, all));
const above = {
  live: heard,
  moving,
  refused,
  missed: (/** @type {Room} */ room, /** @type {import("./room.js").Entry} */ entry) => missed.add(room, entry),
};
const client = new Client(state, tab, socket.href, namespace, above);
const talk = new MessageList($("talk"), $("rows"), client, { moved: later, edit: (text) => composer.edit(text) });
const composer = new Composer(client, act, () => talk.follow());
const people = new MemberList(client, (name) => go("@" + name));
const switcher = new Switcher(client, go);
const search = new Search(client, (room, seq) => show(room, seq));
const undoLeave = new UndoLeave(client, (place) => goTo(place));
let before = ""; // the key of the place that was shown before this one

/** Go to a room, or to whispers with `@name`. @param {string} name */
function go(name) {
  const place = placeAt("#" + encodeURIComponent(name).replace(/^%40/, "@"));
  if (!place) return;
  const address = addressOf(place.key, place.name);
  if (location.hash === address) open();
  else location.hash = address;
}

/** Show a place that exists. @param {import("./undo_leave.js").Place} place */
function goTo(place) {
  history.replaceState(null, "", addressOf(place.key, place.name));
  open();
}

/** Show the place that the address names. */
function open() {
  const at = placeAt(location.hash) ?? placeAt(addressOf("#", state.lastRoom));
  if (!at) return;
  const whispers = at.key.startsWith("@");
  const place = whispers ? state.thread(at.name) : state.me.name ? client.join(at.name) : state.room(at.name);
  const { unread } = place.unread(state.me.name);
  const same = state.active === place.key;
  if (!same) forgetRefused((before = state.active));
  state.active = place.key;
  state.note = "";
  const address = addressOf(place.key, place.name);
  storage.set("last", address);
  if (!placeAt(location.hash)) history.replaceState(null, "", address); // so that the user can share it
  if (!whispers) state.keepRooms();
  if (!same) {
    place.divider = unread ? place.read : null;
    talk.open(place);
    composer.open(place);
  }
  closeDrawers();
  if (matchMedia("(pointer: fine)").matches) composer.focus();
  state.changed();
}

/** Show one entry of a room, loaded or not. @param {string} room  @param {number} seq */
async function show(room, seq) {
  go(room);
  const place = state.rooms.get(roomKey(room));
  if (!place) return;
  try {
    if (place.entries[place.indexOf(seq)]?.seq !== seq) await client.reading.around(place, seq);
  } catch (error) {
    state.say(/** @type {any} */ (error).detail);
    return;
  }
  open();
  talk.draw();
  const found = place.entries[place.indexOf(seq)]?.seq;
  if (found !== seq) state.saw(place, seq, seq); // the entry is no longer kept, so its mention cannot be seen
  talk.show(found ?? seq);
}

/** Run a slash command. @param {import("./commands.js").Action} action */
function act(action) {
  const { place } = state;
  const sorry = (/** @type {{detail: string}} */ error) => state.say(error.detail);
  switch (action.do) {
    case "join":
      return go(action.text.replace(/^#/, ""));
    case "leave":
      return place && leave(place);
    case "rooms":
      return switcher.show();
    case "who":
      return openDrawer("people");
    case "help":
      return showHelp();
    case "search":
      return search.show(action.text);
    case "nick":
      return client.rename(action.text).catch((error) => {
        const usable = error.code === "bad_name" ? usableName(action.text) : "";
        state.say(usable ? `${error.detail}. Try /nick ${usable}` : error.detail);
      });
    case "topic":
      return place instanceof Room && client.retitle(place, action.text).catch(sorry);
    case "tell":
      go("@" + action.to);
      open();
      client.speaker.say(state.place, action.text);
  }
}

/** @param {import("./undo_leave.js").Place} place */
function leave(place) {
  const next = neighbour(state, -1, false);
  composer.keep();
  if (!undoLeave.leave(place)) return;
  state.active = "";
  go(next && next !== place ? (next.key.startsWith("@") ? "@" : "") + next.name : "lobby");
}

/**
 * Handle a room that the server refuses: return to the previous place, and forget the room. Without a previous place,
 * the room stays on the screen with the reason, and only there.
 *
 * @param {Room} room
 * @param {string} detail
 */
function refused(room, detail) {
  const others = [...state.rooms.values(), ...state.threads.values()].filter(({ why }) => !why);
  const back = others.find(({ key }) => key === before) ?? others[0];
  if (room.key === state.active) {
    if (!back) return;
    composer.close();
    goTo(back);
  }
  state.forget(room.key);
  state.say(`Cannot join #${oneLine(room.name)}: ${detail}`);
}

/** Forget a refused room once it is no longer shown. @param {string} key */
function forgetRefused(key) {
  const room = state.rooms.get(key);
  if (room?.refused && !client.outbox.pending(key)) state.forget(key);
}

/**
 * Handle a new entry by another user.
 *
 * @param {Room | import("./direct_messages.js").DirectMessages} place
 * @param {import("./room.js").Entry} entry
 */
function heard(place, entry) {
  const looking = attentive() && place.key === state.active;
  // Entries that arrive while the user is away begin behind a line; an earlier line is removed.
  const before = place.entries.at(-2)?.seq ?? 0;
  if (!looking && place.key === state.active && place.read >= before) place.divider = place.read;
  if (place.key === state.active) announce(entry);
  notify(state, place, entry);
}

let drawing = false;

/** Draw once, soon: with the next frame, or at intervals while the page is hidden. */
function later() {
  if (drawing) return;
  drawing = true;
  const draw = () => {
    drawing = false;
    drawAll();
  };
  if (document.hidden) setTimeout(draw, 250);
  else requestAnimationFrame(draw);
}

function drawAll() {
  const at = placeAt(location.hash);
  const where = at?.key.startsWith("#") ? at.name : state.lastRoom;
  const outside = $("app").hidden;
  if (drawCard(state, where)) return title("trio-chat");
  const { place } = state;
  if (!place || outside) open();
  if (!place) return;
  talk.draw();
  if (attentive()) look(place);
  const { unread, mentions } = drawSidebar(state);
  drawHeader(state, talk);
  drawEmpty(state, place);
  drawStatus(state);
  people.draw();
  composer.draw();
  const sign = place instanceof Room ? "#" : "@";
  const count = mentions ? "(@) " : unread > 99 ? "(99+) " : unread ? `(${unread}) ` : "";
  title(`${count}${sign}${place.name} · trio-chat`);
}

/**
 * Mark a visible place as read if its end is in sight, and the mentions on the screen as seen.
 *
 * @param {import("./undo_leave.js").Place} place
 */
function look(place) {
  if (talk.stuck) state.seen(place);
  const sight = place instanceof Room && place.mentions.length ? talk.sight : null;
  if (sight) state.saw(place, sight.from, sight.to);
}

/** @param {KeyboardEvent} event */
function pressed(event) {
  const control = event.ctrlKey || event.metaKey;
  const inDialog = document.querySelector("dialog[open]");
  if ($("app").hidden) return;
  if (control && !event.altKey && event.key.toLowerCase() === "k") {
    event.preventDefault();
    if (!inDialog) switcher.show();
  } else if (control && event.shiftKey && event.key.toLowerCase() === "f") {
    event.preventDefault();
    if (!inDialog) search.show();
  } else if (
    event.altKey &&
    !control &&
    (event.key === "ArrowUp" || event.key === "ArrowDown") &&
    !inDialog
  ) {
    event.preventDefault();
    const place = neighbour(state, event.key === "ArrowUp" ? -1 : 1, event.shiftKey);
    if (place) location.hash = addressOf(place.key, place.name);
  } else if ((event.key === "PageUp" || event.key === "PageDown") && !inDialog && !$("say").value) {
    event.preventDefault();
    $("talk").scrollBy({ top: (event.key === "PageUp" ? -0.9 : 0.9) * $("talk").clientHeight });
  } else if (event.key === "Escape" && !inDialog && !closeDrawers()) {
    talk.follow();
    composer.focus();
  }
}

/** Clear the screen for another server: the shown entries are not from that server. */
function moving() {
  composer.close();
  search.close();
  undoLeave.close();
  missed.clear();
  for (const dialog of document.querySelectorAll("dialog")) dialog.close();
  // An address that was just opened is meant for the server that is here; an entry in the address is not.
  if (client.seen) history.replaceState(null, "", location.pathname + location.search);
}

/** Handle a change by another tab to the shared storage. @param {StorageEvent} event */
function elsewhere(event) {
  if (event.key === namespace.place.prefix && client.heardElsewhere()) meElsewhere();
  const key = storage.ours(event.key);
  if (key.startsWith("read.")) state.seenElsewhere(key.slice("read.".length));
  if (key === "rooms" && state.connected) {
    const rooms = new Set(storage.list("rooms").map((name) => roomKey(String(name))));
    for (const name of storage.list("rooms")) client.join(String(name));
    for (const room of [...state.rooms.values()]) {
      if (!rooms.has(room.key) && room.key !== state.active) client.leave(room);
    }
  }
  if (key === "me") meElsewhere();
  state.changed();
}

/** Handle a sign-in or a new name in another tab. */
function meElsewhere() {
  const { name, token } = { name: "", token: "", ...storage.get("me", {}) };
  if (!state.me.token || state.refused) {
    const news = token !== state.me.token || name !== state.me.name;
    if (token && news) {
      state.me.token = token; // the user who signed in there is the user who is signing in here
      client.callMe(name);
    }
  } else if (!state.connected && token === state.me.token) {
    state.me.name = name; // no event reports it to this tab, and to reconnect with the old name would undo it
  }
}

function prepare() {
  prepareCard(client);
  prepareEmpty();
  prepareDrawers();
  closeBeside();
  const askName = () =>
    ask({
      title: "Take another name",
      label: "Your name",
      value: state.me.name,
      max: 64,
      isName: true,
      take: (name) => client.rename(name),
    });
  prepareSettings(state, { rename: askName, notify: allowNotifications });
  $("find").onclick = () => {
    closeDrawers();
    switcher.show();
  };
  $("search-open").onclick = () => search.show();
  $("leave").onclick = () => state.place && leave(state.place);
  $("status-now").onclick = () => client.connection.start();
  $("enter-again").onclick = () => state.place && client.join(state.place.name);
  $("to-end").onclick = () => {
    talk.follow();
    later();
  };
  $("unread-above").onclick = () => {
    const { place } = state;
    if (!(place instanceof Room)) return;
    if (talk.mentionsAbove) show(place.name, place.mentions[0]);
    else if (place.divider !== null) show(place.name, place.divider + 1);
  };
  $("skip").onclick = (/** @type {Event} */ event) => {
    event.preventDefault();
    composer.focus();
  };
  $("topic").onclick = () => {
    const { place } = state;
    if (place instanceof Room) openTopic(place, state.connected, (text) => client.retitle(place, text));
  };
}

/** Listen to events of the whole page. */
function listen() {
  addEventListener("hashchange", open);
  addEventListener("keydown", pressed);
  addEventListener("storage", elsewhere);
  addEventListener("online", () => client.connection.foundNetwork());
  addEventListener("offline", () => client.connection.lostNetwork());
  addEventListener("beforeprint", () => talk.expand(true));
  addEventListener("afterprint", () => talk.expand(false));
  addEventListener("focus", later);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) client.connection.nudge();
    later();
  });
  addEventListener("pagehide", () => tab.letGo(Date.now()));
  addEventListener("pageshow", () => tab.live(Date.now()));
  setInterval(() => {
    client.speaker.adopt();
    later();
  }, LOOK_ROUND_MS);
  // On a phone whose keyboard covers the page instead of shrinking it, only this gives the visible part.
  const { visualViewport: sight } = window;
  sight?.addEventListener("resize", () => {
    if (sight.scale !== 1) return; // the user has zoomed in, and the page stays as it is
    document.documentElement.style.setProperty("--height", `${sight.height}px`);
    scrollTo(0, 0);
  });
}

state.listeners.add(later);
prepare();
listen();
if (state.me.name) {
  open();
  client.start();
}
later();
