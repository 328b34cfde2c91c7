// Sets the chosen theme before the first paint, hence a blocking script of its own.
// The key and its values ("auto", "light", "dark") are those of Django's admin, so that one choice serves both.
(() => {
  "use strict";
  let theme = "auto";
  try {
    theme = localStorage.getItem("theme") || "auto";
  } catch {
    // Storage is closed to us: the system's theme it is.
  }
  document.documentElement.dataset.theme = theme;
})();
