import { Outbox } from "/static/outbox.js";
import { Storage } from "/static/storage.js";
import { Tab } from "/static/tab.js";
import { chances, check, equal, holds } from "./checks.js";

const NOON = 1_800_000_000_000;
const ROOMS = ["#lobby", "#garden"];
const GONE_MS = 180_000; // as in tab.js: who is silent for longer is taken for gone
const always = () => true;

const said = (text, place = "#lobby") => ({ place, kind: "say", to: place.slice(1), text, action: false });
const whispered = (text) => ({ place: "@bob", kind: "whisper", to: "bob", text, action: false });
const states = (outbox) => [...outbox.items.values()].map(({ text, state }) => `${text} ${state}`);
const stem = (text) => text.split(":")[0];
const kept = (storage) => storage.keys("out.").length;

/** A browser lists its keys in an order of its own. */
class Shuffled extends Storage {
  constructor() {
    super(null);
  }
  keys(start) {
    return super.keys(start).reverse();
  }
}

/** Says a ref once, and gives every say the number that its ref has. */
class ModelServer {
  constructor() {
    this.log = [];
    this.numbers = new Map();
  }

  say({ ref, text }) {
    if (!this.numbers.has(ref)) {
      this.log.push(text);
      this.numbers.set(ref, this.log.length);
    }
    return this.numbers.get(ref);
  }
}

/** One load of the page in a tab of a browser; what is under way to the server or back is in its hands. */
class ModelPage {
  constructor(world, own, author) {
    this.world = world;
    this.own = own;
    this.author = author;
    this.tab = new Tab(world.shared, own);
    this.outbox = new Outbox(world.shared, this.tab.name);
    this.asked = []; // sent, and not yet read by the server
    this.answers = [];
    this.look();
  }

  look() {
    this.tab.live(this.world.now);
    this.outbox.adopt((load) => this.tab.mayTake(load, this.world.now));
  }

  send(ready) {
    const item = this.outbox.next(ready);
    if (!item) return false;
    this.outbox.sending(item);
    this.asked.push({ ...item });
    return true;
  }

  /** The server reads one; it may find that this is too fast. */
  serve(tooFast = false) {
    const item = this.asked.shift();
    if (item) this.answers.push({ ref: item.ref, seq: tooFast ? 0 : this.world.server.say(item) });
  }

  hear() {
    const answer = this.answers.shift();
    if (!answer) return;
    if (answer.seq) this.outbox.acked(answer.ref, answer.seq);
    else this.outbox.again(answer.ref);
  }

  /** Of what was under way the server may have read some; of its answers none comes any more. */
  breaks(chance) {
    while (this.asked.length && chance.below(2)) this.serve();
    this.asked = [];
    this.answers = [];
  }

  drop(chance) {
    this.breaks(chance);
    this.outbox.lost();
  }
}

/** A browser with some tabs, whose lines are numbered in the order in which they were typed. */
class World {
  constructor() {
    this.shared = new Shuffled();
    this.server = new ModelServer();
    this.now = NOON;
    this.pages = [];
    this.authors = 0;
    this.typed = [];
    this.open();
  }

  open() {
    this.pages.push(new ModelPage(this, new Storage(null), `tab ${this.authors++}`));
  }

  type(page, place) {
    this.now += 1;
    const text = `${page.author} in ${place}: ${this.typed.length}`;
    this.typed.push(text);
    page.outbox.add(said(text, place), this.now);
  }

  /** The page is loaded again; the line that leads to the server goes with it. */
  reload(page, chance) {
    page.breaks(chance);
    page.tab.letGo(this.now);
    this.pages[this.pages.indexOf(page)] = new ModelPage(this, page.own, page.author);
  }

  /** The tab is gone for good. */
  close(page, chance) {
    page.breaks(chance);
    page.tab.letGo(this.now);
    this.pages.splice(this.pages.indexOf(page), 1);
  }

  /** Whatever was under way: everybody is connected, and says what there is to say. */
  settle() {
    this.now += 600_000;
    for (const page of this.pages) page.tab.live(this.now);
    for (const page of this.pages) {
      page.outbox.lost();
      page.asked = [];
      page.answers = [];
      page.look();
      while (page.send(always)) {
        page.serve();
        page.hear();
      }
      for (const place of ROOMS) page.outbox.settle(place, this.server.log.length);
    }
  }
}

/** @param {number} longest_ms  how long a page may be asleep */
function something(world, chance, longest_ms) {
  const page = chance.of(world.pages);
  const room = chance.of(ROOMS);
  const seldom = () => chance.below(6) === 0;
  chance.of([
    () => world.type(page, room),
    () => page.send((item) => item.place === room),
    () => page.send(always),
    () => page.serve(seldom()),
    () => page.hear(),
    () => seldom() && page.drop(chance),
    () => seldom() && world.reload(page, chance),
    () => seldom() && world.pages.length < 3 && world.open(),
    () => seldom() && world.pages.length > 1 && world.close(page, chance),
    () => {
      world.now += chance.below(longest_ms);
      for (const each of world.pages) if (each === page || longest_ms < GONE_MS) each.look();
    },
  ])();
}

/** What came of some hours in a browser: what was typed, what was said, and nothing is left over. */
function lived(chance, longest_ms) {
  const world = new World();
  for (let n = 0; n < 200; n++) something(world, chance, longest_ms);
  world.settle();
  equal(kept(world.shared), 0, "still kept");
  equal(world.pages.filter(({ outbox }) => outbox.items.size).length, 0, "still in sight");
  return { typed: world.typed, heard: world.server.log };
}

check(
  "each line is said once and in the order of its tab, through lost connections, reloads and closed tabs",
  () => {
    chances(300, (chance) => {
      const { typed, heard } = lived(chance, 8_000);
      const inOrder = (texts) =>
        [...texts].sort((a, b) => (stem(a) < stem(b) ? -1 : stem(a) > stem(b) ? 1 : 0));
      equal(inOrder(heard), inOrder(typed));
    });
  },
);

check("each line is said once, also by tabs that sleep and find that others have taken over", () => {
  chances(300, (chance) => {
    const { typed, heard } = lived(chance, 2 * GONE_MS);
    equal([...heard].sort(), [...typed].sort());
  });
});

check("one is under way at a time, in the order of typing, where their rooms are entered", () => {
  const outbox = new Outbox(new Storage(null), "A");
  const [one, two, three] = ["one", "two", "three"].map((text, n) =>
    outbox.add(said(text, n === 0 ? "#garden" : "#lobby"), NOON + n),
  );
  const ready = ({ place }) => place === "#lobby";
  equal(outbox.next(ready)?.text, "two");
  outbox.sending(two);
  equal(outbox.next(ready), null);
  outbox.acked(two.ref, 1);
  equal(outbox.next(ready)?.text, "three");
  equal(outbox.next(always)?.text, "one");
  outbox.failed(one.ref, "no such room");
  equal(outbox.next(always)?.text, "three");
  outbox.sending(three);
  outbox.again(three.ref);
  equal(outbox.next(always)?.text, "three");
});

check("a line keeps its ref, and no two have one", () => {
  const storage = new Storage(null);
  const [a, b] = [new Outbox(storage, "A"), new Outbox(storage, "B")];
  const refs = [a, b, a, b].map((outbox, n) => outbox.add(said(`${n}`), NOON).ref);
  equal(new Set(refs).size, 4);
  const c = new Outbox(storage, "C");
  c.adopt(always);
  equal([...c.items.keys()].sort(), [...refs].sort());
});

check("a whisper is never sent again unasked", () => {
  const storage = new Storage(null);
  const before = new Outbox(storage, "A");
  before.add(said("a line"), NOON);
  const underWay = before.add(whispered("under way"), NOON + 1);
  before.add(whispered("waiting"), NOON + 2);
  before.sending(underWay);
  const after = new Outbox(storage, "B");
  holds(after.adopt(always), "nothing was taken over");
  equal(states(after), ["a line waiting", "under way perhaps", "waiting failed"]);
  before.lost();
  equal(states(before), ["a line waiting", "under way perhaps", "waiting waiting"]);
  after.again(underWay.ref);
  equal(states(after)[1], "under way waiting");
});

check("a tab takes over what it may, once", () => {
  const storage = new Storage(null);
  new Outbox(storage, "A").add(said("theirs"), NOON);
  const outbox = new Outbox(storage, "B");
  equal(
    outbox.adopt((load) => load !== "A"),
    false,
  );
  equal(
    outbox.adopt((load) => load === "A"),
    true,
  );
  equal(outbox.adopt(always), false);
  equal(states(outbox), ["theirs waiting"]);
});

check("what is taken over stands in the order of typing, before and behind what is typed here", () => {
  const storage = new Shuffled();
  const before = new Outbox(storage, "A");
  for (const [text, at] of [
    ["one", 0],
    ["two", 0],
    ["four", 9],
  ])
    before.add(said(text), NOON + Number(at));
  const outbox = new Outbox(storage, "B");
  outbox.add(said("three"), NOON + 5);
  outbox.adopt(always);
  equal(states(outbox), ["one waiting", "two waiting", "three waiting", "four waiting"]);
});

check("what somebody else wrote into the storage is no line", () => {
  const storage = new Storage(null);
  for (const odd of [null, 7, "x", [], {}, { ref: "r", place: "#lobby", kind: "say" }]) {
    storage.set("out.odd", odd);
    equal(new Outbox(storage, "A").adopt(always), false, JSON.stringify(odd));
  }
  const line = { ...said("x"), ref: "r", load: "Z", state: "waiting", at: NOON, n: 1 };
  storage.set("out.odd", { ...line, kind: "shout" });
  equal(new Outbox(storage, "A").adopt(always), false);
  for (const at of [undefined, "now", null, -1, 1.5]) {
    storage.set("out.odd", { ...line, at });
    equal(new Outbox(storage, "A").adopt(always), false, String(at));
  }
  storage.set("out.odd", line);
  equal(new Outbox(storage, "A").adopt(always), true);
});

check("a line that is refused stays, with the reason, until its author decides", () => {
  const storage = new Storage(null);
  const outbox = new Outbox(storage, "A");
  const { ref } = outbox.add(said("too long"), NOON);
  outbox.failed(ref, "a text is too long");
  for (const each of [outbox, new Outbox(storage, "B")]) {
    each.adopt(always);
    equal([each.items.get(ref)?.why, kept(storage), each.next(always)], ["a text is too long", 1, null]);
  }
  equal(outbox.discard(ref)?.text, "too long");
  equal([outbox.items.size, kept(storage), outbox.discard(ref)], [0, 0, undefined]);
});

check("a line is in sight once: as itself, or as the entry that it became", () => {
  const outbox = new Outbox(new Storage(null), "A");
  const first = outbox.add(said("hi"), NOON);
  outbox.add(said("hi"), NOON + 1);
  outbox.echoed("#lobby", { text: "hi" });
  equal(outbox.in("#lobby").length, 2, "neither is sent");
  outbox.sending(first);
  outbox.echoed("#garden", { text: "hi" });
  equal(outbox.in("#lobby").length, 2, "another room's");
  outbox.echoed("#lobby", { text: "hi", action: true });
  equal(outbox.in("#lobby").length, 2, "another kind");
  outbox.echoed("#lobby", { text: "hi" });
  equal(outbox.in("#lobby").length, 1);
  outbox.echoed("#lobby", { text: "hi" });
  equal(outbox.in("#lobby").length, 1, "the second waits and is no echo");
  outbox.acked(first.ref, 5);
  outbox.settle("#lobby", 4);
  equal(outbox.items.size, 2, "before it can be read");
  outbox.settle("#garden", 5);
  equal(outbox.items.size, 2, "in another room");
  outbox.settle("#lobby", 5);
  equal(states(outbox), ["hi waiting"]);
});

check("it has a bound", () => {
  const outbox = new Outbox(new Storage(null), "A");
  for (let n = 0; n < 200; n++) {
    equal(outbox.full, false, `${n}`);
    outbox.add(said(`${n}`), NOON + n);
  }
  equal(outbox.full, true);
});

check("what is answered twice, or was never asked, changes nothing", () => {
  const outbox = new Outbox(new Storage(null), "A");
  outbox.acked("A-1", 1);
  outbox.failed("A-1", "no");
  outbox.again("A-1");
  equal(outbox.items.size, 0);
});

check("lines stay in the order of typing when the clock is set back between them", () => {
  const storage = new Shuffled();
  const before = new Outbox(storage, "A");
  for (const [text, at] of [
    ["one", 9],
    ["two", 5],
    ["three", 7],
  ])
    before.add(said(text), NOON + Number(at));
  const outbox = new Outbox(storage, "B");
  outbox.adopt(always);
  equal(states(outbox), ["one waiting", "two waiting", "three waiting"]);
});
