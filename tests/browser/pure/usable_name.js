import { usableName } from "/static/usable_name.js";
import { check, equal, holds } from "./checks.js";

check("a name that a server refuses becomes the nearest that it takes", () => {
  for (const [typed, offered] of [
    ["Ada Lovelace", "Ada-Lovelace"],
    ["  Ada   King\tLovelace ", "Ada-King-Lovelace"],
    ["Ada\u00a0Lovelace", "Ada-Lovelace"],
    ["雨田\u3000太郎", "雨田-太郎"],
    ["Ada – Lovelace", "Ada-Lovelace"],
    ["Ada🚀", "Ada"],
    ["🚀 Ada 🚀", "Ada"],
    ["#ada", "ada"],
    ["@ada b", "ada-b"],
    ["a\u200bda\u202e", "ada"],
    ["x".repeat(40), "x".repeat(32)],
    ["Ελένη Π", "Ελένη-Π"],
  ])
    equal(usableName(typed), offered, typed);
});

check("a usable name has no offer, and neither has one of which nothing is left", () => {
  for (const typed of [
    "",
    " ",
    "Ada",
    " Ada ",
    "Ada-Lovelace",
    "a--b",
    "ada_1!",
    "Ａｄａ",
    "रामी",
    "🚀 🚀",
    "#",
    "- -",
    "雨田",
  ])
    equal(usableName(typed), "", typed);
});

check("an offer needs no further one", () => {
  for (const typed of ["Ada Lovelace", "@@ x y", "a - - b", "– –x", "y".repeat(99) + " z"]) {
    const offer = usableName(typed);
    holds(offer, typed);
    equal(usableName(offer), "", typed);
  }
});

check("only so much of a long text is looked at", () => {
  equal(usableName("a ".repeat(100_000)).length, 32);
});
