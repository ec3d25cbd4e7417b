import { bounded, pingEvery_s, reconnect_s, retry_s } from "/static/delays.js";
import { check, equal } from "./checks.js";

const ODD = [-1, 0, 1e9, 2 ** 53 - 1, 1e308, Infinity, NaN, "5", null, undefined, {}];

check("a pause that a server asks for has a shortest and a longest", () => {
  const of = (bound) => ODD.map(bound);
  equal(of(reconnect_s), [0, 0, 3_600, 3_600, 3_600, 0, 0, 0, 0, 0, 0]);
  equal(of(retry_s), [1, 1, 60, 60, 60, 1, 1, 1, 1, 1, 1]);
  equal(of(pingEvery_s), [1, 1, 3_600, 3_600, 3_600, 25, 25, 25, 25, 25, 25]);
});

check("what is within reason is followed", () => {
  equal([reconnect_s(40), retry_s(3), pingEvery_s(25), bounded(4_096, 1, 9_999, 1)], [40, 3, 25, 4_096]);
});
