// The panel with the last requests and their responses: one of them is shown.

import { curl } from "./curl.js";
import { send } from "./http.js";
import { say } from "./messages.js";
import { describeRequest, describeResponse, shortCurl } from "./text.js";

const panel = document.querySelector("#wire");
const part = (name) => panel.querySelector(`#${name}`);
const title = part("wire-title");
const headline = title.textContent;
const pager = panel.querySelector(".pager");
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const LIMIT = 10;

// Each has a request, a state until there is a response, and perhaps a note.
let exchanges = [];
let shown;

/** Send a request; show it at once, and its response when it is there. */
export async function transfer(request, deliver = send) {
  const exchange = { request, state: "Waiting for the response…" };
  const redraw = () => exchange === shown && draw();
  exchanges = [...exchanges, exchange].slice(-LIMIT);
  show(exchange);
  try {
    const response = await deliver(request, (state) => {
      exchange.state = state;
      redraw();
    });
    Object.assign(exchange, response, { state: "" });
  } catch (error) {
    exchange.state = "There was no response.";
    throw error;
  } finally {
    redraw();
  }
  return exchange;
}

/** Say something about an exchange, for as long as it is shown. */
export function note(exchange, text, kind) {
  exchange.note = [text, kind];
  if (exchange === shown) drawNote();
}

/** Forget all requests, and the tokens in them. */
export function clear() {
  exchanges = [];
  show();
}

/** Scroll the panel into view, if its title is not in the upper half of the window. */
export function reveal() {
  const { top } = title.getBoundingClientRect();
  if (top >= 0 && top < innerHeight / 2) return;
  panel.scrollIntoView({ behavior: calm.matches ? "auto" : "smooth" });
}

function show(exchange) {
  shown = exchange;
  part("nothing").hidden = Boolean(shown);
  part("exchange").hidden = pager.hidden = !shown;
  part("copied").textContent = "";
  drawNote();
  draw();
}

function drawNote() {
  say(panel, ...(shown?.note ?? [""]));
  panel.querySelector(".back").hidden = !shown?.note;
}

function draw() {
  const { request, status, state } = shown ?? {};
  const hasFailed = status >= 400 || (!status && state === "There was no response.");
  title.textContent = request
    ? `${request.method} ${new URL(request.url, location.href).pathname}`
    : headline;
  part("status").hidden = !status;
  part("status").textContent = status ?? "";
  part("status").dataset.kind = part("response").dataset.kind = hasFailed ? "error" : "info";
  write("request", request ? describeRequest(request) : []);
  write("response", status ? describeResponse(shown) : ["", state]);
  part("curl").textContent = request ? shortCurl(request) : "";
  const index = exchanges.indexOf(shown);
  part("position").textContent = `${index + 1} of ${exchanges.length}`;
  part("earlier").disabled = index <= 0;
  part("later").disabled = index + 1 >= exchanges.length;
}

function write(name, [line = "", rest = ""]) {
  const first = document.createElement("strong");
  first.textContent = line;
  part(name).replaceChildren(first, rest);
}

function turn(button, steps) {
  show(exchanges[exchanges.indexOf(shown) + steps]);
  // A disabled button cannot keep the focus.
  if (button.disabled) pager.querySelector("button:enabled").focus();
}

part("earlier").addEventListener("click", ({ currentTarget }) => turn(currentTarget, -1));
part("later").addEventListener("click", ({ currentTarget }) => turn(currentTarget, 1));

part("copy").addEventListener("click", async () => {
  const command = curl(shown.request);
  try {
    await navigator.clipboard.writeText(command);
    part("copied").textContent = "Copied.";
  } catch {
    // Without HTTPS, other hosts than this one have no clipboard.
    part("curl").textContent = command;
    getSelection().selectAllChildren(part("curl"));
    part("copied").textContent = "Selected: press Ctrl+C or ⌘C.";
  }
});
