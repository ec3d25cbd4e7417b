import { DirectMessages } from "/static/direct_messages.js";
import { check, equal } from "./checks.js";

const whisper = (text, by = "Bob") => ({ type: "whispered", seq: 0, at: 0, by, text });

check("whispers are numbered as they come, and found by it", () => {
  const thread = new DirectMessages("Bob");
  for (const text of ["one", "two", "three"]) thread.add(whisper(text));
  equal(
    thread.entries.map(({ seq, text }) => [seq, text]),
    [
      [1, "one"],
      [2, "two"],
      [3, "three"],
    ],
  );
  equal(
    [0, 1, 2, 3, 4].map((seq) => thread.indexOf(seq)),
    [0, 0, 1, 2, 3],
  );
  equal([thread.key, new DirectMessages("x").indexOf(5)], ["@bob", 0]);
});

check("a thread keeps the last thousand", () => {
  const thread = new DirectMessages("bob");
  for (let n = 1; n <= 1_500; n++) thread.add(whisper(`${n}`));
  equal([thread.entries.length, thread.entries[0].text, thread.entries.at(-1)?.text], [1_000, "501", "1500"]);
  equal(
    [501, 700, 1_500, 1_501, 3].map((seq) => thread.indexOf(seq)),
    [0, 199, 999, 1_000, 0],
  );
});

check("what the other has whispered is unread, and calls, until it is seen", () => {
  const thread = new DirectMessages("bob");
  thread.add(whisper("mine", "ada"));
  equal(thread.unread("ada"), { unread: 0, mentions: 0, others: 0 });
  thread.add(whisper("theirs"));
  equal(thread.unread("ada"), { unread: 1, mentions: 1, others: 0 });
  equal([thread.seen(), thread.seen(), thread.unread("ada").unread], [true, false, 0]);
});
