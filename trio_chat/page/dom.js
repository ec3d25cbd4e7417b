/**
 * Build nodes from texts. Text of other users reaches the page only as text, never as markup.
 */

import { segments } from "./text.js";

const ATTRIBUTES = new Set(["class", "role", "for", "datetime"]);

/** @param {string} id  @returns {any} */
export const $ = (id) => document.getElementById(id);

/**
 * @param {string} tag
 * @param {Record<string, any>} [properties]  `class`, `role`, `aria-…` and `data-…` are attributes
 * @param {...(Node | string | null)} children
 * @returns {any}
 */
export function make(tag, properties = {}, ...children) {
  /** @type {any} */
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    const attribute = ATTRIBUTES.has(name) || name.startsWith("aria-") || name.startsWith("data-");
    if (attribute) node.setAttribute(name, String(value));
    else node[name] = value;
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

/** Set the text of `node`, if it differs. @param {any} node  @param {string} text */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Return a user's text, isolated from the text around it. @param {string} text  @param {string} [me] */
export function written(text, me = "") {
  return make(
    "bdi",
    {},
    ...segments(text, me).map((segment) => {
      switch (segment.kind) {
        case "link":
          return make("a", {
            href: segment.href,
            title: segment.href,
            target: "_blank",
            rel: "noopener noreferrer nofollow",
            textContent: segment.text,
          });
        case "mention":
          return make("mark", { textContent: segment.text });
        case "mark":
          return make("span", {
            class: "turn",
            title: "Turns the writing around",
            textContent: segment.text,
          });
        case "code":
          return make("code", { textContent: segment.text });
        case "block":
          return make("pre", {}, make("code", { textContent: segment.text }));
        default:
          return document.createTextNode(segment.text);
      }
    }),
  );
}

/** @type {WeakMap<Node, Map<string, {look: string, node: any}>>} */
const drawn = new WeakMap();

/**
 * Update the children of `parent` to match `rows`; change only the rows that differ.
 *
 * @template {{key: string, look: string}} Row
 * @param {any} parent
 * @param {Row[]} rows  with different keys
 * @param {(row: Row) => any} draw
 * @returns {boolean} whether anything differed
 */
export function reconcile(parent, rows, draw) {
  const before = drawn.get(parent) ?? new Map();
  const after = new Map();
  let different = false;
  for (const row of rows) {
    const old = before.get(row.key);
    after.set(row.key, old?.look === row.look ? old : { look: row.look, node: draw(row) });
  }
  for (const [key, { node }] of before) {
    if (after.get(key)?.node === node) continue;
    node.remove();
    different = true;
  }
  let next = parent.firstChild;
  for (const { node } of after.values()) {
    if (node === next) {
      next = next.nextSibling;
    } else {
      parent.insertBefore(node, next);
      different = true;
    }
  }
  drawn.set(parent, after);
  return different;
}

/**
 * Return whether a key is part of an input method's composition, such as the Enter that accepts a Chinese word.
 * Safari has ended the composition by then, and shows it by the key code alone.
 *
 * @param {KeyboardEvent} event
 */
export const composing = (event) => event.isComposing || event.keyCode === 229;

/** Make a list one tab stop, with arrow keys to move within it. @param {any} list */
export function arrows(list) {
  list.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    const step = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined || event.altKey || event.ctrlKey) return;
    const all = [...list.querySelectorAll("button, a")];
    const at = all.indexOf(document.activeElement);
    if (at < 0) return;
    event.preventDefault();
    all[Math.max(0, Math.min(all.length - 1, at + step))].focus();
  });
}
