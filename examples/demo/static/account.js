// Deletion of the account: the password is asked for again, which gives a fresh token.

import { bearer, json, problem, send } from "./http.js";
import { run, say } from "./messages.js";
import { show } from "./wire.js";

const card = document.querySelector("#profile");
const form = card.querySelector("#confirm");
const opener = card.querySelector("#delete");
const password = form.querySelector("input");
const { profile: url, signIn } = document.body.dataset;

let session;

/** Offer the deletion to the user who is signed in, if the server allows it. */
export function offerDeletion(signedIn, methods) {
  session = signedIn;
  opener.hidden = !methods.includes("DELETE");
  close();
}

function close() {
  form.hidden = true;
  form.reset();
}

opener.addEventListener("click", () => {
  say(card, "");
  form.hidden = false;
  password.focus();
});

form.querySelector("#keep").addEventListener("click", () => {
  say(card, "");
  close();
  opener.focus();
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  run(card, deleteAccount);
});

async function deleteAccount() {
  const email = card.querySelector("[data-field=email]").textContent;
  const confirmed = await send({
    method: "POST",
    url: signIn,
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ email, password: password.value }),
  });
  show(confirmed);
  if (confirmed.status !== 200) {
    say(card, "This is not the password.", "error");
    return password.focus();
  }
  const exchange = await send({ method: "DELETE", url, headers: bearer(json(confirmed).access) });
  show(exchange);
  if (exchange.status !== 204) return say(card, problem(exchange), "error");
  close();
  for (const button of document.querySelectorAll("#sign-in [data-email]")) {
    if (button.dataset.email === email) button.parentElement.remove();
  }
  session.end("The account is deleted.", "info");
}
