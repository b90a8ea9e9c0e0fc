// One request and its answer, in the one form that the rest of the page works with.

/** The server could not be reached. */
export class NoAnswer extends Error {}

/** Send a request, and resolve to what went over the wire, both ways. */
export async function send(request) {
  const { method, url, headers, body } = request;
  // Without the browser's cache, which would hide a 304 and show what it had kept.
  const answer = await fetch(url, { method, headers, body, cache: "no-store" }).catch((error) => {
    throw new NoAnswer(error.message);
  });
  return {
    request,
    status: answer.status,
    reason: answer.statusText,
    headers: answer.headers,
    body: await answer.text(),
  };
}

/** Do the same with XMLHttpRequest, which tells how much is sent; fetch does not. */
export function upload(request, onProgress) {
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest();
    sending.upload.onprogress = ({ loaded, total }) => onProgress(loaded / total);
    sending.onerror = () => reject(new NoAnswer("The upload was cut off."));
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

/** Return the JSON of an answer, or an empty object where it is none. */
export function json({ body }) {
  try {
    return JSON.parse(body);
  } catch {
    return {};
  }
}

/** Return what an answer says is wrong. */
export function problem(exchange) {
  const { detail, error } = json(exchange);
  return detail ?? error ?? `The server answers ${exchange.status} ${exchange.reason}.`;
}

export const bearer = (token) => ({ Authorization: `Bearer ${token}` });

/** Return the methods that a resource names in Allow; none where there is no resource. */
export async function allowed(url) {
  if (!url) return [];
  const { headers } = await send({ method: "OPTIONS", url, headers: {} });
  return (headers.get("Allow") ?? "").split(", ");
}
