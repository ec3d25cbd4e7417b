import { Namespace, ownOf } from "/static/namespace.js";
import { Storage } from "/static/storage.js";
import { check, equal, holds } from "./checks.js";

/** What an older page has kept, by origin. */
function older() {
  const all = new Storage(null);
  all.set("me", { name: "ada", token: "t" });
  all.set("rooms", ["lobby", "kitchen"]);
  all.set("read.#lobby", { epoch: "e", seq: 7 });
  all.set("draft.#lobby", "half a thought");
  all.set("out.A-1", { ref: "A-1" });
  all.set("tab.A", 1);
  all.set("scheme", "dark");
  all.set("notify", true);
  all.set("presence", false);
  return all;
}

const KEPT = ["draft.#lobby", "me", "out.A-1", "read.#lobby", "rooms", "tab.A"];

check("what an older page kept is the first server's at the path of the root", () => {
  const all = older();
  const first = new Namespace(all, "/");
  equal(first.storage.keys("").sort(), KEPT, "before any server was heard");
  const again = new Namespace(all, "/"); // loaded anew
  equal(again.identify("S", "t"), true);
  equal(again.storage.keys("").sort(), KEPT);
  equal(again.storage.get("read.#lobby"), { epoch: "e", seq: 7 });
  equal([all.get("scheme"), all.get("notify"), all.keys("out.")], ["dark", true, []]);
  equal(again.identify("T", "t"), false);
  equal(again.storage.keys(""), []);
  equal(new Namespace(all, "/").storage.keys(""), [], "and at the next load it is not copied again");
});

check("lines that a tab with an older page leaves behind later are not lost", () => {
  const all = older();
  new Namespace(all, "/").identify("S", "t");
  all.set("out.A-2", { ref: "A-2" });
  equal(new Namespace(all, "/").storage.keys("out.").sort(), ["out.A-1", "out.A-2"]);
  const other = new Namespace(all, "/");
  other.identify("T", "t");
  other.storage.set("me", { name: "ada", token: "of T" });
  all.set("out.A-3", { ref: "A-3" });
  equal(new Namespace(all, "/").storage.keys("out."), [], "they were not said to this server");
});

check("at another path what an older page kept may be another server's", () => {
  const all = older();
  const below = new Namespace(all, "/a/");
  equal(below.storage.keys(""), []);
  below.identify("S", "");
  equal(below.storage.keys(""), []);
  equal(all.keys("out."), ["out.A-1"]);
});

check("each path and each server has storage of its own", () => {
  const all = new Storage(null);
  const seen = new Set();
  for (const path of ["/", "/a/", "/a/b/", "/a%2Fb/", "/?/"]) {
    for (const id of ["S", "T", "", "-", "_"]) {
      const namespace = new Namespace(all, path);
      namespace.identify(id, "");
      equal(namespace.storage.get("me"), null, path + id);
      namespace.storage.set("me", { name: path + id, token: "" });
      seen.add(namespace.storage.prefix);
    }
  }
  equal(seen.size, 25);
  equal([...seen].filter((one) => [...seen].some((two) => two !== one && two.startsWith(one))), []);
});

check("the server that was heard last is the one that is greeted first", () => {
  const all = new Storage(null);
  const one = new Namespace(all, "/a/");
  equal([one.id, one.isOther("S"), one.identify("S", "")], [null, false, true]);
  equal([one.id, one.isOther("S"), one.isOther("T"), one.isOther(undefined)], ["S", false, true, true]);
  equal(one.identify("T", ""), false);
  equal(new Namespace(all, "/a/").id, "T");
  equal(new Namespace(all, "/b/").id, null);
  equal(one.identify("S", ""), false);
  equal(new Namespace(all, "/a/").id, "S");
});

check("what cannot be an id is none", () => {
  for (const id of [undefined, null, 7, {}, "", "a b", "a/b", "?", "x".repeat(65), "\ud800", ["S"]]) {
    const namespace = new Namespace(new Storage(null), "/");
    namespace.identify(id, "");
    equal(namespace.id, "", String(id));
  }
});

check("another tab was first: what is kept there stays, and the lines of this one come to it", () => {
  const all = new Storage(null);
  const [one, other] = [new Namespace(all, "/"), new Namespace(all, "/")];
  one.identify("S", "");
  one.storage.set("me", { name: "ada", token: "t" });
  other.storage.set("out.B-1", { ref: "B-1" });
  other.storage.set("me", { name: "bob", token: "" });
  equal(other.identify("S", "made for bob"), false, "the hello was not said with what is kept");
  equal([other.storage.get("me").name, other.storage.keys("out.")], ["ada", ["out.B-1"]]);
});

check("a tab can go by what another has heard at its path", () => {
  const all = new Storage(null);
  const [one, other, elsewhere] = ["/", "/", "/a/"].map((path) => new Namespace(all, path));
  equal(other.latest, null);
  for (const id of ["S", "T", ""]) {
    one.identify(id, "");
    equal([other.latest, elsewhere.latest], [id, null]);
    other.follow();
    equal([other.id, other.storage.prefix], [id, one.storage.prefix]);
  }
});

check("the storage of servers that were at a path is bounded", () => {
  const all = new Storage(null);
  const namespace = new Namespace(all, "/");
  for (let n = 0; n < 50; n++) {
    namespace.identify(`S${n}`, "");
    namespace.storage.set("me", { name: "ada", token: "" });
    namespace.storage.set("out.A-1", { ref: "A-1" });
    namespace.identify("S0", ""); // never the oldest
  }
  const everything = all.under("");
  holds(everything.keys("").length <= 17, everything.keys("").join(" "));
  equal(namespace.storage.keys("").sort(), ["me", "out.A-1"]);
});

check("records that another program has written are as if there were none", () => {
  for (const odd of [7, "S", { 0: "S" }, [7, null, "a b"]]) {
    const all = new Storage(null);
    new Namespace(all, "/").place.set("", odd);
    equal(new Namespace(all, "/").id, null, JSON.stringify(odd));
  }
});

check("what a tab keeps for itself is kept by path, and that of an older page is the root's", () => {
  const kept = new Map();
  const session = /** @type {any} */ ({
    getItem: (key) => kept.get(key) ?? null,
    setItem: (key, text) => kept.set(key, text),
  });
  new Storage(session).set("load", "older");
  equal(ownOf("/a/", session).get("load"), null);
  equal(ownOf("/", session).get("load"), "older");
  ownOf("/", session).set("load", "newer");
  equal(ownOf("/", session).get("load"), "newer");
});
