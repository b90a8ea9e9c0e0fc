// Requests and responses as text, short enough to read.

import { curl } from "./curl.js";

const SPELLED = { etag: "ETag", "www-authenticate": "WWW-Authenticate" };
const TOKEN = /\b(eyJ[\w-]{7})[\w-]*\.[\w-]+\.[\w-]*([\w-]{3})/g;
const LONGEST_BODY = 1000;

/** Leave out the middle of each token, and let no line end there. */
const shortenTokens = (text) => text.replace(TOKEN, "$1…\u2060$2");

/** Leave out the end of a long body. */
function shortenBody(body) {
  if (typeof body !== "string" || body.length <= LONGEST_BODY) return body;
  return `${body.slice(0, 60)}… (${body.length.toLocaleString("en")} bytes)`;
}

/** Return a request as its first line and the rest. */
export function describeRequest({ method, url, headers, body }) {
  const { pathname } = new URL(url, location.href);
  const size = body instanceof File && `(${body.size.toLocaleString("en")} bytes of ${body.name})`;
  return [
    `${method} ${pathname} HTTP/1.1`,
    write([["Host", location.host], ...Object.entries(headers)], size || shortenBody(body)),
  ];
}

/** Return a response as its first line and the rest. */
export function describeResponse({ status, reason, headers, body }) {
  const spelled = [...headers].map(([name, value]) => [spell(name), value]);
  return [`HTTP/1.1 ${status} ${reason}`, write(spelled, body)];
}

/** Return the curl command of a request with short tokens and a short body. */
export const shortCurl = (request) =>
  shortenTokens(curl({ ...request, body: shortenBody(request.body) }));

/** Write a header's name as it is usually spelled; the browser returns it in small letters. */
const spell = (name) => SPELLED[name] ?? name.replace(/\b[a-z]/g, (letter) => letter.toUpperCase());

function write(headers, body) {
  const lines = headers.map(([name, value]) => `\n${name}: ${value}`).join("");
  return shortenTokens(body ? `${lines}\n\n${indent(body)}` : lines);
}

function indent(body) {
  try {
    return JSON.stringify(JSON.parse(body), null, 2);
  } catch {
    return body;
  }
}
