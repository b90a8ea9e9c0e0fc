// Messages to the visitor. Each section has a live region, which screen readers read out.

import { NoResponse } from "./http.js";

const controls = document.querySelector("#controls");

export function say(section, text, kind = "info") {
  const message = section.querySelector(".message");
  message.textContent = text;
  message.dataset.kind = kind;
}

let last = Promise.resolve();

/** Run an action after those before it, and say so if the server cannot be reached. */
export function run(section, action) {
  last = last.then(action).catch((error) => {
    if (!(error instanceof NoResponse)) return reportError(error);
    say(section, "No response. Check that the demo still runs, then try again.", "error");
  });
}

/** Disable every button until an action ends; then return the focus that they have lost. */
export async function rest(action) {
  const focused = document.activeElement;
  controls.disabled = true;
  try {
    return await action();
  } finally {
    controls.disabled = false;
    if (document.activeElement === document.body) focused.focus({ preventScroll: true });
  }
}
