import { Storage } from "/static/storage.js";
import { Tab } from "/static/tab.js";
import { chances, check, equal, holds } from "./checks.js";

const NOON = 1_800_000_000_000;
const SECOND = 1_000;
const MINUTE = 60 * SECOND;

const shared = () => new Storage(null);
const own = shared; // what a tab has for itself lives as long as the tab

function opened(all, ours = own(), now = NOON) {
  const tab = new Tab(all, ours);
  tab.live(now);
  return tab;
}

check("every load of the page has a name of its own", () => {
  const [all, ours] = [shared(), own()];
  const names = Array.from({ length: 50 }, () => new Tab(all, ours).name);
  equal(new Set(names).size, 50);
});

check("what a load has not sent is the next load's of the same tab, at once", () => {
  const [all, ours] = [shared(), own()];
  const before = opened(all, ours);
  before.letGo(NOON);
  holds(new Tab(all, ours).mayTake(before.name, NOON), "it may not");
});

check("a double of a tab takes nothing from it while it lives, and the tab nothing from its double", () => {
  const [all, ours] = [shared(), own()];
  const first = opened(all, ours);
  const double = opened(all, ours);
  for (let now = NOON; now < NOON + 10 * MINUTE; now += MINUTE) {
    for (const tab of [first, double]) tab.live(now);
    equal(double.mayTake(first.name, now + 59 * SECOND), false);
    equal(first.mayTake(double.name, now + 59 * SECOND), false);
  }
});

check("what a tab had not sent when its browser fell is its next load's before it is another tab's", () => {
  const [all, ours] = [shared(), own()];
  const fallen = opened(all, ours);
  const [next, other] = [opened(all, ours), opened(all)];
  equal(
    [next, other].map((tab) => tab.mayTake(fallen.name, NOON + 99 * SECOND)),
    [false, false],
  );
  equal(
    [next, other].map((tab) => tab.mayTake(fallen.name, NOON + 101 * SECOND)),
    [true, false],
  );
});

check("nobody takes what a living tab has, even one that looks at its clock once a minute", () => {
  chances(50, (chance) => {
    const all = shared();
    const tabs = [opened(all), opened(all), opened(all)];
    let now = NOON;
    for (let n = 0; n < 60; n++) {
      now += chance.below(MINUTE);
      for (const tab of tabs) tab.live(now);
      const later = now + chance.below(MINUTE);
      for (const tab of tabs) {
        for (const other of tabs) equal(tab.mayTake(other.name, later), false);
      }
    }
  });
});

check("a tab that was closed has ten seconds to come back before another takes over", () => {
  const all = shared();
  const [closed, other] = [opened(all), opened(all)];
  closed.letGo(NOON);
  equal(other.mayTake(closed.name, NOON + 9 * SECOND), false);
  equal(other.mayTake(closed.name, NOON + 11 * SECOND), true);
});

check("a tab that fell silent is taken for gone after three minutes", () => {
  const all = shared();
  const [silent, other] = [opened(all), opened(all)];
  equal(other.mayTake(silent.name, NOON + 179 * SECOND), false);
  equal(other.mayTake(silent.name, NOON + 181 * SECOND), true);
});

check("a tab that was closed and is shown again is no longer gone", () => {
  const all = shared();
  const [back, other] = [opened(all), opened(all)];
  back.letGo(NOON);
  back.live(NOON + 5 * SECOND);
  equal(other.mayTake(back.name, NOON + MINUTE), false);
});

check("a load that nobody knows is gone", () => {
  equal(opened(shared()).mayTake("someoldload", NOON), true);
});

check("the signs of life of those who are gone are not kept for ever", () => {
  const all = shared();
  const last = opened(all);
  for (let n = 0; n < 100; n++) opened(all);
  last.live(NOON + 7 * MINUTE);
  equal(all.keys("tab."), ["tab." + last.name]);
});
