/**
 * Draw rows as nodes: entries, items in flight, and separators.
 */

import { make, written } from "./dom.js";
import { hue, initial } from "./names.js";
import { Room } from "./room.js";
import { timeLabel } from "./rows.js";

/** @typedef {import("./rows.js").Row} Row */

/**
 * Draw a row. A row that cannot be drawn becomes a placeholder, so that the rows around it are drawn.
 *
 * @param {Row} row
 * @param {Room | import("./direct_messages.js").DirectMessages} place
 * @param {import("./client.js").Client} client
 * @param {(text: string) => void} edit  puts a text back into the composer
 * @returns {any} a node
 */
export function drawRow(row, place, client, edit) {
  try {
    return drawnRow(row, place, client, edit);
  } catch (error) {
    console.error(`cannot draw the row ${row.key}:`, error);
    const seq = row.kind === "entry" ? { "data-seq": row.entry.seq } : {};
    return make("li", { class: "hole undrawn", ...seq, textContent: "This cannot be shown here" });
  }
}

/**
 * @param {Row} row
 * @param {Room | import("./direct_messages.js").DirectMessages} place
 * @param {import("./client.js").Client} client
 * @param {(text: string) => void} edit
 */
function drawnRow(row, place, client, edit) {
  switch (row.kind) {
    case "day":
      return make("li", { class: "day" }, make("span", { textContent: row.label }));
    case "new":
      return make("li", { class: "new" }, make("span", { textContent: row.label }));
    case "older":
      return make("li", { class: "older", textContent: "Earlier messages are being fetched…" });
    case "start":
      return drawBeginning(place, client);
    case "presence":
      return drawPresence(row);
    case "hole":
      return drawHole(row, /** @type {Room} */ (place), client);
    case "item":
      return drawItem(row, client, edit);
    default:
      return drawEntry(row, client.state);
  }
}

/** @param {Room | import("./direct_messages.js").DirectMessages} place  @param {import("./client.js").Client} client */
function drawBeginning(place, client) {
  const node = make("li", { class: "start" });
  if (!(place instanceof Room)) {
    node.append("Whispers are for the two of you, and kept nowhere: they are gone when this page is closed.");
    return node;
  }
  if (place.anew) {
    node.append(
      make("p", {
        class: "anew",
        textContent: "The server began this room’s history anew. What you saw here before is not part of it.",
      }),
    );
  }
  const gone = place.first > 1 ? "What was said before this is no longer kept." : null;
  node.append(
    make("p", {}, gone ?? "This is where the room begins. ", gone ? "" : keeping(client.state.kept)),
  );
  return node;
}

/**
 * @param {import("./rows.js").Hole} row
 * @param {Room} place
 * @param {import("./client.js").Client} client
 */
function drawHole(row, place, client) {
  if (!row.kept) return make("li", { class: "hole" }, `${row.label} here are no longer kept`);
  const button = make("button", { class: "plain-button", textContent: "Show them" });
  button.onclick = () => client.reading.history(place, row.next, row.after);
  return make("li", { class: "hole" }, `${row.label} not shown here `, button);
}

/** @param {Extract<import("./rows.js").Row, {kind: "presence"}>} row */
function drawPresence({ group, parts }) {
  const nodes = parts.map((part) =>
    typeof part === "string" ? part : make("bdi", { class: "name", textContent: part.name }),
  );
  return make("li", { class: "presence", title: timeLabel(group.at) }, ...nodes);
}

/** @param {Extract<Row, {kind: "entry"}>} row  @param {import("./state.js").State} state */
function drawEntry({ entry, head }, state) {
  const own = state.isMe(entry.by);
  const kind = entry.type === "retitled" ? "retitled" : entry.action ? "action" : "line";
  const node = make("li", {
    class: [kind, head ? "head" : "", own ? "own" : ""].join(" "),
    "data-seq": entry.seq,
    "data-hue": hue(entry.by),
  });
  const body = drawBody(entry.by, entry.at, entry.text, kind, head, own ? "" : state.me.name);
  if (body.querySelector("mark")) node.classList.add("called");
  node.append(...body.childNodes);
  return node;
}

/**
 * Draw an own line that is not yet an entry, and its state.
 *
 * @param {Extract<Row, {kind: "item"}>} row
 * @param {import("./client.js").Client} client
 * @param {(text: string) => void} edit
 */
function drawItem({ item, head }, client, edit) {
  const { name } = client.state.me;
  const kind = item.action ? "action" : "line";
  const node = make("li", {
    class: `${kind} own ${head ? "head" : ""} ${item.state}`,
    "data-hue": hue(name),
  });
  node.append(...drawBody(name, item.at, item.text, kind, head, "").childNodes);
  const state = make("span", { class: "fate" });
  if (item.state === "failed" || item.state === "perhaps") {
    const what = item.state === "failed" ? `Not sent: ${item.why}` : item.why;
    const button = (/** @type {string} */ text, /** @type {() => void} */ act) =>
      make("button", { class: "link-button", type: "button", textContent: text, onclick: act });
    state.append(
      what + " ",
      button("Send again", () => client.speaker.again(item.ref)),
      button("Edit", () => edit(client.speaker.discard(item.ref))),
      button("Discard", () => client.speaker.discard(item.ref)),
    );
  } else {
    state.append(
      item.state === "sent" ? "Sent" : client.state.connected ? "Sending…" : "Waiting for the connection",
    );
  }
  node.append(state);
  return node;
}

/**
 * Draw avatar, author, time and text, as the kind of line requires.
 *
 * @param {string} by
 * @param {number} at
 * @param {string} text
 * @param {string} kind
 * @param {boolean} head
 * @param {string} me
 */
function drawBody(by, at, text, kind, head, me) {
  const body = make("div");
  const time = make("time", {
    datetime: new Date(at).toISOString(),
    title: new Date(at).toLocaleString(),
    textContent: timeLabel(at),
  });
  const author = make("bdi", { class: "by", textContent: by });
  const words = make("div", { class: "text" });
  if (kind === "line") {
    if (head) {
      body.append(make("span", { class: "face", "aria-hidden": "true", textContent: initial(by) }));
      body.append(make("div", { class: "who" }, author, time));
    } else {
      body.append(time, make("span", { class: "visually-hidden", textContent: `${by}: ` }));
    }
    // Each paragraph has its own direction. The nodes are direct children of the block: `dir` ignores a `bdi`.
    words.dir = "auto";
    words.append(...written(text, me).childNodes);
  } else if (kind === "action") {
    words.append(author, " ", written(text, me));
  } else {
    words.append(author, " changed the topic to ", make("q", {}, written(text)));
  }
  body.append(words);
  if (kind !== "line") body.append(" ", time); // a space, so that both are apart when they are copied
  return body;
}

/** @param {string} kept  as the server says it  @returns {string} for people */
function keeping(kept) {
  if (kept === "memory") return "What is said is kept until the server ends.";
  if (kept === "forever" || !kept) return "What is said is kept for good.";
  return kept.startsWith("at most")
    ? `Of what is said, ${kept} are kept.`
    : `What is said is kept for ${kept}.`;
}
