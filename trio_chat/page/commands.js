/**
 * Parse typed text into an action. The commands are those of the terminal client.
 *
 * @typedef {{do: "say", text: string, action: boolean}
 *   | {do: "join" | "leave" | "nick" | "topic" | "search", text: string}
 *   | {do: "tell", to: string, text: string}
 *   | {do: "who" | "rooms" | "help" | "nothing"}
 *   | {do: "unclear", why: string}} Action
 */

export const HELP = [
  ["/join ROOM", "enter a room, or go back to one you are in"],
  ["/leave", "leave this room"],
  ["/rooms", "the rooms that have members"],
  ["/who", "who is here"],
  ["/msg NAME TEXT", "say something to one person only"],
  ["/me TEXT", "say what you do: /me waves"],
  ["/nick NAME", "take another name"],
  ["/topic TEXT", "say what the room is about"],
  ["/search TEXT", "what was said with TEXT in it"],
  ["//TEXT", "say a text that begins with a slash"],
];

/** @type {Record<string, "join" | "nick" | "topic" | "search">} */
const WITH_TEXT = { "/join": "join", "/nick": "nick", "/topic": "topic", "/search": "search" };
/** The prefix that other chats write before a name; no name here begins with it.
 * @type {Record<string, string>} */
const MARKS = { "/join": "#", "/leave": "#", "/msg": "@", "/nick": "@" };
/** @type {Record<string, "who" | "rooms" | "help">} */
const ALONE = { "/who": "who", "/rooms": "rooms", "/help": "help" };

/** @param {string} line  @returns {Action} */
export function parse(line) {
  if (!line.trim()) return { do: "nothing" };
  if (line.startsWith("//")) return { do: "say", text: line.slice(1), action: false };
  if (!line.startsWith("/")) return { do: "say", text: line, action: false };
  const [typed, named] = cut(line.trim());
  const word = typed.toLowerCase();
  const rest = word in MARKS ? withoutMark(named, MARKS[word]) : named;
  if (word in ALONE) return { do: ALONE[word] };
  if (word === "/leave") return { do: "leave", text: rest };
  if (word === "/me" && rest) return { do: "say", text: rest, action: true };
  if (word === "/msg" && rest) {
    const [to, text] = cut(rest);
    return text ? { do: "tell", to, text } : { do: "unclear", why: `/msg ${to} what?` };
  }
  if (word in WITH_TEXT && rest) return { do: WITH_TEXT[word], text: rest };
  if (word in WITH_TEXT || word === "/me" || word === "/msg") return { do: "unclear", why: `${word} what?` };
  return { do: "unclear", why: `There is no command ${word}. To say it, type a second slash: /${word}` };
}

/** Return a name without the leading mark. @param {string} name  @param {string} mark  @returns {string} */
function withoutMark(name, mark) {
  return name.startsWith(mark) && name.slice(1, 2).trim() ? name.slice(1) : name;
}

/** Return the first word and the rest. @param {string} text  @returns {string[]} */
function cut(text) {
  const word = text.split(/\s/u, 1)[0];
  return [word, text.slice(word.length).trimStart()];
}
