// Sign-in, sign-out and the reset of the demo.

import "./account.js";
import "./avatar.js";
import "./editing.js";
import { offerErrors } from "./errors.js";
import { json, JSON_TYPE, problem, send } from "./http.js";
import { run, say } from "./messages.js";
import { forget, methods, open, prepare } from "./profile.js";
import { clear, transfer } from "./wire.js";

const section = document.querySelector("#sign-in");
const form = section.querySelector("form");
const { signIn: url, reset, password } = document.body.dataset;

// In memory only: no storage and no URL has a token, and a reload forgets them.
const session = { access: null, refresh: null, end };

async function signIn(credentials) {
  const body = JSON.stringify(credentials);
  const exchange = await transfer({ method: "POST", url, headers: JSON_TYPE, body });
  if (exchange.status !== 200) {
    return say(section, `Not signed in. ${problem(exchange)} Try another user.`, "error");
  }
  Object.assign(session, json(exchange));
  form.reset();
  say(section, "");
  section.hidden = true;
  offerErrors(session, methods);
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

section.querySelector(".users").addEventListener("click", ({ target }) => {
  const { email } = target.closest("button")?.dataset ?? {};
  if (email) run(section, () => signIn({ email, password }));
});

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
    const exchange = await send({ method: "POST", url: reset, headers: JSON_TYPE, body: "{}" });
    if (exchange.status !== 204) return end(`Not reset. ${problem(exchange)}`);
    const { body } = await send({ url: location.href, headers: {} });
    const page = new DOMParser().parseFromString(body, "text/html");
    section.querySelector(".users").replaceChildren(...page.querySelector(".users").children);
    clear();
    end("The demo is reset. Sign in.", "info");
  }),
);

run(section, async () => {
  await prepare();
  offerErrors(session, methods);
});
