// One request and its response, in the form that the rest of the page works with.

/** The server could not be reached. */
export class NoResponse extends Error {}

/** Send a request, and resolve to the request and its response. */
export async function send(request) {
  const { method, url, headers, body } = request;
  // Without the browser's cache, which would hide a 304 and show what it has stored.
  const response = await fetch(url, { method, headers, body, cache: "no-store" }).catch((error) => {
    throw new NoResponse(error.message);
  });
  return {
    request,
    status: response.status,
    reason: response.statusText,
    headers: response.headers,
    body: await response.text(),
  };
}

/** Do the same with XMLHttpRequest, which reports how much is sent; fetch does not. */
export function upload(request, onProgress) {
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest();
    sending.upload.onprogress = ({ loaded, total }) => onProgress(loaded / total);
    sending.onerror = () => reject(new NoResponse("The upload was interrupted."));
    sending.onload = () => {
      const lines = sending.getAllResponseHeaders().trim().split("\r\n");
      resolve({
        request,
        status: sending.status,
        reason: sending.statusText,
        headers: new Headers(lines.map((line) => line.split(/: (.*)/s, 2))),
        body: sending.responseText,
      });
    };
    sending.open(request.method, request.url);
    for (const header of Object.entries(request.headers)) sending.setRequestHeader(...header);
    sending.send(request.body);
  });
}

/** Return the JSON of a response, or an empty object if it has none. */
export function json({ body }) {
  try {
    return JSON.parse(body);
  } catch {
    return {};
  }
}

/** Return what a response says is wrong, and when to try again. */
export function problem(exchange) {
  const { detail, error } = json(exchange);
  const text = detail ?? error ?? `The response was ${exchange.status} ${exchange.reason}.`;
  const seconds = exchange.headers.get("Retry-After");
  return seconds ? `${text} Try again in ${seconds} s.` : text;
}

export const bearer = (token) => ({ Authorization: `Bearer ${token}` });

export const JSON_TYPE = { "Content-Type": "application/json" };

/** Return the methods that a resource names in Allow, or none if there is no resource. */
export async function allowed(url) {
  if (!url) return [];
  const { headers } = await send({ method: "OPTIONS", url, headers: {} });
  return (headers.get("Allow") ?? "").split(", ");
}
