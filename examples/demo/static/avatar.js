// Upload and removal of the avatar.

import { bearer, send, upload } from "./http.js";
import { rest, run, say } from "./messages.js";
import { accept, card, get, part, session } from "./profile.js";
import { transfer } from "./wire.js";

const file = part("file");
const bar = part("progress");
const progress = card.querySelector(".progress");
const { avatar: url } = document.body.dataset;

file.addEventListener("change", () => {
  const [chosen] = file.files;
  if (chosen) run(card, () => rest(() => uploadImage(chosen)));
});

async function uploadImage(chosen) {
  const type = chosen.type || "application/octet-stream";
  const headers = { ...bearer(session.access), "Content-Type": type };
  const request = { method: "PUT", url, headers, body: chosen };
  say(card, "");
  drawProgress(0);
  progress.hidden = false;
  try {
    const exchange = await transfer(request, (_, report) =>
      upload(request, (share) => report(drawProgress(share))),
    );
    accept(exchange, "The image is uploaded.", "Not uploaded.");
  } finally {
    progress.hidden = true;
    file.value = ""; // So that the same file can be chosen again.
  }
}

/** Show which share of the image is sent, and return it as a text. */
function drawProgress(share) {
  const percentage = `${Math.floor(share * 100)} %`;
  bar.value = share;
  part("share").textContent = percentage;
  return share < 1 ? `${percentage} of the image is sent.` : "Waiting for the response…";
}

part("remove").addEventListener("click", () =>
  run(card, async () => {
    const exchange = await transfer({ method: "DELETE", url, headers: bearer(session.access) });
    if (exchange.status !== 204) return accept(exchange, "", "Not removed.");
    if (accept(await send(get()), "The image is removed.")) {
      file.focus(); // The button that had the focus is gone.
    }
  }),
);
