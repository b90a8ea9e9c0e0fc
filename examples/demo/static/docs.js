// The viewer of the OpenAPI document; the bundle beside this file has made SwaggerUIBundle.

const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();

window.SwaggerUIBundle({
  dom_id: "#viewer",
  url: document.body.dataset.document,
  validatorUrl: null, // It would send the document to another server.
});
