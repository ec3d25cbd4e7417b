import { mentions, oneLine, sayable, segments, sentence } from "/static/text.js";
import { chances, check, equal, holds } from "./checks.js";

const VECTORS = await (await fetch("/pure/vectors.json")).json();
const TURNS = /[\u202A-\u202E\u2066-\u2069]/u;
const BITS = [
  ...[
    "http://",
    "https://",
    "HTTPS://",
    "//",
    "javascript:",
    "data:",
    "a.b/c",
    "https://a.b/c",
    "[::1]",
    "user@",
  ],
  ...[
    "(",
    ")",
    "[",
    "]",
    ".",
    ",",
    "?",
    "'",
    '"',
    "*",
    "_",
    "<b>",
    "&amp;",
    " ",
    "\n",
    "\t",
    "%",
    "#",
    ":80",
  ],
  ...[
    "\u202e",
    "\u2066",
    "\u2069",
    "\u200f",
    "é",
    "（",
    "）",
    "。",
    "」",
    "\u200c",
    "小明",
    "ａｄａ",
    "\u1100\u1161",
    "e\u0301",
    "👩‍💻",
    "\ud800",
    "雨",
  ],
  ...["`", "`", "```", "```\n", "\n```", "\n```py\n"],
  ...["ada", "@ada", "Ada!", "ADA", "@", "I", "x"],
];

/** What a reader is shown, as it was written. */
function written(parts) {
  return parts
    .map(({ kind, text, raw }) =>
      kind === "mark" ? String.fromCodePoint(parseInt(text.slice(2), 16)) : (raw ?? text),
    )
    .join("");
}

const links = (text) =>
  segments(text)
    .filter(({ kind }) => kind === "link")
    .map((link) => link.text);

const drawn = (chance) => Array.from({ length: 1 + chance.below(12) }, () => chance.of(BITS)).join("");

check("the segments of a text are the text, with nothing lost and nothing twice", () => {
  chances(5_000, (chance) => {
    const text = drawn(chance);
    equal(written(segments(text, "ada")), text);
    equal(written(segments(text)), text);
  });
});

check("a link leads to http or https, and shows where", () => {
  chances(5_000, (chance) => {
    for (const { kind, text, href } of segments(drawn(chance), "ada")) {
      equal(href !== undefined, kind === "link", text);
      if (kind !== "link") continue;
      holds(/^https?:\/\/[^/]/u.test(href), `${text} leads to ${href}`);
      equal(href, new URL(text).href);
    }
  });
});

check("nothing else is a link", () => {
  const others = [
    "javascript:alert(1)",
    "data:text/html,x",
    "ftp://a.b",
    "file:///etc",
    "//a.b",
    "a.b",
    "http://",
  ];
  for (const text of [...others, "https://", "http://?", "https://["]) {
    equal(links(text), [], text);
  }
  equal(links("javascript:https://a.b"), ["https://a.b"]);
});

check("no control that turns the direction around is shown as it is", () => {
  chances(5_000, (chance) => {
    for (const segment of segments(drawn(chance), "ada")) {
      holds(!TURNS.test(segment.text + (segment.href ?? "")), JSON.stringify(segment));
    }
  });
  equal(segments("a\u202eb\u2069"), [
    { kind: "text", text: "a" },
    { kind: "mark", text: "U+202E" },
    { kind: "text", text: "b" },
    { kind: "mark", text: "U+2069" },
  ]);
  equal(oneLine(" a\n\u202e b "), "a U+202E b");
});

check("a name is called as the vectors say", () => {
  for (const { about, text, name, called } of VECTORS.mentions) {
    const found = segments(text, name).filter(({ kind }) => kind === "mention");
    equal(
      found.map((segment) => segment.text),
      called,
      about,
    );
    equal(mentions(text, name), called.length > 0, about);
  }
});

check("addresses are those that the vectors say", () => {
  for (const { about, text, links: wanted } of VECTORS.links) equal(links(text), wanted, about);
});

check("the last character of a word is no name for a part of it, in any form", () => {
  for (const text of ["ﬁx", "@ﬁ", "…ﬁ"]) equal(mentions(text, "f"), false, text);
  equal(mentions("@\u{1d400}da", "ada"), true, "mathematical letters");
  equal(mentions("\u{20000}@ada\u{20000}", "ada"), true, "an ideograph beyond the first plane");
  equal(mentions("@ada\u{10400}", "ada"), false, "a letter beyond the first plane");
});

check("an address ends before the punctuation of its sentence", () => {
  equal(links("see https://a.b/c. And (https://a.b/d), “https://a.b/e”!"), [
    "https://a.b/c",
    "https://a.b/d",
    "https://a.b/e",
  ]);
  equal(links("https://a.b/c_(d) (https://a.b/c_(d))."), ["https://a.b/c_(d)", "https://a.b/c_(d)"]);
  equal(links('<a href="https://a.b/c">'), ["https://a.b/c"]);
  equal(links("https://a.b/c\u202egnp.exe"), ["https://a.b/c"]);
});

check("brackets are paired however many there are", () => {
  for (const n of [1, 2, 50, 2_000]) {
    const [open, close] = ["(".repeat(n), ")".repeat(n)];
    equal(links(`http://a/${open}${close}).`), [`http://a/${open}${close}`]);
    equal(links(`http://a${close}`), ["http://a"]);
    equal(links(`http://a/${close}${open}`), [`http://a/${close}${open}`]);
    equal(links(`http://a/(${close}`), ["http://a/()"]);
  }
});

check("an address with an overlong host or a third slash is text", () => {
  const longest = `http://${"a.".repeat(127)}a`;
  equal(links(`${longest}/${"x".repeat(3_000)}`), [`${longest}/${"x".repeat(3_000)}`]);
  for (const end of ["", "/", "?x", "#x"]) equal(links(`http://${"a".repeat(257)}${end}`), []);
  equal(links(`http://${"@".repeat(300)}a`), []);
  for (const text of ["http:///a", "http:////a", "http://\\a", `http:///${"a".repeat(300)}`])
    equal(links(text), []);
});

check("a text has at most fifty marked segments, and its rest is shown as text", () => {
  for (const unit of ["http://a ", "@ada ", "`a` ", "\u202e", "\u2066a ", "```\na\n```\n"]) {
    for (const [n, marked] of [
      [49, 49],
      [50, 50],
      [51, 50],
      [500, 50],
    ]) {
      const made = segments(unit.repeat(n), "ada");
      equal(made.filter(({ kind }) => kind !== "text").length, marked, `${n} × ${unit}`);
      holds(made.length <= 2 * marked + 1, `${made.length} segments`);
      holds(!TURNS.test(made.map(({ text }) => text).join("")), "a control is shown as it is");
    }
  }
  equal(segments("\u202e".repeat(52)).at(-1), { kind: "text", text: "U+202EU+202E" });
  holds(!mentions("`a` ".repeat(50) + "ada", "ada"), "the rest of the text has called somebody");
});

check("at most a hundred addresses of a text are parsed, in all its stretches together", () => {
  equal(links("http://[ ".repeat(99) + "http://a").length, 1);
  equal(links("http://[ ".repeat(100) + "http://a").length, 0);
  equal(links("http://[ `x` ".repeat(40) + "http://[ ".repeat(60) + "http://a").length, 0);
});

check("a text is scanned once until two hundred others have followed", () => {
  const [first, other] = [segments("so it is", "ada"), segments("so it is", "bob")];
  holds(segments("so it is", "ada") === first, "it was scanned again");
  holds(other !== first, "another's mentions were taken for one's own");
  for (let n = 0; n < 200; n++) segments(`text ${n}`, "ada");
  holds(segments("so it is", "ada") !== first, "it is remembered for good");
  equal(segments("so it is", "ada"), first);
});

check("whoever is called by name is meant, and nobody else", () => {
  for (const text of ["hi Ada!", "@ADA", "ada", "ada,", "(ada)", "so, ada: yes", "«ada»"]) {
    holds(mentions(text, "ada"), text);
  }
  for (const text of ["adage", "canada", "ada_2", "ada2", "x@ada", "a da", ""]) {
    holds(!mentions(text, "ada"), text);
  }
  holds(!mentions("ada", ""), "nobody has no name");
});

check("a name of few letters needs its sign", () => {
  holds(!mentions("I am", "I") && !mentions("雨田です", "雨田"), "a word was taken for a name");
  holds(mentions("@I am", "I") && mentions("@雨田", "雨田"), "nobody was called");
});

check("a name is no pattern", () => {
  for (const name of ["a+b", "a.b", "[ab]", "a|b", "(ab", "a\\b", "a^b$", "{ab}", "a*b?", "a-/b", "a-b"]) {
    holds(mentions(`see ${name}: yes`, name), name);
    holds(!mentions("see axb, ab, a, b: yes", name), name);
  }
});

check("asked twice, a mention is answered twice the same", () => {
  equal(
    [1, 2, 3].map(() => mentions("hi ada", "ada")),
    [true, true, true],
  );
  equal(
    segments("@ada and Ada", "ada").map(({ kind }) => kind),
    ["mention", "text", "mention"],
  );
});

check("code is shown letter for letter: no links and no mentions, and nobody is called by it", () => {
  equal(segments("run `ada https://a.b` *now*", "ada"), [
    { kind: "text", text: "run " },
    { kind: "code", text: "ada https://a.b", raw: "`ada https://a.b`" },
    { kind: "text", text: " *now*" },
  ]);
  holds(!mentions("run `ada` or https://a.b/ada", "ada"), "code has called somebody");
  holds(mentions("run `it`, ada", "ada"), "nobody was called beside code");
  equal(segments("`a\u202eb`")[0].text, "aU+202Eb");
});

check("a mention within an address is part of the address", () => {
  equal(
    segments("https://a.b/ada", "ada").map(({ kind }) => kind),
    ["link"],
  );
});

check("a paste is cleared of what may not be said", () => {
  equal(sayable("a\r\nb\rc\u0000d\te\u007f\u009ff\u001b[0m"), "a\nb\ncd\tef[0m");
  equal(sayable("é 👩‍💻 \u202e\u00a0"), "é 👩‍💻 \u202e\u00a0");
});

check("a sentence begins with a capital letter", () => {
  equal(["no such room", "", "é"].map(sentence), ["No such room", "", "É"]);
});
