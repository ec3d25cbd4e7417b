/**
 * List every scanner of the page with the texts, names and rooms that could make it slow.
 *
 * A module is a scanner if it reads the texts of others or a paste. All its exports are here, each with the kinds of
 * input for its calls. test_scanners.py makes each input in two lengths and compares the steps.
 */

import * as code from "/static/code.js";
import * as commands from "/static/commands.js";
import * as events from "/static/events.js";
import * as excerpt from "/static/excerpt.js";
import * as identity from "/static/identity.js";
import * as names from "/static/names.js";
import * as offers from "/static/autocomplete.js";
import * as presenceLog from "/static/presence_log.js";
import * as room from "/static/room.js";
import * as rows from "/static/rows.js";
import { State } from "/static/state.js";
import { Storage } from "/static/storage.js";
import * as switcher from "/static/switcher.js";
import * as text from "/static/text.js";
import * as usable from "/static/usable_name.js";
import { counted } from "./counter.js";

const fill = (unit, n) => unit.repeat(Math.ceil(n / unit.length)).slice(0, n);

const MARKS = "\u0315\u0300\u05ae\u0345\u0323"; // combining marks in an order that is not theirs
const HOSTILE_NAMES = [
  "a".repeat(32),
  "-".repeat(32),
  MARKS.repeat(7).slice(0, 32),
  "\ufdfa".repeat(32),
  "ﬁ@a",
];

/** Units that a text repeats. */
const UNITS = [
  ...["a", "A", "İ", "\ufdfa", "雨", "👩‍💻", "\ud800", " ", "\n", "\t", "\r", "\r\n", "\u0000", " x", "\u2028"],
  ...[
    "http://a。",
    "http://a（",
    "http://a）",
    "（",
    "）",
    "（）",
    "」（",
    "。",
    "»",
    "…",
    "http://a…",
    "雨@ada",
    "ada雨",
  ],
  ...["\u200c", "ada\u200c", "ada-", "ada.", "@ada雨", "@adaา", "\u1100\u1161\u11a8", "ς", "\u{1d400}"],
  ...[
    "http",
    "http:/",
    "http://",
    "http://a",
    "http://a ",
    "http://a)",
    "http://[ ",
    "https://a.b/(",
    "HTTP://é.",
  ],
  ...["http://x/\u202e", "a)(", "()", ")", "(", ".", "]", "_", "/", "//", "\\", "?", "%", "%41", ":", "#"],
  ...["`", "``", "```", "````", "` ", "`a", "`a`", "`` ` ", "``a`b", "`a``a", "a` ", "`\n", "```\n", "\n```"],
  ...["```\na\n", "```x\n", "``` ``` \n", "```a`\n", "```\n```\n", "```          x\n"],
  ...["@", "@ ", "ada", "@ada", "ada ", "@ada ", "a-", "-", "ada\u202e", "/msg ", "/msg", "/me ", "\u0301"],
  ...[
    "\u202e",
    "\u202ea",
    "\u2066\u2069",
    MARKS,
    "a" + MARKS.repeat(9),
    "\u034f",
    "\u200d",
    "\ufe0f",
    "a\u0301",
  ],
];
/** Units for functions that treat most of them alike. */
const FEW = ["a", " ", "\ufdfa", "👩‍💻", "%", "%41", MARKS, "\r\n", "\u202e"].map((unit) =>
  JSON.stringify(unit),
);
/** Beginnings of texts that repeat a unit. */
const BEGINNINGS = [
  ...[
    "http://a",
    "http://",
    "http://a/",
    "http://a.b@",
    "(http://a",
    "`",
    "```",
    "```\n",
    "x",
    "@",
    "/",
    "/msg ",
  ],
  ...["/msg @", "http:/", "a @"],
];

/** @returns {[string, (n: number) => string][]} texts by their kind */
function uniform() {
  const made = UNITS.map((unit) => [JSON.stringify(unit), (n) => fill(unit, n)]);
  made.push(["space within", (n) => `x${fill(" ", n)}x`]);
  made.push(["a host of unlike letters", (n) => "http://" + Array.from({ length: n }, unlike).join("")]);
  made.push([
    "runs of backticks, ever longer",
    (n) => Array.from({ length: Math.sqrt(2 * n) }, ticks).join(" "),
  ]);
  return /** @type {any} */ (made);
}

/** @returns {[string, (n: number) => string][]} these, and texts with another beginning */
function texts() {
  const made = uniform();
  for (const start of BEGINNINGS) {
    for (const unit of ["a", "é", ")", "(", ".", "\n", "`", "@", MARKS]) {
      made.push([`${JSON.stringify(start)} and ${JSON.stringify(unit)}`, (n) => start + fill(unit, n)]);
    }
  }
  return made;
}

const unlike = (_, n) => String.fromCodePoint(0x4e00 + ((n * 7919) % 20_000));
const ticks = (_, n) => "`".repeat(n + 1);

/** @returns {[string, (n: number) => string[]][]} lists of long names */
function crowds() {
  const made = HOSTILE_NAMES.map((name) => [
    JSON.stringify(name),
    (n) => Array.from({ length: n / 4 }, (_, each) => name + each),
  ]);
  return /** @type {any} */ (made);
}

const each = (kinds, call) => kinds().map(([kind, make]) => [kind, (n) => prepared(make(n), call)]);
const prepared = (input, call) => () => call(input);

const perText = (call) => each(texts, call);
const perUnit = (call) => each(uniform, call);
const perFew = (call) => each(() => uniform().filter(([kind]) => FEW.includes(kind)), call);
const perCrowd = (call) => each(crowds, call);

/** Names, each with texts that nearly hold it at every place. */
const perName = (call) =>
  HOSTILE_NAMES.flatMap((name) =>
    [name, "@" + name, name.slice(1), name.slice(0, -1) + " ", "@".repeat(9) + name].map((unit) => [
      `${JSON.stringify(unit)} for ${JSON.stringify(name)}`,
      (n) => prepared(fill(unit, n), (words) => call(words, name)),
    ]),
  );
const HERE = crowds().flatMap(([, make]) => make(40));

/** Return a state with these rooms, and with their names as members of the first. */
function stateWith(rooms) {
  const state = new State(new Storage(null));
  state.me.name = "ada";
  for (const name of rooms) state.room(name);
  const people = { names: rooms, count: rooms.length, more: false };
  state.active = [...state.rooms.keys()][0] ?? "";
  state.rooms.get(state.active)?.listed(people, false);
  return state;
}

const entry = (by, seq, words) => ({
  type: /** @type {const} */ ("said"),
  seq: seq + 1,
  at: seq,
  by,
  text: words,
});

function room_(entries) {
  const made = new room.Room("lobby");
  const answer = { room: "lobby", epoch: "e", resumed: false, first: 1, head: 0, members: 1, topic: "" };
  made.entered(answer, 60, null);
  for (const said of entries) made.add(said);
  return made;
}

/** A notice in which all of these came, went and took other names. */
const churn = (crowd) => ({
  ...{ members: 9, joined: crowd, left: crowd.map((name) => ({ name, why: "quit" })) },
  renamed: crowd.map((name) => ({ name, to: `${name}b` })),
});

/** The groups of a room that saw these come, go and take other names, all at once and one by one. */
function groupsOf(crowd) {
  const log = new presenceLog.PresenceLog();
  log.add(churn(crowd), 0, "ada", 0);
  for (const [n, name] of crowd.entries()) log.add(churn([name]), n + 1, "ada", 0);
  log.cut(2);
  return log.groups;
}

/** Number entries of these names before, between and after notices about all of them. */
function identified(crowd) {
  const identities = new identity.Identities();
  identities.enter(0, true);
  for (const now of [0, 100, 200]) {
    for (const [n, name] of crowd.entries()) identities.mark(entry(name, n, name), now);
    identities.changed(churn(crowd), now);
  }
  identities.of(crowd[0]);
}

/** Entries of a room, every third of which is missing. */
const place = (entries) => ({
  ...{
    entries,
    items: [],
    divider: null,
    top: "",
    kept: () => true,
    id: "",
    me: "ada",
    connected: true,
    now: 0,
  },
});

/** Events whose lists and texts are long. @type {(n: number) => unknown[]} */
const longEvents = (n) => {
  const names = Array.from({ length: n / 4 }, (_, each) => `n${each}`);
  const said = { ...{ type: "said", room: "lobby", seq: 1, at: 2, by: "ada" }, text: "x".repeat(n) };
  const ref = "r";
  return [
    said,
    { ...said, at: said.text, ref: said.text },
    { type: "members", room: "lobby", names, count: 1, more: false },
    { type: "presence", room: "lobby", members: 1, left: names.map((name) => ({ name, why: "quit" })) },
    { type: "rooms", rooms: names.map((room) => ({ room, members: 1, topic: "" })), more: false, ref },
    {
      type: "history",
      room: "lobby",
      entries: names.map((by) => ({ ...said, text: "", by })),
      more: false,
      ref,
    },
    { type: "found", entries: names.map(() => null), more: false, ref },
    { type: "rooms", rooms: names, more: false, ref },
    { [said.text]: 1, type: said.text },
  ];
};
const quietly = (call) => {
  const { warn } = console;
  console.warn = () => {};
  call();
  console.warn = warn;
};

/** Modules by file, each with inputs for every exported function; `null` stands for a class that draws. */
export const CASES = {
  "code.js": { module: code, calls: { parts: perText(code.parts) } },
  "text.js": {
    module: text,
    calls: {
      // Each call has another name, because the module remembers the segments of a text.
      segments: [
        ...perUnit((words) => text.segments(words)),
        ...perText((words) => text.segments(words, "Ada")),
      ],
      mentions: [...perUnit((words) => text.mentions(words, "ada")), ...perName(text.mentions)],
      oneLine: perFew(text.oneLine),
      sentence: perFew(text.sentence),
      sayable: perFew(text.sayable),
    },
  },
  "events.js": {
    module: events,
    calls: {
      refOf: longEvents(40).map((_, kind) => [
        `event ${kind}`,
        (n) => prepared(longEvents(n)[kind], (event) => events.refOf(event)),
      ]),
      checked: longEvents(40).map((_, kind) => [
        `event ${kind}`,
        (n) => prepared(longEvents(n)[kind], (event) => quietly(() => events.checked(event))),
      ]),
    },
  },
  "excerpt.js": {
    module: excerpt,
    calls: {
      excerpt: [
        ...perUnit((words) => excerpt.excerpt(words, "ada")),
        ...perUnit((words) => excerpt.excerpt(words, words.slice(0, words.length / 2) + "b")),
        ...perUnit((words) => excerpt.excerpt(words, "b" + words.slice(0, words.length / 2))),
      ],
    },
  },
  "names.js": {
    module: names,
    calls: {
      fold: perUnit(names.fold),
      hue: perFew(names.hue),
      initial: perFew(names.initial),
      roomKey: perFew(names.roomKey),
      whisperKey: perFew(names.whisperKey),
      addressOf: perFew((words) => names.addressOf("@", words.toWellFormed())),
      placeAt: perFew(names.placeAt),
      begun: [
        ...perText((words) => names.begun(words, HERE)),
        ...perCrowd((crowd) => names.begun(`@${crowd[0].slice(0, 9)}`, crowd)),
      ],
    },
  },
  "commands.js": {
    module: commands,
    calls: {
      parse: [
        ...perText(commands.parse),
        ...["/", "/join ", "/msg ", "/msg bob "].flatMap((start) =>
          perFew((words) => commands.parse(start + words)),
        ),
      ],
    },
  },
  "autocomplete.js": {
    module: offers,
    calls: {
      offers: [
        ...perUnit((words) => offers.offers(words, HERE)),
        ...perCrowd((crowd) => offers.offers("@", crowd)),
      ],
      Autocomplete: null,
    },
  },
  "switcher.js": {
    module: switcher,
    calls: {
      choices: [
        ...perFew((words) => switcher.choices(words, stateWith(HERE), [])),
        ...["x", "@", "", "@x"].flatMap((start) =>
          perCrowd((crowd) => {
            const open = crowd.map((name) => ({ room: name + "b", members: 1, topic: name }));
            switcher.choices(start + fill(crowd.join(""), 4 * crowd.length), stateWith(crowd), open);
          }),
        ),
        ...perCrowd((crowd) => switcher.choices(crowd[0].slice(0, 1), stateWith(crowd), [])),
      ],
      Switcher: null,
    },
  },
  "room.js": {
    module: room,
    calls: {
      Room: [
        ...perFew((words) => room_([entry("bob", 0, words)]).unread("ada")),
        ...perCrowd((crowd) => room_(crowd.map((name, n) => entry(name, n, name))).unread("ada")),
      ],
    },
  },
  "identity.js": { module: identity, calls: { Identities: perCrowd(identified) } },
  "presence_log.js": {
    module: presenceLog,
    calls: {
      PresenceLog: perCrowd(groupsOf),
      line: perCrowd((crowd) => {
        const log = new presenceLog.PresenceLog();
        log.add(churn(crowd), 0, "ada", 0);
        presenceLog.line(log.groups[0]);
        log.clear();
      }),
    },
  },
  "usable_name.js": { module: usable, calls: { usableName: perUnit((words) => usable.usableName(words)) } },
  "rows.js": {
    module: rows,
    calls: {
      rows: [
        ...perCrowd((crowd) =>
          rows.rows(place(crowd.map((name, n) => entry(name, Math.floor(1.5 * n), name)))),
        ),
        ...perCrowd((crowd) => rows.rows({ ...place([]), changes: groupsOf(crowd) })),
        ...perFew((words) => rows.rows(place([entry("bob", 0, words), entry("bob", 1, words)]))),
      ],
      dayLabel: perCrowd((crowd) => rows.dayLabel(crowd.length, 0)),
      timeLabel: perCrowd((crowd) => rows.timeLabel(crowd.length)),
    },
  },
};

/** @param {string} file  @returns {string[]} the functions that it exports and CASES does not know */
export function missing(file) {
  const { module, calls } = CASES[file];
  return Object.keys(module).filter((name) => typeof module[name] === "function" && !(name in calls));
}

/** @param {string} file  @returns {[string, number, string][]} function, index of its input, and kind of input */
export function calls(file) {
  return Object.entries(CASES[file].calls).flatMap(([name, inputs]) =>
    (inputs ?? []).map(([kind], at) => [name, at, kind]),
  );
}

/** Make one call. @param {string} file  @param {string} name  @param {number} at  @param {number} n  the length */
export function call(file, name, at, n) {
  return counted(CASES[file].calls[name][at][1](n));
}
