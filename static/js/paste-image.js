// <paste-image>: a form with one image field. Paste, drop or choose an image; it is previewed and sent.
//
//   <paste-image data-target="#results"><form method="post" enctype="multipart/form-data" action="..." >
//     <div class="dropzone">... <input type="file" name="image" accept="image/*"> <button class="btn">Search</button></div>
//     <crop-box hidden><img alt="">  <input type="hidden" name="x1"> ... y1 x2 y2</crop-box></form></paste-image>
//
// The answer, a fragment, goes into data-target. Without this script the form sends itself the plain way.
// A new crop (the event "crop" of <crop-box>) sends again.

const { say, acceptDrops } = window.kindred;

class PasteImage extends HTMLElement {
  static keys = [["Ctrl + v", "Search with the image on the clipboard"]];

  connectedCallback() {
    this.form = this.querySelector("form");
    this.input = this.querySelector("input[type=file]");
    this.onPaste = (event) => this.paste(event);
    document.addEventListener("paste", this.onPaste);
    this.input.addEventListener("change", () => this.chosen());
    this.form.addEventListener("submit", (event) => this.submit(event));
    // What this browser cannot draw (a TIFF, or no photo at all) has no preview; the server judges it.
    this.preview?.addEventListener("error", () => (this.shown.hidden = true));
    this.addEventListener("crop", () => this.input.files.length && this.send());
    this.endDrops = acceptDrops(this, (data) => this.take(data.files));
  }

  disconnectedCallback() {
    document.removeEventListener("paste", this.onPaste);
    this.endDrops();
    this.forget();
  }

  paste(event) {
    const files = event.clipboardData?.files;
    if (!files?.length) return; // text, which belongs to the field that it is pasted into
    event.preventDefault();
    this.take(files);
  }

  take(files) {
    const image = [...files].find((file) => file.type.startsWith("image/"));
    if (!image) {
      this.fail(
        files.length
          ? "That is not an image. Take a JPEG, PNG, WebP, GIF, BMP or TIFF."
          : "That brought no file. Copy the picture and paste it here, or save it first and drop the file.",
      );
      return;
    }
    const one = new DataTransfer();
    one.items.add(image);
    this.input.files = one.files;
    this.chosen();
  }

  chosen() {
    const file = this.input.files[0];
    if (!file) return;
    if (this.preview) {
      this.forget();
      this.address = URL.createObjectURL(file);
      this.preview.src = this.address;
      this.shown.hidden = false;
    }
    this.querySelector("crop-box")?.reset?.();
    this.send();
  }

  /** The picture of what is searched with, and what is shown and hidden with it. */
  get preview() {
    return this.querySelector("crop-box img, [data-preview]");
  }

  get shown() {
    return this.preview.closest("crop-box") ?? this.preview;
  }

  forget() {
    if (this.address) URL.revokeObjectURL(this.address);
    this.address = null;
  }

  submit(event) {
    if (!this.input.files.length || !this.dataset.target) return;
    event.preventDefault();
    this.send();
  }

  async send() {
    const target = document.querySelector(this.dataset.target);
    this.request?.abort();
    const request = (this.request = new AbortController());
    target.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(this.form.action, {
        method: "POST",
        body: new FormData(this.form),
        headers: { "HX-Request": "true" },
        signal: request.signal,
      });
      const text = await answer.text();
      if (this.request !== request) return;
      if (!answer.ok && !(answer.headers.get("Content-Type") ?? "").startsWith("text/html")) {
        this.fail(window.kindred.problemText({ responseText: text, status: answer.status }));
      } else {
        target.innerHTML = text;
        window.htmx?.process(target);
        say(answer.ok ? "Results are shown" : (target.querySelector(".notice")?.textContent.trim() ?? "It failed"));
      }
    } catch (error) {
      if (error.name !== "AbortError") this.fail("The server did not answer. Check the connection and try again.");
    }
    if (this.request === request) target.removeAttribute("aria-busy");
  }

  fail(words) {
    const target = document.querySelector(this.dataset.target) ?? this;
    const text = document.createElement("p");
    text.className = "field__error";
    text.setAttribute("role", "alert");
    text.textContent = words;
    target.replaceChildren(text);
    target.removeAttribute("aria-busy");
  }
}

customElements.define("paste-image", PasteImage);
