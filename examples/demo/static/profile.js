// The card: the profile, its edits and its avatar.

import { allowed, bearer, json, problem, send, upload } from "./http.js";
import { run, say } from "./messages.js";
import { show } from "./wire.js";

const card = document.querySelector("#profile");
const form = card.querySelector("#changes");
const picture = card.querySelector(".avatar img");
const initials = card.querySelector(".avatar span");
const progress = card.querySelector(".progress");
const file = card.querySelector("#file");
const part = (name) => card.querySelector(`#${name}`);
const { profile: url, avatar } = document.body.dataset;
const dates = new Intl.DateTimeFormat(undefined, { dateStyle: "long", timeStyle: "short" });
const JSON_TYPE = { "Content-Type": "application/json" };

export let methods = [];
let avatarMethods = [];
let session;
let profile;
let etag;

/** Ask what this server lets its users do. */
export async function prepare() {
  [methods, avatarMethods] = await Promise.all([allowed(url), allowed(avatar)]);
}

/** Read and show the profile of who is signed in. */
export async function open(signedIn) {
  session = signedIn;
  close();
  await load(show);
  card.hidden = !session.access; // Which is gone where the profile was refused.
  part("name").focus();
}

/** Forget the profile. */
export function forget() {
  card.hidden = true;
  profile = etag = undefined;
  draw({ username: "", email: "" });
}

async function load(note = () => {}) {
  const exchange = await send(
    methods.includes("GET")
      ? { method: "GET", url, headers: bearer(session.access) }
      : { method: "POST", url, headers: { ...bearer(session.access), ...JSON_TYPE } },
  );
  note(exchange);
  return accept(exchange);
}

/** Take over the profile of an answer; where it has none, say why, or sign out. */
function accept(exchange, done = "") {
  if (exchange.status === 401 || exchange.status === 404) {
    session.end(problem(exchange));
    return false;
  }
  if (exchange.status !== 200) {
    say(card, problem(exchange), "error");
    return false;
  }
  profile = json(exchange);
  etag = exchange.headers.get("ETag");
  draw(profile);
  say(card, done);
  return true;
}

function draw(shown) {
  const name = `${shown.first_name ?? ""} ${shown.last_name ?? ""}`.trim() || shown.username;
  part("name").textContent = name;
  for (const field of ["username", "email"]) at(field).textContent = shown[field];
  at("number_phone").textContent = shown.number_phone || "none";
  for (const field of ["date_joined", "last_login"]) drawTime(at(field), shown[field]);

  const badges = { Superuser: shown.is_superuser, Staff: shown.is_staff, Inactive: shown.is_active === false };
  const held = Object.keys(badges).filter((badge) => badges[badge]);
  card.querySelector(".badges").hidden = !held.length;
  card.querySelector(".badges").replaceChildren(
    ...held.map((badge) => {
      const item = document.createElement("li");
      item.textContent = badge;
      return item;
    }),
  );

  initials.textContent = name.split(/\s+/).map((word) => word.charAt(0)).join("").slice(0, 2);
  initials.hidden = Boolean(shown.avatar);
  picture.hidden = !shown.avatar;
  if (shown.avatar) picture.src = shown.avatar;
  else picture.removeAttribute("src");

  part("edit").hidden = !methods.includes("PATCH") || !form.hidden;
  part("upload").hidden = !avatarMethods.includes("PUT");
  part("remove").hidden = !avatarMethods.includes("DELETE") || !shown.avatar;
}

const at = (field) => card.querySelector(`[data-field=${field}]`);

function drawTime(place, value) {
  place.textContent = value ? dates.format(new Date(value)) : "never";
  if (value) place.dateTime = value;
  else place.removeAttribute("datetime");
}

picture.addEventListener("error", () => {
  picture.hidden = true;
  initials.hidden = false;
});

part("edit").addEventListener("click", () => {
  for (const input of fields()) input.value = profile[input.name] ?? "";
  markErrors({});
  say(card, "");
  form.hidden = false;
  part("edit").hidden = true;
  fields()[0].focus();
});

part("cancel").addEventListener("click", () => {
  say(card, "");
  close();
  part("edit").focus();
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  run(card, save);
});

const fields = () => [...form.querySelectorAll("input")];

function close() {
  form.hidden = true;
  part("edit").hidden = !methods.includes("PATCH") || !profile;
}

async function save() {
  const exchange = await send({
    method: "PATCH",
    url,
    headers: { ...bearer(session.access), ...JSON_TYPE, ...(etag && { "If-Match": etag }) },
    body: JSON.stringify(changes()),
  });
  show(exchange);
  markErrors({});
  if (exchange.status === 412) return merge();
  const messages = exchange.status === 400 ? markErrors(json(exchange)) : [];
  if (messages.length) return say(card, "It is not saved: see the fields.", "error");
  if (accept(exchange, "Saved.")) {
    close();
    part("edit").focus();
  }
}

/** Return the merge patch (RFC 7396) of what was typed. */
function changes() {
  const typed = fields().filter(({ name, value }) => value !== (profile[name] ?? ""));
  return Object.fromEntries(
    typed.map(({ name, value }) => [name, name === "number_phone" && !value ? null : value]),
  );
}

/** Put the messages beside their fields, go to the first, and return the fields that have one. */
function markErrors(messages) {
  const wrong = fields().filter((input) => {
    const message = [messages[input.name] ?? []].flat().join(" ");
    form.querySelector(`#${input.name}-error`).textContent = message;
    input.toggleAttribute("aria-invalid", false);
    input.removeAttribute("aria-describedby");
    if (!message) return false;
    input.setAttribute("aria-invalid", "true");
    input.setAttribute("aria-describedby", `${input.name}-error`);
    return true;
  });
  wrong[0]?.focus();
  return wrong;
}

/** Read the profile that another has changed, and keep what was typed on top of it. */
async function merge() {
  const typed = changes();
  if (!(await load())) return;
  for (const input of fields()) if (!(input.name in typed)) input.value = profile[input.name] ?? "";
  say(
    card,
    "Not saved: the profile has changed since it was read. It has been read again, " +
      "and what you typed is kept. Look at both, then save once more.",
    "error",
  );
}

file.addEventListener("change", () => {
  const [chosen] = file.files;
  if (chosen) run(card, () => uploadAvatar(chosen));
});

async function uploadAvatar(chosen) {
  const type = chosen.type || "application/octet-stream";
  const headers = { ...bearer(session.access), "Content-Type": type };
  const request = { method: "PUT", url: avatar, headers, body: chosen };
  const bar = part("progress");
  bar.value = 0;
  progress.hidden = false;
  say(card, "");
  try {
    const exchange = await upload(request, (share) => (bar.value = share));
    show(exchange);
    accept(exchange, "The picture is uploaded.");
  } finally {
    progress.hidden = true;
    file.value = ""; // So that the same file can be chosen again.
  }
}

part("remove").addEventListener("click", () =>
  run(card, async () => {
    const exchange = await send({ method: "DELETE", url: avatar, headers: bearer(session.access) });
    show(exchange);
    if (exchange.status !== 204) return accept(exchange);
    if (await load()) {
      say(card, "The picture is removed.");
      file.focus(); // The button that had the focus is gone.
    }
  }),
);
