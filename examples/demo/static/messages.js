// What is said to the reader, by eye and by ear: each section has a live region.

import { NoAnswer } from "./http.js";

export function say(section, text, kind = "info") {
  const message = section.querySelector(".message");
  message.textContent = text;
  message.dataset.kind = kind;
}

let last = Promise.resolve();

/** Run an action after those before it, and say so where the server cannot be reached. */
export function run(section, action) {
  last = last.then(action).catch((error) => {
    if (!(error instanceof NoAnswer)) return reportError(error);
    say(section, "The server has not answered. Is the demo still running?", "error");
  });
}
