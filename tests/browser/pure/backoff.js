import { pause_s } from "/static/backoff.js";
import { chances, check, equal, holds } from "./checks.js";

const most = () => 1;
const least = () => 0;

check("a pause may double from try to try, up to half a minute", () => {
  const longest = [0, 1, 2, 3, 4, 5, 6, 7, 100, 5_000].map((failures) => pause_s(failures, 0, most));
  equal(longest, [0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30]);
});

check("chance may take away a pause but for a quarter of a second", () => {
  equal(pause_s(0, 0, least), 0.25);
  equal(pause_s(9, 0, least), 0.25);
});

check("no sooner than the server asks for, and not all at once then", () => {
  equal(pause_s(3, 40, least), 40.25);
  equal(pause_s(3, 40, most), 44);
  equal(pause_s(9, 5, most), 35);
});

check("pages that try at the same time are spread over the whole pause", () => {
  chances(20, (chance) => {
    const pauses = Array.from({ length: 400 }, () => pause_s(4, 0, () => chance.next()));
    holds(Math.min(...pauses) < 1 && Math.max(...pauses) > 7, "they crowd");
    holds(
      pauses.every((pause) => pause >= 0.25 && pause < 8),
      "a pause is out of bounds",
    );
  });
});

check("what is not told is by chance, and asks for nothing", () => {
  const pauses = Array.from({ length: 50 }, () => pause_s(6));
  holds(
    pauses.every((pause) => pause >= 0.25 && pause <= 30),
    "a pause is out of bounds",
  );
  holds(new Set(pauses).size > 1, "all are equal");
});
