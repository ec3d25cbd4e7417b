import { HELP, parse } from "/static/commands.js";
import { offers } from "/static/autocomplete.js";
import { check, equal, holds } from "./checks.js";

const HERE = ["bob", "Bea", "ann", "Ελένη"];
const shown = (before) => offers(before, HERE).map((offer) => offer.shown);

/** The text that stands before the caret when the first offer has been taken. */
function taken(before) {
  const [{ from, text }] = offers(before, HERE);
  return before.slice(0, from) + text;
}

check("a slash offers the commands, and what is begun those that begin so", () => {
  equal(shown("/").length, HELP.length - 1, "all but the text that begins with a slash");
  equal(shown("/me"), ["/me TEXT"]);
  equal(shown("/S"), ["/search TEXT"]);
  equal(taken("/wh"), "/who");
  equal(taken("/to"), "/topic ");
});

check("every command that is offered is one", () => {
  for (const { text } of offers("/", [])) {
    const { do: what } = parse(text.trim());
    holds(what !== "say" && what !== "nothing", `${text} is ${what}`);
    if (!text.endsWith(" ")) holds(what !== "unclear", `${text} wants more than is offered`);
  }
});

check("an at sign offers who is here", () => {
  equal(shown("so, @"), ["Bea", "ann", "bob", "Ελένη"]);
  equal(shown("so, @B"), ["Bea", "bob"]);
  equal(taken("so, @bo"), "so, @bob ");
  equal(taken("/msg bo"), "/msg bob ");
  equal(taken("/msg @bo"), "/msg @bob ");
});

check("what is finished needs no offer, but how a command goes on is told", () => {
  equal(shown("/who"), []);
  equal(shown("/msg"), ["/msg NAME TEXT"]);
  equal(shown("@bob"), []);
  equal(shown("/msg bob"), []);
});

check("of a crowd not more than can be taken in", () => {
  const crowd = Array.from({ length: 100 }, (_, n) => `m${n}`);
  equal(offers("@m", crowd).length, 8);
});

check("nothing else is offered anything", () => {
  for (const before of ["", "b", "//", "/ ", "/me ", "a /me", "/nothing", "x@b", "//me"])
    equal(shown(before), [], before);
});
