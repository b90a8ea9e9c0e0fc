// The buttons that provoke an error. Each names the status that it expects.

import { bearer, json, JSON_TYPE, send } from "./http.js";
import { rest, run } from "./messages.js";
import { note, reveal, transfer } from "./wire.js";

const panel = document.querySelector("#errors");
const wire = document.querySelector("#wire");
const { profile: url, tokens, refresh, lock } = document.body.dataset;
const CHANGE = JSON.stringify({ last_name: "Changed" });
const TOO_LONG = JSON.stringify({ last_name: "x".repeat(100 * 1024) });

/** Make the buttons; `session` has the tokens of the user, `methods` are the allowed methods. */
export function offerErrors(session, methods) {
  const errors = listErrors(session, methods).sort((one, other) => one.status - other.status);
  panel.querySelector("#own").hidden = Boolean(session.access);
  panel.querySelector("#busy").hidden = !methods.includes("PATCH");
  panel.querySelector(".errors").replaceChildren(...errors.map((error) => button(error, session)));
}

function button(error, session) {
  const made = document.createElement("button");
  const expected = document.createElement("span");
  expected.textContent = error.status;
  made.type = "button";
  made.append(expected, " ", error.label);
  made.disabled = error.isOwn && !session.access;
  const action = () => provoke(error);
  const isSlow = error.status === 503;
  made.addEventListener("click", () => run(wire, isSlow ? () => rest(action) : action));
  return made;
}

async function provoke({ status, advice, request }) {
  reveal();
  const exchange = await transfer(await request());
  const outcome = `${exchange.status} ${exchange.reason}`;
  if (exchange.status === status) note(exchange, `${outcome}, as expected. ${advice}`);
  else note(exchange, `${outcome}, but ${status} was expected.`, "error");
}

/** Return what each button expects, says and sends; `isOwn` if it needs a token of the user. */
function listErrors(session, methods) {
  const own = [
    ...listErrorsOfTokens(session, methods),
    ...(methods.includes("PATCH") ? listErrorsOfEdits(session) : []),
  ];
  const name = (isOwn) => ([status, label, advice, request]) =>
    ({ status, label, advice, request, isOwn });
  return [...listErrorsOfReads(methods).map(name(false)), ...own.map(name(true))];
}

function read(methods, token) {
  const headers = token ? bearer(token) : {};
  return methods.includes("POST")
    ? { method: "POST", url, headers: { ...headers, ...JSON_TYPE } }
    : { method: "GET", url, headers };
}

function listErrorsOfReads(methods) {
  const withDemoToken = async (name) =>
    read(methods, json(await send({ url: tokens, headers: {} }))[name]);
  const other = methods.includes("GET") ? "PUT" : "GET";
  return [
    [401, "No token", "Send an access token.", () => read(methods)],
    [401, "Expired token", "Get a new access token with the refresh token.",
      () => withDemoToken("expired")],
    [401, "Inactive user", "Sign the user out, and say that the account is inactive.",
      () => withDemoToken("inactive")],
    [404, "Deleted user", "Sign the user out.", () => withDemoToken("deleted")],
    [405, `${other} not allowed`, "Use one of the methods in Allow.",
      () => ({ method: other, url, headers: {} })],
  ];
}

function listErrorsOfTokens(session, methods) {
  const deleteWithStaleToken = async () => {
    const headers = bearer(session.refresh);
    const refreshed = await transfer({ method: "POST", url: refresh, headers });
    return { method: "DELETE", url, headers: bearer(json(refreshed).access) };
  };
  const errors = [
    [401, "Tampered token", "Ask the user to sign in again.",
      () => read(methods, tamper(session.access))],
    [401, "Refresh token", "Send the access token instead.", () => read(methods, session.refresh)],
    [401, "Token not fresh", "Ask for the password again, then send the fresh token.",
      deleteWithStaleToken],
  ];
  return methods.includes("DELETE") ? errors : errors.slice(0, 2);
}

function listErrorsOfEdits(session) {
  const edit = (body, headers = {}) => ({
    method: "PATCH",
    url,
    headers: { ...bearer(session.access), ...JSON_TYPE, ...headers },
    body,
  });
  const editDuringLock = async () => {
    await transfer({ method: "POST", url: lock, headers: JSON_TYPE, body: "{}" });
    return edit(CHANGE);
  };
  return [
    [400, "Read-only field", "Show each message beside its field.",
      () => edit(JSON.stringify({ is_staff: true }))],
    [412, "Outdated ETag", "Read the profile again, then repeat the edit.",
      () => edit(CHANGE, { "If-Match": '"outdated"' })],
    [413, "Body too large", "Send fewer bytes.", () => edit(TOO_LONG)],
    [415, "Body not JSON", "Send one of the types in Accept-Patch.",
      () => edit("Changed", { "Content-Type": "text/plain" })],
    [503, "Database busy", "Wait for the seconds in Retry-After, then send the request again.",
      editDuringLock],
  ];
}

/** Return a token with another signature. */
function tamper(token) {
  const [header, claims, signature] = token.split(".");
  return [header, claims, (signature[0] === "A" ? "B" : "A") + signature.slice(1)].join(".");
}
