import { parts } from "/static/code.js";
import { chances, check, equal, holds } from "./checks.js";

const BITS = [
  "`",
  "``",
  "```",
  "````",
  "\n",
  "```\n",
  "\n```",
  "```py\n",
  "a",
  " b ",
  "*",
  "é",
  "👩‍💻",
  "\u2028",
];

const short = (text) =>
  parts(text).map(({ kind, text }) => (kind === "text" ? text : kind === "code" ? [text] : { block: text }));

check("the parts of a text are the text, with nothing lost and nothing twice", () => {
  chances(5_000, (chance) => {
    const text = Array.from({ length: 1 + chance.below(12) }, () => chance.of(BITS)).join("");
    const made = parts(text);
    equal(made.map(({ raw }) => raw).join(""), text);
    for (const { kind, text, raw } of made) {
      if (kind === "text") equal(text, raw);
      if (kind === "code") holds(text && !/[`\n]/u.test(text), `${JSON.stringify(text)} is code`);
    }
  });
});

check("within a line, code stands between as many backticks as it begins with", () => {
  equal(short("a `b` c"), ["a ", ["b"], " c"]);
  equal(short("``b`` and ```c```"), [["b"], " and ", ["c"]]);
  equal(short("`a` `b`"), [["a"], " ", ["b"]]);
  for (const text of ["`", "``", "a`b", "`a``", "``a`", "`a\nb`", "it's 5` by 6``", "````a````"]) {
    equal(short(text), [text], text);
  }
});

check("lines of code stand between two lines of three backticks", () => {
  equal(short("so:\n```\nif a:\n    b\n```\nand then"), ["so:\n", { block: "if a:\n    b" }, "and then"]);
  equal(short("```python\na\n```"), [{ block: "a" }]);
  equal(short("```\n\n```"), [{ block: "" }]);
  equal(short("```\n```"), [{ block: "" }]);
  equal(short("```\na `b` c\n```  \n`d`"), [{ block: "a `b` c" }, ["d"]]);
  equal(short("```\na\n```\n```\nb\n```"), [{ block: "a" }, { block: "b" }]);
});

check("what is not ended is no code", () => {
  for (const text of ["```\na", "```\na\n``", "a ```\nb\n```", "```\na\n```b", "```"]) {
    equal(short(text), [text], text);
  }
});

check("a block ends at the first closing fence, and the text continues after it", () => {
  equal(short("```\na\n```x\n```\nb\n```"), [{ block: "a\n```x" }, "b\n```"]);
  equal(short("```\n```\n```\nb\n```\n```"), [{ block: "" }, { block: "b" }, "```"]);
  equal(short("```\na\n\n```\t\n"), [{ block: "a\n" }]);
  equal(short("```\na\u2028```\n```"), [{ block: "a\u2028```" }], "only a newline ends a line");
});

check("only neighbouring runs of backticks form a pair", () => {
  equal(short("`a ``b`` c`"), ["`a ", ["b"], " c`"]);
  equal(short("`a``b`"), ["`a``b`"]);
  equal(short("`a` ``b`c``"), [["a"], " ``b`c``"]);
});
