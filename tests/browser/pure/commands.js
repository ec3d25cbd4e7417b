import { HELP, parse } from "/static/commands.js";
import { check, equal, holds } from "./checks.js";

check("what has no slash is said as it stands", () => {
  for (const text of ["hi", " hi ", "a /join b", "one\ntwo", " /me"]) {
    equal(parse(text), { do: "say", text, action: false });
  }
});

check("a second slash says the first", () => {
  equal(parse("//x"), { do: "say", text: "/x", action: false });
  equal(parse("///"), { do: "say", text: "//", action: false });
});

check("nothing is nothing", () => {
  for (const text of ["", " ", "\n\t"]) equal(parse(text), { do: "nothing" });
});

check("a command has its words, in any case and with any space around", () => {
  equal(parse("/join  lobby "), { do: "join", text: "lobby" });
  equal(parse("/JOIN lobby"), { do: "join", text: "lobby" });
  equal(parse("/join #lobby"), { do: "join", text: "lobby" });
  equal(parse("/leave #lobby"), { do: "leave", text: "lobby" });
  equal(parse("/msg @bob hi"), { do: "tell", to: "bob", text: "hi" });
  equal(parse("/nick @bob"), { do: "nick", text: "bob" });
  equal(parse("/join #"), { do: "join", text: "#" });
  equal(parse("/topic #1"), { do: "topic", text: "#1" });
  equal(parse("/topic two\nlines"), { do: "topic", text: "two\nlines" });
  equal(parse("/me waves  twice"), { do: "say", text: "waves  twice", action: true });
  equal(parse("/leave"), { do: "leave", text: "" });
  equal(parse("/msg bob hi\nthere"), { do: "tell", to: "bob", text: "hi\nthere" });
});

check("a command without its words asks for them", () => {
  for (const word of ["/join", "/nick", "/topic", "/search", "/me", "/msg"]) {
    equal(parse(word), { do: "unclear", why: `${word} what?` });
  }
  equal(parse("/msg bob"), { do: "unclear", why: "/msg bob what?" });
});

check("a word that is no command is neither said nor done", () => {
  for (const word of ["/joni", "/", "/constructor", "/__proto__", "/toString"]) {
    equal(parse(word + " x").do, "unclear", word);
    holds(parse(word).why.endsWith("type a second slash: /" + word.toLowerCase()), word);
  }
});

check("what the help tells of is there", () => {
  for (const [usage] of HELP) {
    const action = parse(usage.startsWith("//") ? usage : usage.split(" ")[0] + " NAME TEXT");
    holds(!["unclear", "nothing"].includes(action.do), usage);
  }
});
