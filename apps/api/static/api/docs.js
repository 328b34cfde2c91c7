// Starts Swagger UI on the page of the REST API, and lets it follow the page between light and dark.
const place = document.getElementById("swagger");
const root = document.documentElement;
const dark = matchMedia("(prefers-color-scheme: dark)");

function followTheme() {
  const { theme } = root.dataset; // "auto", "light" or "dark"
  root.classList.toggle("dark-mode", theme === "dark" || (theme !== "light" && dark.matches));
}

followTheme();
dark.addEventListener("change", followTheme);
new MutationObserver(followTheme).observe(root, { attributeFilter: ["data-theme"] });

window.SwaggerUIBundle({
  url: place.dataset.schema,
  domNode: place,
  deepLinking: true,
  defaultModelsExpandDepth: 0, // the schemas, closed
  requestInterceptor(request) {
    request.headers["X-CSRFToken"] = place.dataset.csrf;
    return request;
  },
});
