// The form that edits the profile.

import { bearer, json, JSON_TYPE, send } from "./http.js";
import { run, say } from "./messages.js";
import { accept, card, etag, get, part, profile, session, toggle } from "./profile.js";
import { transfer } from "./wire.js";

const form = part("changes");
const fields = [...form.querySelectorAll("input")];
const { profile: url } = document.body.dataset;

part("edit").addEventListener("click", () =>
  run(card, async () => {
    if (!accept(await transfer(get()), "", "Not read.")) return;
    for (const input of fields) input.value = profile[input.name] ?? "";
    markErrors({});
    toggle(form, true);
    fields[0].focus();
  }),
);

part("cancel").addEventListener("click", () => {
  say(card, "");
  close();
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  run(card, save);
});

function close() {
  toggle(form, false);
  part("edit").focus();
}

async function save() {
  const exchange = await transfer({
    method: "PATCH",
    url,
    headers: { ...bearer(session.access), ...JSON_TYPE, ...(etag && { "If-Match": etag }) },
    body: JSON.stringify(changes()),
  });
  markErrors({});
  if (exchange.status === 412) return merge();
  if (exchange.status === 400 && markErrors(json(exchange))) {
    return say(card, "Not saved. Check the highlighted fields.", "error");
  }
  if (accept(exchange, "Saved.", "Not saved.")) close();
}

/** Return the merge patch (RFC 7396) of what was typed. */
function changes() {
  const typed = fields.filter(({ name, value }) => value !== (profile[name] ?? ""));
  return Object.fromEntries(
    typed.map(({ name, value }) => [name, name === "number_phone" && !value ? null : value]),
  );
}

/** Put the messages beside their fields, go to the first, and return it. */
function markErrors(messages) {
  const wrong = fields.filter((input) => {
    const message = [messages[input.name] ?? []].flat().join(" ");
    form.querySelector(`#${input.name}-error`).textContent = message;
    input.removeAttribute("aria-invalid");
    input.removeAttribute("aria-describedby");
    if (!message) return false;
    input.setAttribute("aria-invalid", "true");
    input.setAttribute("aria-describedby", `${input.name}-error`);
    return true;
  });
  wrong[0]?.focus();
  return wrong[0];
}

/** Read the profile that was changed elsewhere, and keep what was typed. */
async function merge() {
  const typed = changes();
  if (!accept(await send(get()), "", "Not saved.")) return;
  for (const input of fields) if (!(input.name in typed)) input.value = profile[input.name] ?? "";
  say(
    card,
    "Not saved. The profile was changed elsewhere and is read again; your changes are kept. " +
      "Check both, then save again.",
    "error",
  );
}
