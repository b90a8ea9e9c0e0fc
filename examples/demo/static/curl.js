// A request as a command for a shell.

/** Quote a word for a POSIX shell: in single quotes, only a single quote is special. */
const quote = (word) => `'${word.replaceAll("'", "'\\''")}'`;

export function curl({ method, url, headers, body }) {
  const words = [`curl -i -X ${method} ${quote(new URL(url, location.href).href)}`];
  for (const [name, value] of Object.entries(headers)) words.push(`-H ${quote(`${name}: ${value}`)}`);
  if (body instanceof File) words.push(`--data-binary ${quote(`@${body.name}`)}`);
  else if (body) words.push(`--data-raw ${quote(body)}`);
  return words.join(" \\\n  ");
}
