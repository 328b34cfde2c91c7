// What every page has: menus and dialogs, keys, long work, copying, and the loading of the elements a page uses.

const script = document.getElementById("app-script");

// --- custom elements: each module is fetched when its element first stands on the page -----------------------------
const MODULES = {
  "drop-zone": "dropZone",
  "sample-selection": "sampleSelection",
  "line-chart": "lineChart",
  "paste-image": "pasteImage",
  "crop-box": "cropBox",
};
const loaded = new Set();

function loadElements(root = document) {
  for (const [name, key] of Object.entries(MODULES)) {
    if (!loaded.has(name) && (root.matches?.(name) || root.querySelector(name))) {
      loaded.add(name);
      import(script.dataset[key]);
    }
  }
}

class CopyButton extends HTMLElement {
  connectedCallback() {
    this.querySelector("button")?.addEventListener("click", (event) => this.copy(event.currentTarget));
  }

  async copy(button) {
    const source = this.getAttribute("for")
      ? document.getElementById(this.getAttribute("for"))
      : this.closest(".copy")?.querySelector("code");
    const text = this.getAttribute("text") ?? source?.value ?? source?.textContent ?? "";
    const words = button.textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      // Without a secure origin there is no clipboard: select the text, and the person copies it.
      if (source) getSelection().selectAllChildren(source);
      button.textContent = "Press Ctrl+C";
    }
    say(button.textContent);
    setTimeout(() => (button.textContent = words), 1600);
  }
}
customElements.define("copy-button", CopyButton);

/** Tells a screen reader. */
function say(text) {
  document.getElementById("live").textContent = text;
}

// --- theme ---------------------------------------------------------------------------------------------------------
const THEMES = ["auto", "light", "dark"];

function nameTheme() {
  const theme = document.documentElement.dataset.theme || "auto";
  const words = `Theme: ${theme === "auto" ? "as the system" : theme}`;
  for (const button of document.querySelectorAll("[data-theme-toggle]")) {
    button.setAttribute("aria-label", words);
    button.title = words;
  }
}

function nextTheme() {
  const theme = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length];
  document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem("theme", theme);
  } catch {
    // The choice lasts as long as the page.
  }
  nameTheme();
  document.dispatchEvent(new CustomEvent("theme-change"));
}

// --- clicks and keys -----------------------------------------------------------------------------------------------
document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-opens]");
  if (opener?.dataset.opens === "key-sheet") showKeys();
  else if (opener) document.getElementById(opener.dataset.opens)?.showModal();
  if (event.target.closest("[data-theme-toggle]")) nextTheme();
  if (event.target.closest("[data-back]") && history.length > 1) {
    event.preventDefault();
    history.back();
  }
  // A click on a dialog's backdrop lands on the dialog itself.
  if (event.target instanceof HTMLDialogElement) {
    const box = event.target.getBoundingClientRect();
    const inside =
      event.clientX >= box.left && event.clientX <= box.right && event.clientY >= box.top && event.clientY <= box.bottom;
    if (!inside) event.target.close();
  }
});

/** Whether the keys belong to a field rather than to the page. */
function isTyping(target) {
  return target.closest?.("input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable], dialog[open]");
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  if (event.key === "?") {
    showKeys();
  } else if (event.key === "/") {
    const field = document.querySelector("main [data-filter], main .filters input[type=search], main input[type=search]");
    if (!field) return;
    event.preventDefault();
    field.focus();
    field.select();
  }
});

/** Opens the sheet of keys; elements name theirs in a static `keys` table: [["x", "Select the photo"], ...]. */
function showKeys() {
  const sheet = document.getElementById("key-sheet");
  const list = sheet.querySelector("[data-keys]");
  for (const row of list.querySelectorAll("[data-own]")) row.remove();
  for (const name of Object.keys(MODULES)) {
    const element = document.querySelector(name);
    for (const [keys, words] of element?.constructor.keys ?? []) {
      const row = document.createElement("div");
      const term = document.createElement("dt");
      const what = document.createElement("dd");
      row.dataset.own = "";
      for (const key of keys.split(" ")) {
        const cap = document.createElement("kbd");
        cap.textContent = key;
        term.append(cap, " ");
      }
      what.textContent = words;
      row.append(term, what);
      list.append(row);
    }
  }
  if (!sheet.open) sheet.showModal();
}

// --- forms that send themselves when a filter changes (they keep their button for when there is no script) ------------
document.addEventListener("change", (event) => {
  const form = event.target.form;
  if (form?.matches("form[data-auto-submit]") && event.target.matches("select, input[type=checkbox], input[type=radio]")) {
    form.requestSubmit();
  }
});

// --- long work -----------------------------------------------------------------------------------------------------
const HIDDEN_PAUSE = 15_000; // ms between polls of a tab that nobody sees
const lastPoll = new Map();

document.addEventListener("htmx:beforeRequest", (event) => {
  const element = event.detail.elt;
  if (!element.matches?.("[data-poll]")) return;
  const key = element.id || element.getAttribute("hx-get");
  const now = performance.now();
  if (document.hidden && now - (lastPoll.get(key) ?? -HIDDEN_PAUSE) < HIDDEN_PAUSE) {
    event.preventDefault();
    return;
  }
  lastPoll.set(key, now);
});

// A poll that fails says nothing: the next one may succeed, and #notices is for what a person asked.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (event.detail.isError && event.detail.requestConfig?.elt?.matches("[data-poll]")) event.detail.shouldSwap = false;
  const problem = event.detail.xhr?.getResponseHeader("Content-Type") ?? "";
  if (event.detail.isError && !problem.startsWith("text/html")) {
    event.detail.serverResponse = notice("That did not work", problemText(event.detail.xhr));
  }
});

// What is gone, or no longer ours, is not asked for again.
document.addEventListener("htmx:responseError", (event) => {
  const element = event.detail.elt;
  if (!element.matches?.("[data-poll]") || ![401, 403, 404, 410].includes(event.detail.xhr.status)) return;
  const quiet = element.cloneNode(true);
  for (const name of ["hx-get", "hx-trigger", "data-poll"]) quiet.removeAttribute(name);
  element.replaceWith(quiet);
});

document.addEventListener("htmx:sendError", (event) => {
  if (event.detail.elt?.matches("[data-poll]")) return;
  document.getElementById("notices").innerHTML = notice("The server did not answer", "Check the connection and try again.");
});

document.addEventListener("htmx:load", (event) => {
  loadElements(event.detail.elt);
  const bar = event.detail.elt.closest?.(".job-bar");
  if (bar) announce(bar);
});

const stages = new Map();

/** Says a job's state and stage when they change, and not at every poll. */
function announce(bar) {
  const now = [bar.getAttribute("aria-label"), bar.dataset.state, bar.dataset.stage].filter(Boolean).join(", ");
  if (stages.get(bar.id) !== now) {
    if (stages.has(bar.id)) say(now);
    stages.set(bar.id, now);
  }
}

// <div data-reload-on="job-done" [data-src="/fragment"]>: renewed once, by its own fragment or with the whole page.
for (const name of ["job-done"]) {
  document.addEventListener(name, () => {
    for (const element of document.querySelectorAll(`[data-reload-on="${name}"]`)) {
      element.removeAttribute("data-reload-on");
      if (element.dataset.src) {
        window.htmx.ajax("GET", element.dataset.src, { target: element, swap: "outerHTML" });
      } else {
        location.reload();
        return;
      }
    }
  });
}

// --- errors as words -----------------------------------------------------------------------------------------------
const escape = (text) => {
  const node = document.createElement("span");
  node.textContent = text;
  return node.innerHTML;
};

function notice(title, text) {
  return `<div class="notice notice--bad"><div><p><strong>${escape(title)}</strong></p><p>${escape(text)}</p></div></div>`;
}

/** The words of a failed answer: an RFC 9457 problem, or the notice inside an error page. */
function problemText(xhr) {
  try {
    const problem = JSON.parse(xhr.responseText);
    return [problem.detail ?? problem.title, problem.remedy].filter(Boolean).join(" ");
  } catch {
    const page = new DOMParser().parseFromString(xhr.responseText ?? "", "text/html");
    const words = page.querySelector(".notice, .field__error")?.textContent.replace(/\s+/g, " ").trim();
    if (words) return words;
    if (xhr.status === 413) return "The file is larger than this server takes.";
    return xhr.status ? `The server answered ${xhr.status}.` : "The connection broke off. Nothing was kept; try again.";
  }
}

window.kindred = { say, isTyping, problemText };
nameTheme();
loadElements();
