// Sign-in and sign-out, and what they show.

import { offerDeletion } from "./account.js";
import { offerErrors } from "./errors.js";
import { json, problem, send } from "./http.js";
import { run, say } from "./messages.js";
import { forget, methods, open, prepare } from "./profile.js";
import { clear, show } from "./wire.js";

const section = document.querySelector("#sign-in");
const form = section.querySelector("form");
const { signIn: url, reset, password } = document.body.dataset;

// In memory only: no storage and no URL has a token, and a reload forgets them.
const session = { access: null, refresh: null, end };

async function signIn(credentials) {
  const headers = { "Content-Type": "application/json" };
  const exchange = await send({ method: "POST", url, headers, body: JSON.stringify(credentials) });
  show(exchange);
  if (exchange.status !== 200) return say(section, problem(exchange), "error");
  Object.assign(session, json(exchange));
  form.reset();
  say(section, "");
  section.hidden = true;
  offerErrors(session, methods);
  offerDeletion(session, methods);
  await open(session);
}

/** Forget the tokens and what was shown with them. */
function end(reason = "", kind = "error") {
  Object.assign(session, { access: null, refresh: null });
  forget();
  offerErrors(session, methods);
  section.hidden = false;
  say(section, reason, kind);
  section.querySelector("h2").focus();
}

for (const button of section.querySelectorAll("[data-email]")) {
  const credentials = { email: button.dataset.email, password };
  button.addEventListener("click", () => run(section, () => signIn(credentials)));
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const credentials = Object.fromEntries(new FormData(form));
  run(section, () => signIn(credentials));
});

document.querySelector("#sign-out").addEventListener("click", () =>
  run(section, () => {
    clear();
    end();
  }),
);

document.querySelector("#reset").addEventListener("click", () =>
  run(section, async () => {
    const headers = { "Content-Type": "application/json" };
    const exchange = await send({ method: "POST", url: reset, headers, body: "{}" });
    if (exchange.status === 204) location.reload();
    else say(section, problem(exchange), "error");
  }),
);

run(section, async () => {
  await prepare();
  offerErrors(session, methods);
});
