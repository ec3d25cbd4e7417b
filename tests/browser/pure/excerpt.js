import { excerpt } from "/static/excerpt.js";
import { chances, check, equal, holds } from "./checks.js";

const BITS = ["a", "B", "ｃ", "İ", "ﬁ", "é", "e\u0301", "👩‍💻", "雨", " ", "\n", "\u202e"];
const shown = (text, wanted) => Object.values(excerpt(text, wanted));

check("what was found is marked, as it stands there", () => {
  equal(shown("two new beds", "NEW"), ["two ", "new", " beds"]);
  equal(shown("ＮＥＷ beds", "new"), ["", "ＮＥＷ", " beds"]);
  equal(shown("concatenate", "cat"), ["con", "cat", "enate"]);
  equal(shown("雨田です", "田"), ["雨", "田", "です"]);
  equal(shown("all of it", "all of it"), ["", "all of it", ""]);
});

check("what the page does not find is shown without a mark", () => {
  equal(shown("two new beds", "old"), ["two new beds", "", ""]);
  equal(shown("two", ""), ["two", "", ""]);
});

check("what was found is near the beginning of what is shown", () => {
  const { before, hit } = excerpt("x ".repeat(500) + "here" + " y".repeat(500), "here");
  equal(hit, "here");
  holds(before.startsWith("…") && before.length < 70, before);
});

check("an excerpt is on one line, and turns nothing around", () => {
  equal(shown("a\n\u202eb c", "c"), ["a U+202Eb ", "c", ""]);
});

check("what is cut out of a text is found in it", () => {
  chances(3_000, (chance) => {
    const letters = Array.from({ length: 1 + chance.below(20) }, () => chance.of(BITS));
    const from = chance.below(letters.length);
    const wanted = letters.slice(from, from + 1 + chance.below(4)).join("");
    const { before, hit, after } = excerpt(letters.join(""), wanted);
    holds(!/[\n\u202e]/u.test(before + after), "one line, and as it is read");
    if (hit) equal(hit.normalize("NFKC").toLowerCase(), wanted.normalize("NFKC").toLowerCase());
  });
});

check("the first place of a word is found, also if the word nearly repeats itself", () => {
  chances(2_000, (chance) => {
    const draw = (most) =>
      Array.from({ length: 1 + chance.below(most) }, () => chance.of(["a", "b"])).join("");
    const [text, wanted] = [draw(40), draw(6)];
    const at = text.indexOf(wanted);
    equal(
      shown(text, wanted),
      at < 0 ? [text, "", ""] : [text.slice(0, at), wanted, text.slice(at + wanted.length)],
    );
  });
});
