// The buttons that provoke an error: each names the status that it expects.

import { bearer, json, send } from "./http.js";
import { run, say } from "./messages.js";
import { show } from "./wire.js";

const panel = document.querySelector("#wire");
const { profile, avatar, tokens, refresh } = document.body.dataset;

/** Make the buttons; `session` holds the tokens of who is signed in, `methods` what is allowed. */
export function offerErrors(session, methods) {
  const reading = {
    method: methods.includes("GET") ? "GET" : "POST",
    url: profile,
    headers: methods.includes("GET") ? {} : { "Content-Type": "application/json" },
  };
  const withToken = (token) => ({
    ...reading,
    headers: { ...bearer(token), ...reading.headers },
  });
  const made = async (name) => withToken(json(await send({ url: tokens, headers: {} }))[name]);
  const refused = otherMethod(methods);
  const errors = [
    ["No token", 401, () => reading],
    ["Expired token", 401, () => made("expired")],
    ["Tampered token", 401, () => withToken(tampered(session.access)), "own"],
    ["Refresh token", 401, () => withToken(session.refresh), "own"],
    ...(methods.includes("DELETE")
      ? [["Token not fresh", 401, () => staleDeletion(session.refresh), "own"]]
      : []),
    ["Inactive user", 401, () => made("inactive")],
    ["Deleted user", 404, () => made("deleted")],
    [`${refused.method} not allowed`, 405, () => refused],
  ];
  panel.querySelector("#own").hidden = Boolean(session.access);
  panel.querySelector(".errors").replaceChildren(
    ...errors.map(([label, status, request, own]) => {
      const button = document.createElement("button");
      const expected = document.createElement("span");
      expected.textContent = status;
      button.type = "button";
      button.append(label, " ", expected);
      button.disabled = own && !session.access;
      button.addEventListener("click", () => run(panel, () => provoke(request, status)));
      return button;
    }),
  );
}

async function provoke(request, expected) {
  const exchange = await send(await request());
  show(exchange);
  const answered = `${exchange.status} ${exchange.reason}`;
  if (exchange.status === expected) say(panel, `${answered}, as expected.`);
  else say(panel, `${answered}, but ${expected} was expected.`, "error");
}

/** Return a token with another signature. */
function tampered(token) {
  const [header, claims, signature] = token.split(".");
  return [header, claims, (signature[0] === "A" ? "B" : "A") + signature.slice(1)].join(".");
}

/** Return a deletion with a token that no password was entered for. */
async function staleDeletion(token) {
  const exchange = await send({ method: "POST", url: refresh, headers: bearer(token) });
  return { method: "DELETE", url: profile, headers: bearer(json(exchange).access) };
}

/** Return a request whose method is not allowed; GET where there is a place for it. */
function otherMethod(methods) {
  if (!methods.includes("GET")) return { method: "GET", url: profile, headers: {} };
  if (avatar) return { method: "GET", url: avatar, headers: {} };
  return { method: "PUT", url: profile, headers: {} };
}
