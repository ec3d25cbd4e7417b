import { addressOf, begun, fold, hue, initial, placeAt, roomKey, whisperKey } from "/static/names.js";
import { chances, check, equal, holds } from "./checks.js";

const NAMES = ["lobby", "a%b", "100%", "ü/x", "雨田", "a#b", "👩‍💻", "a?b&c=d", "%3Cscript%3E", "Ελένη", "x@y"];

check("letters that look alike to people are one name", () => {
  for (const same of [
    ["Ada", "ada", "ＡＤＡ", "ａｄａ"],
    ["TOMÁS", "tomás", "toma\u0301s"],
    ["Ελένη", "ελένη"],
  ]) {
    equal([...new Set(same.map(fold))].length, 1, same.join(" "));
    equal([...new Set(same.map(hue))].length, 1, same.join(" "));
  }
  holds(fold("ada") !== fold("adá"), "an accent is a difference");
});

check("a name that was folded stays as it is", () => {
  chances(500, (chance) => {
    const name = Array.from({ length: 6 }, () => String.fromCodePoint(0x20 + chance.below(0x2_000))).join("");
    equal(fold(fold(name)), fold(name), name);
  });
});

check("all colours are used, and no others", () => {
  const used = new Set(Array.from({ length: 500 }, (_, n) => hue(`name${n}`)));
  equal(
    [...used].sort((a, b) => a - b),
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
  );
});

check("a face is a whole letter", () => {
  equal(["ada", "ßig", "𝒳y", "雨田", ""].map(initial), ["A", "SS", "𝒳", "雨", "?"]);
});

check("an address leads back to its place", () => {
  for (const name of NAMES) {
    equal(placeAt(addressOf(roomKey(name), name)), { key: roomKey(name), name });
    equal(placeAt(addressOf(whisperKey(name), name)), { key: whisperKey(name), name });
  }
});

check("the browser takes an address as it stands", () => {
  for (const name of NAMES) {
    for (const key of [roomKey(name), whisperKey(name)]) {
      const address = addressOf(key, name);
      equal(new URL(address, "http://chat/").hash, address, name);
    }
  }
});

check("a room and a whisper never have one key", () => {
  holds(roomKey("ada") !== whisperKey("ada"), "they have");
  equal(roomKey("Ada"), roomKey("ada"));
  equal(whisperKey("Ada"), whisperKey("ada"));
});

check("what names no place is none", () => {
  equal(["", "#", "#@", "@"].map(placeAt), [null, null, null, null]);
});

check("an address that was typed by hand is taken as it stands", () => {
  equal(placeAt("#%"), { key: "#%", name: "%" });
  equal(placeAt("#100%"), { key: "#100%", name: "100%" });
  equal(placeAt("#Lobby"), { key: "#lobby", name: "Lobby" });
  equal(placeAt("#%40ada"), { key: "@ada", name: "ada" });
});

check("a name that was begun is found in the order of the letters, whatever their case", () => {
  equal(begun("hey @b", ["bob", "ann", "Bea"]), { from: 4, fits: ["Bea", "bob"] });
  equal(begun("@BO", ["bob"]), { from: 0, fits: ["bob"] });
  equal(begun("one\n@ελ", ["Ελένη"]), { from: 4, fits: ["Ελένη"] });
  equal(begun("@", ["bob", "ann"]), { from: 0, fits: ["ann", "bob"] });
  equal(begun("/msg b", ["bob"]), { from: 5, fits: ["bob"] });
  equal(begun("/MSG  @b", ["bob"]), { from: 6, fits: ["bob"] });
});

check("what is no beginning of a name finds none", () => {
  for (const before of ["", "b", "x@b", "@b ", "@c", "/msg ", "/msg bob b", "so /msg b"])
    equal(begun(before, ["bob"]), null, before);
});

check("folding splits long runs of combining marks, and never those of a name", () => {
  const name = "a" + "\u0315\u0300".repeat(31);
  equal(fold(name), name.normalize("NFKC"));
  const text = "a" + "\u0315\u0300".repeat(500);
  equal(fold(text).replaceAll("\u034F", "").length, text.normalize("NFKC").length);
  holds(
    /^\P{M}?([^\P{M}\u034F]{1,30}\u034F)+[^\P{M}\u034F]{0,30}$/u.test(fold(text)),
    "a run is longer than 30",
  );
  equal(fold(fold(text)), fold(text));
  equal(fold("a\u0301".repeat(500)), "á".repeat(500));
});

check("only the last word begins a name, and only if it is no longer than one", () => {
  equal(begun("@" + "b".repeat(128), ["b".repeat(128)]), { from: 0, fits: ["b".repeat(128)] });
  equal(begun("@" + "b".repeat(129), ["b".repeat(129)]), null);
  equal(begun("@b\n".repeat(1_000), ["bob"]), null);
  equal(begun("/msg" + " ".repeat(1_000) + "b", ["bob"]), { from: 1_004, fits: ["bob"] });
  for (const before of ["/ms b", "x/msg b", " /msg b", "/msg/b", "/msgb", "/msg @@b"])
    equal(begun(before, ["bob"]), null);
});
