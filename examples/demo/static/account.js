// Deletion of the account: the page asks for the password again, to get a fresh token.

import { bearer, json, JSON_TYPE, problem } from "./http.js";
import { run, say } from "./messages.js";
import { card, part, profile, session, toggle } from "./profile.js";
import { transfer } from "./wire.js";

const form = part("confirm");
const password = part("confirm-password");
const { profile: url, signIn } = document.body.dataset;

part("delete").addEventListener("click", () => {
  say(card, "");
  form.reset();
  toggle(form, true);
  password.focus();
});

part("keep").addEventListener("click", () => {
  say(card, "");
  toggle(form, false);
  part("delete").focus();
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  run(card, deleteAccount);
});

async function deleteAccount() {
  const { email } = profile;
  const confirmed = await transfer({
    method: "POST",
    url: signIn,
    headers: JSON_TYPE,
    body: JSON.stringify({ email, password: password.value }),
  });
  if (confirmed.status !== 200) {
    say(card, "Not deleted. The password is wrong; enter it again.", "error");
    return password.focus();
  }
  const headers = bearer(json(confirmed).access);
  const exchange = await transfer({ method: "DELETE", url, headers });
  if (exchange.status !== 204) return say(card, `Not deleted. ${problem(exchange)}`, "error");
  form.reset();
  for (const button of document.querySelectorAll("#sign-in [data-email]")) {
    if (button.dataset.email === email) button.parentElement.remove();
  }
  session.end("The account is deleted. To bring it back, reset the demo.", "info");
}
