// Long work and failed requests: what htmx is told, and what people are told. Loaded after app.js.

const { say } = window.kindred;

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

window.kindred.problemText = problemText;
