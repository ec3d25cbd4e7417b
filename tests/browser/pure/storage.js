import { browsers, randomLetters, Storage } from "/static/storage.js";
import { check, equal, holds } from "./checks.js";

/** What a browser gives, in memory; `letters` is how much fits. */
class Kept {
  constructor(letters = Infinity) {
    this.letters = letters;
    this.map = new Map();
  }
  get length() {
    return this.map.size;
  }
  key(n) {
    return [...this.map.keys()][n] ?? null;
  }
  getItem(key) {
    return this.map.get(key) ?? null;
  }
  setItem(key, text) {
    let used = text.length;
    for (const [each, kept] of this.map) if (each !== key) used += kept.length;
    if (used > this.letters) throw new DOMException("full", "QuotaExceededError");
    this.map.set(key, text);
  }
  removeItem(key) {
    this.map.delete(key);
  }
}

const no = () => {
  throw new DOMException("blocked", "SecurityError");
};
const blocked = {
  getItem: no,
  setItem: no,
  removeItem: no,
  key: no,
  get length() {
    return no();
  },
};

for (const [what, kept] of Object.entries({
  "the browser's own": browsers("sessionStorage"),
  "a good one": new Kept(),
  "one that is full": new Kept(0),
  "one that throws": blocked,
  none: null,
})) {
  check(`what was put into it is there until it is removed: ${what}`, () => {
    const storage = new Storage(/** @type {any} */ (kept));
    for (const value of [1, "two", { three: [3, null] }, false, ""]) {
      storage.set("pure.a", value);
      equal(storage.get("pure.a"), value);
    }
    storage.set("pure.b", 2);
    equal(storage.keys("pure.").sort(), ["pure.a", "pure.b"]);
    equal(storage.keys("other"), []);
    storage.remove("pure.a");
    equal(storage.get("pure.a", "otherwise"), "otherwise");
    equal(storage.keys("pure."), ["pure.b"]);
    storage.remove("pure.b");
    storage.remove("pure.b");
  });
}

check("what is no longer kept by a storage that got full is the new value all the same", () => {
  const kept = new Kept(10);
  const storage = new Storage(/** @type {any} */ (kept));
  storage.set("a", "old");
  storage.set("a", "much too long to be kept");
  equal(storage.get("a"), "much too long to be kept");
  equal(storage.keys("a"), ["a"]);
  storage.set("a", "new");
  equal(storage.get("a"), "new");
  equal(new Storage(/** @type {any} */ (kept)).get("a"), "new");
});

check("two pages of one browser see the same", () => {
  const kept = /** @type {any} */ (new Kept());
  const [one, other] = [new Storage(kept), new Storage(kept)];
  one.set("a", 1);
  equal(other.get("a"), 1);
  other.set("a", 2);
  equal(one.get("a"), 2);
  other.remove("a");
  equal(one.get("a"), null);
});

check("what others keep on this origin is neither read nor listed", () => {
  const kept = /** @type {any} */ (new Kept());
  kept.setItem("a", "1");
  kept.setItem("other.a", "1");
  const storage = new Storage(kept);
  equal(storage.get("a"), null);
  equal(storage.keys(""), []);
  storage.set("a", 2);
  equal(kept.getItem("a"), "1");
  equal([...kept.map.keys()].filter((key) => storage.ours(key) === "a").length, 1);
  equal([storage.ours("a"), storage.ours("other.a"), storage.ours(null)], ["", "", ""]);
});

for (const [what, kept] of Object.entries({ "a good one": new Kept(), "one that is full": new Kept(0), none: null })) {
  check(`what is under one prefix is not under another: ${what}`, () => {
    const one = new Storage(/** @type {any} */ (kept), "one/");
    const other = one.under("other/");
    one.set("a", 1);
    other.set("a", 2);
    other.set("b", 3);
    equal([one.get("a"), other.get("a"), one.keys(""), other.keys("").sort()], [1, 2, ["a"], ["a", "b"]]);
    one.prefix = "other/";
    equal([one.get("a"), one.ours("other/a"), one.ours("one/a")], [2, "a", ""]);
    one.remove("a");
    equal([other.get("a"), one.under("one/").get("a")], [null, 1]);
  });
}

check("what is not readable is as if there were none", () => {
  const kept = /** @type {any} */ (new Kept());
  const storage = new Storage(kept);
  storage.set("a", 1);
  for (const key of [...kept.map.keys()]) kept.setItem(key, "{not json");
  equal(storage.get("a", 7), 7);
});

check(
  "letters by chance are as many as asked for, of those that an address may have, and never the same",
  () => {
    const made = Array.from({ length: 100 }, () => randomLetters(12));
    holds(
      made.every((each) => /^[\w-]{12}$/u.test(each)),
      made.join(" "),
    );
    equal(new Set(made).size, 100);
  },
);
