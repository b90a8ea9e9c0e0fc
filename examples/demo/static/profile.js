// The card: reads and shows the profile of the user who is signed in.

import { allowed, bearer, json, JSON_TYPE, problem } from "./http.js";
import { run, say } from "./messages.js";
import { transfer } from "./wire.js";

export const card = document.querySelector("#profile");
export const part = (name) => card.querySelector(`#${name}`);
const at = (field) => card.querySelector(`[data-field=${field}]`);
const image = card.querySelector(".avatar img");
const initials = card.querySelector(".avatar span");
const badges = card.querySelector(".badges");
const { profile: url, avatar } = document.body.dataset;
const dates = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

export let methods = [];
export let session;
export let profile;
export let etag;
let avatarMethods = [];

/** Ask which methods this server allows. */
export async function prepare() {
  [methods, avatarMethods] = await Promise.all([allowed(url), allowed(avatar)]);
}

/** Read and show the profile of the user who has signed in. */
export async function open(signedIn) {
  session = signedIn;
  for (const form of card.querySelectorAll("form")) toggle(form, false);
  part("edit").hidden = !methods.includes("PATCH");
  part("delete").hidden = !methods.includes("DELETE");
  part("upload").hidden = !avatarMethods.includes("PUT");
  accept(await transfer(methods.includes("POST") ? post() : get()));
  card.hidden = !session.access; // It is gone if the profile was refused.
  part("name").focus();
}

/** Forget the profile. */
export function forget() {
  card.hidden = true;
  for (const form of card.querySelectorAll("form")) form.reset();
  profile = etag = undefined;
  draw({ username: "", email: "" });
}

const post = () => ({ method: "POST", url, headers: { ...bearer(session.access), ...JSON_TYPE } });

/** Return the request that reads the profile with its ETag, if the server allows it. */
export function get(conditions = {}) {
  if (!methods.includes("GET")) return post();
  return { method: "GET", url, headers: { ...bearer(session.access), ...conditions } };
}

/** Take over the profile of a response. If it has none, say why, or sign out. */
export function accept(exchange, done = "", failed = "") {
  if (exchange.status === 401 || exchange.status === 404) {
    session.end(`Signed out. ${problem(exchange)}`);
    return false;
  }
  if (exchange.status !== 200) {
    say(card, `${failed} ${problem(exchange)}`.trim(), "error");
    return false;
  }
  profile = json(exchange);
  etag = exchange.headers.get("ETag");
  draw(profile);
  say(card, done);
  return true;
}

/** Show a form instead of the buttons, or the buttons again. */
export function toggle(form, isOpen) {
  form.hidden = !isOpen;
  part("actions").hidden = isOpen;
}

function draw(shown) {
  const name = `${shown.first_name ?? ""} ${shown.last_name ?? ""}`.trim() || shown.username;
  part("name").textContent = name;
  for (const field of ["username", "email"]) at(field).textContent = shown[field];
  at("number_phone").textContent = shown.number_phone || "none";
  for (const field of ["date_joined", "last_login"]) drawTime(at(field), shown[field]);
  drawBadges({ Superuser: shown.is_superuser, Staff: shown.is_staff, Inactive: shown.is_active === false });

  initials.textContent = name.split(/\s+/).map((word) => word.charAt(0)).join("").slice(0, 2);
  initials.hidden = Boolean(shown.avatar);
  image.hidden = !shown.avatar;
  if (shown.avatar) image.src = shown.avatar;
  else image.removeAttribute("src");
  part("remove").hidden = !avatarMethods.includes("DELETE") || !shown.avatar;
}

function drawTime(place, value) {
  place.textContent = value ? dates.format(new Date(value)) : "never";
  if (value) place.dateTime = value;
  else place.removeAttribute("datetime");
}

function drawBadges(flags) {
  const names = Object.keys(flags).filter((name) => flags[name]);
  badges.hidden = !names.length;
  badges.replaceChildren(
    ...names.map((name) => {
      const item = document.createElement("li");
      item.textContent = name;
      return item;
    }),
  );
}

image.addEventListener("error", () => {
  image.hidden = true;
  initials.hidden = false;
});

part("read").addEventListener("click", () =>
  run(card, async () => {
    const exchange = await transfer(get(etag ? { "If-None-Match": etag } : {}));
    if (exchange.status === 304) say(card, "The profile has not changed.");
    else accept(exchange, "The profile is read again.", "Not read.");
  }),
);
