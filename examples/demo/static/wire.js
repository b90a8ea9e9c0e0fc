// The panel that shows the last request and response, and the same request as a curl command.

import { curl } from "./curl.js";
import { say } from "./messages.js";

const panel = document.querySelector("#wire");
const part = (name) => panel.querySelector(`#${name}`);
const SPELLED = { etag: "ETag", "www-authenticate": "WWW-Authenticate" };

export function show(exchange) {
  const { request, status, reason, headers, body } = exchange;
  const { pathname } = new URL(request.url, location.href);
  const answered = [...headers].map(([name, value]) => [spelled(name), value]);
  write(
    part("request"),
    `${request.method} ${pathname} HTTP/1.1`,
    [["Host", location.host], ...Object.entries(request.headers)],
    request.body instanceof File ? `(${request.body.size} bytes of ${request.body.name})` : request.body,
  );
  write(part("response"), `HTTP/1.1 ${status} ${reason}`, answered, body);
  part("response").dataset.kind = status < 400 ? "info" : "error";
  part("curl").textContent = curl(request);
  part("nothing").hidden = true;
  part("exchange").hidden = false;
  say(panel, "");
}

/** Forget the last request: its token, too, is to go with who signs out. */
export function clear() {
  for (const name of ["request", "response", "curl"]) part(name).textContent = "";
  part("nothing").hidden = false;
  part("exchange").hidden = true;
  say(panel, "");
}

/** Write a header's name as it is usually spelled; the browser gives it in small letters. */
const spelled = (name) => SPELLED[name] ?? name.replace(/\b[a-z]/g, (letter) => letter.toUpperCase());

function write(place, line, headers, body) {
  const first = document.createElement("strong");
  first.textContent = line;
  const rest = headers.map(([name, value]) => `\n${name}: ${value}`).join("");
  place.replaceChildren(first, rest, body ? `\n\n${pretty(body)}` : "");
}

function pretty(body) {
  try {
    return JSON.stringify(JSON.parse(body), null, 2);
  } catch {
    return body;
  }
}

part("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(part("curl").textContent);
    say(panel, "The command is copied.");
  } catch {
    // Without HTTPS, other hosts than this one have no clipboard.
    getSelection().selectAllChildren(part("curl"));
    say(panel, "The command is selected: copy it with your keyboard.");
  }
});
