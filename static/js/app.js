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
        const cap = document.createElement(key === "+" ? "span" : "kbd");
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

// --- dropping ------------------------------------------------------------------------------------------------------
/** Lets files be dropped on `host`, or anywhere beside it: else the browser would leave the page to show the file.
    Calls `take(dataTransfer)`; answers a function that ends it. */
function acceptDrops(host, take) {
  const zones = "drop-zone, paste-image";
  const isMine = (event) => (event.target.closest?.(zones) ?? document.querySelector(zones)) === host;
  const handlers = {
    dragover(event) {
      if (!event.dataTransfer.types.includes("Files")) return;
      event.preventDefault();
      host.classList.toggle("is-over", isMine(event));
    },
    dragleave(event) {
      if (!event.relatedTarget) host.classList.remove("is-over");
    },
    drop(event) {
      host.classList.remove("is-over");
      if (isTyping(event.target) || !isMine(event)) return;
      event.preventDefault();
      take(event.dataTransfer);
    },
  };
  for (const [name, handler] of Object.entries(handlers)) document.addEventListener(name, handler);
  return () => {
    for (const [name, handler] of Object.entries(handlers)) document.removeEventListener(name, handler);
  };
}

// --- forms that send themselves when a filter changes (they keep their button for when there is no script) ------------
document.addEventListener("change", (event) => {
  const form = event.target.form;
  if (form?.matches("form[data-auto-submit]") && event.target.matches("select, input[type=checkbox], input[type=radio]")) {
    form.requestSubmit();
  }
});

window.kindred = { say, isTyping, acceptDrops };
document.addEventListener("htmx:load", (event) => loadElements(event.detail.elt));
nameTheme();
loadElements();
// On a phone the tab one is on may lie outside of the strip.
for (const tab of document.querySelectorAll(".tabs [aria-current]")) {
  const strip = tab.closest(".tabs");
  strip.scrollLeft = tab.offsetLeft - (strip.clientWidth - tab.offsetWidth) / 2;
}
