import { invitation, isLoopback } from "/static/invite.js";
import { check, equal } from "./checks.js";

const host = (/** @type {string} */ url) => new URL(url).hostname;

check("an address that means this computer on every computer is a loopback address", () => {
  for (const url of [
    ...[
      "http://127.0.0.1:5555",
      "http://127.1",
      "http://127.200.3.4",
      "http://2130706433",
      "http://localhost",
    ],
    ...[
      "http://LOCALHOST",
      "http://localhost.",
      "http://chat.localhost",
      "http://[::1]:5555",
      "http://0.0.0.0",
    ],
    ...["http://[::ffff:127.0.0.1]", "http://[0:0:0:0:0:0:0:1]", "http://[::]"],
  ])
    equal(isLoopback(host(url)), true, url);
});

check("other addresses are not, however much they look like one", () => {
  for (const url of [
    ...["http://192.168.1.20", "http://10.0.0.1", "http://chat.example", "http://localhost.example"],
    ...[
      "http://mylocalhost",
      "http://127.example.org",
      "http://128.0.0.1",
      "http://[fe80::1]",
      "http://[2001:db8::1]",
    ],
    "http://[::ffff:192.168.1.20]",
  ])
    equal(isLoopback(host(url)), false, url);
});

check("on this computer the invitation is a command, elsewhere the address is enough", () => {
  const command = (hostname, port) => invitation({ hostname, port }).command;
  equal(command("127.0.0.1", "5555"), "trio-chat serve --host 0.0.0.0");
  equal(command("[::1]", "8080"), "trio-chat serve --host 0.0.0.0 --port 8080");
  equal(command("localhost", ""), "trio-chat serve --host 0.0.0.0 --port 80");
  equal(invitation({ hostname: "chat.example", port: "5555" }), {
    text: "Give others this address, and they can join you:",
    command: "",
  });
});
