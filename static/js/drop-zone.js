// <drop-zone>: a form with one file field. Drop a file on it, or choose one; the upload shows its progress.
// Without this script the form sends itself the plain way.
//
//   <drop-zone [data-auto]><form method="post" enctype="multipart/form-data" action="...">
//     <div class="dropzone">... <input type="file" name="file"> <button class="btn">Upload</button></div></form></drop-zone>
//
// data-auto: begin as soon as a file is chosen. A redirect is followed; an error is shown in the zone.

const { say, acceptDrops } = window.kindred;

class DropZone extends HTMLElement {
  connectedCallback() {
    this.form = this.querySelector("form");
    this.input = this.querySelector("input[type=file]");
    this.form.addEventListener("submit", (event) => this.send(event));
    this.input.addEventListener("change", () => this.chosen());
    this.endDrops = acceptDrops(this, (data) => this.drop(data));
    this.addEventListener("click", (event) => {
      if (event.target.closest("[data-stop]")) this.request?.abort();
    });
  }

  disconnectedCallback() {
    this.endDrops();
    this.request?.abort();
  }

  drop(data) {
    const { files } = data;
    if (!files.length) return;
    if (files.length > 1 && !this.input.multiple) {
      this.fail("That was more than one file. Put them into one zip and drop that.");
      return;
    }
    // A dropped folder arrives as one file of no type that cannot be read.
    const entry = data.items?.[0]?.webkitGetAsEntry?.();
    if (entry?.isDirectory) {
      this.fail("That is a folder. Pack it into one zip and drop that.");
      return;
    }
    this.input.files = files;
    this.chosen();
  }

  chosen() {
    this.panel().replaceChildren();
    if (this.input.files.length && "auto" in this.dataset) this.form.requestSubmit();
  }

  /** The place for progress and errors, made on first use. */
  panel() {
    let panel = this.querySelector(".upload");
    if (!panel) {
      panel = document.createElement("div");
      panel.className = "upload";
      (this.querySelector(".dropzone") ?? this.form).append(panel);
    }
    return panel;
  }

  send(event) {
    if (!this.input.files.length) return; // the browser or the server says what is missing
    event.preventDefault();
    if (this.request) return;
    const bar = document.createElement("progress");
    const text = document.createElement("span");
    const stop = document.createElement("button");
    bar.max = 1;
    bar.setAttribute("aria-label", "Upload");
    text.className = "num muted";
    stop.type = "button";
    stop.className = "btn btn--small";
    stop.dataset.stop = "";
    stop.textContent = "Cancel";
    const row = document.createElement("div");
    row.className = "spread";
    row.append(text, stop);
    this.panel().replaceChildren(bar, row);

    const request = (this.request = new XMLHttpRequest());
    const began = performance.now();
    request.upload.addEventListener("progress", (step) => {
      if (!step.lengthComputable) return;
      bar.value = step.loaded / step.total;
      const pace = step.loaded / ((performance.now() - began) / 1000 + 0.01);
      const left = Math.ceil((step.total - step.loaded) / pace);
      const words = `${megabytes(step.loaded)} of ${megabytes(step.total)} MB`;
      text.textContent = step.loaded < step.total ? `${words}, ${left} s left` : `${words}, being stored…`;
    });
    request.addEventListener("load", () => {
      this.request = null;
      if (request.status < 400) {
        say("Uploaded");
        const target = request.getResponseHeader("HX-Redirect") || request.responseURL;
        if (target && target !== location.href) location.assign(target);
        else location.reload();
      } else {
        this.fail(window.kindred.problemText(request));
      }
    });
    request.addEventListener("error", () => this.fail(window.kindred.problemText(request)));
    request.addEventListener("abort", () => this.fail("Stopped. Nothing was kept."));
    request.open("POST", this.form.action);
    request.setRequestHeader("X-Requested-With", "XMLHttpRequest");
    request.send(new FormData(this.form, event.submitter));
  }

  fail(words) {
    this.request = null;
    const text = document.createElement("p");
    text.className = "field__error";
    text.setAttribute("role", "alert");
    text.textContent = words;
    this.panel().replaceChildren(text);
  }
}

const megabytes = (bytes) => (bytes / 1e6).toLocaleString(undefined, { maximumFractionDigits: 1 });

customElements.define("drop-zone", DropZone);
