// <sample-selection>: selecting photos as people are used to. It wraps a .photo-grid of selectable tiles and the form
// #selection (a .selection-bar), to which the tiles' checkboxes belong; so it works, less handily, without this script.
//
// [data-count], in the form, and [data-counted], in a dialog, show "3 selected". In the form: [data-clear] clears;
// [data-label] is the field that `l` goes to; an <input type="checkbox" name="all_matching" data-total="12431"> selects
// everything that the filter matches. The bar is hidden while nothing is selected. The grid is one stop of Tab, at the
// photo that had the focus last; arrows go on from there.

const { say, isTyping } = window.kindred;

class SampleSelection extends HTMLElement {
  static keys = [
    ["x", "Select the photo under the pointer, or the one with the focus"],
    ["Shift + click", "Select a range"],
    ["Ctrl + click", "Select one more, or one less"],
    ["Ctrl + a", "Select all photos on the page"],
    ["← ↑ ↓ →", "Move the focus"],
    ["Enter", "Open the photo"],
    ["l", "Go to the label of what is selected"],
  ];

  connectedCallback() {
    this.form = this.querySelector("form#selection, form.selection-bar");
    this.last = null;
    this.at = null; // the tile that the pointer or the focus came to last
    this.addEventListener("click", (event) => this.click(event));
    this.addEventListener("change", () => this.show());
    this.addEventListener("focusin", (event) => {
      const tile = event.target.closest(".tile");
      if (!tile) return;
      this.at = tile;
      this.stop(tile);
    });
    this.addEventListener("pointermove", (event) => {
      // A page that scrolls under a resting pointer has not moved it.
      if (event.screenX === this.x && event.screenY === this.y) return;
      [this.x, this.y] = [event.screenX, event.screenY];
      this.at = event.target.closest(".tile") ?? this.at;
    });
    this.form?.addEventListener("submit", (event) => this.ask(event));
    this.onKey = (event) => this.key(event);
    document.addEventListener("keydown", this.onKey);
    for (const node of this.querySelectorAll(".tile a, .tile__check")) node.tabIndex = -1;
    this.stop(this.querySelector(".tile"));
    this.show();
  }

  disconnectedCallback() {
    document.removeEventListener("keydown", this.onKey);
  }

  /** Makes a tile the one that Tab comes to. Its box is left to `x`. */
  stop(tile) {
    for (const node of this.querySelectorAll(".tile a[tabindex='0']")) node.tabIndex = -1;
    const link = tile?.querySelector("a");
    if (link) link.tabIndex = 0;
  }

  get boxes() {
    return [...this.querySelectorAll(".tile__check")];
  }

  get allMatching() {
    return this.form?.querySelector("input[name=all_matching]");
  }

  get selected() {
    return this.boxes.filter((box) => box.checked).map((box) => Number(box.value));
  }

  click(event) {
    if (event.target.closest("[data-clear]")) {
      this.clear();
      return;
    }
    const tile = event.target.closest(".tile");
    const box = tile?.querySelector(".tile__check");
    if (!box) return;
    const onBox = event.target === box;
    if (event.shiftKey) {
      if (!onBox) event.preventDefault();
      getSelection().removeAllRanges();
      this.range(box, onBox ? box.checked : true);
    } else if (event.ctrlKey || event.metaKey) {
      if (!onBox) {
        event.preventDefault();
        box.checked = !box.checked;
      }
    } else if (!onBox) {
      return; // a plain click opens
    }
    this.last = box;
    this.show();
  }

  range(box, checked) {
    const boxes = this.boxes;
    const ends = [boxes.indexOf(this.last ?? box), boxes.indexOf(box)].sort((a, b) => a - b);
    for (const each of boxes.slice(Math.max(0, ends[0]), ends[1] + 1)) each.checked = checked;
  }

  clear() {
    for (const box of this.boxes) box.checked = false;
    if (this.allMatching) this.allMatching.checked = false;
    this.last = null;
    this.show();
  }

  /** A button whose field is empty asks for it, and the selection stays. */
  ask(event) {
    const field = event.submitter?.parentElement.querySelector("input:not([type=checkbox]), select");
    if (!field || field.value) return;
    event.preventDefault();
    field.required = true;
    field.reportValidity();
    field.required = false;
  }

  key(event) {
    if (isTyping(event.target)) return;
    if ((event.ctrlKey || event.metaKey) && event.key === "a") {
      event.preventDefault();
      for (const box of this.boxes) box.checked = true;
      this.show();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") {
      this.clear();
    } else if (event.key === "x" || event.key === "X") {
      const box = this.at?.querySelector(".tile__check");
      if (!box) return;
      if (event.shiftKey) {
        this.range(box, true);
      } else {
        box.checked = !box.checked;
      }
      this.last = box;
      this.show();
    } else if (event.key === "l" || event.key === "L") {
      this.toLabel(event);
    } else if (event.key.startsWith("Arrow")) {
      this.move(event);
    }
  }

  toLabel(event) {
    const field = this.form?.querySelector("[data-label]");
    if (!field) return;
    event.preventDefault(); // or the field would begin with an l
    if (this.form.hidden) {
      say("Select some photos first");
      return;
    }
    field.focus();
    field.select();
  }

  move(event) {
    const tiles = [...this.querySelectorAll(".tile")];
    if (!tiles.length) return;
    const top = tiles[0].offsetTop;
    const found = tiles.findIndex((tile) => tile.offsetTop > top);
    const columns = found < 0 ? tiles.length : found;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
    // Down and up scroll the page until a tile has the focus, by a click, Tab, or left and right.
    const hasFocus = this.contains(document.activeElement?.closest(".tile"));
    if (!hasFocus && Math.abs(step) === columns && columns > 1) return;
    event.preventDefault();
    const at = tiles.indexOf(this.at);
    const next = at < 0 ? 0 : Math.min(tiles.length - 1, Math.max(0, at + step));
    tiles[next].querySelector("a")?.focus({ preventScroll: true });
    tiles[next].scrollIntoView({ block: "nearest" });
  }

  show() {
    const all = this.allMatching?.checked;
    const count = all ? Number(this.allMatching.dataset.total) : this.selected.length;
    this.toggleAttribute("data-any", count > 0);
    if (!this.form) return;
    const words = all ? `all ${count.toLocaleString()} matching selected` : `${count.toLocaleString()} selected`;
    if (this.words !== undefined && this.words !== words) say(words);
    this.words = words;
    for (const node of this.querySelectorAll("[data-count], [data-counted]")) node.textContent = words;
    this.form.hidden = count === 0;
  }
}

customElements.define("sample-selection", SampleSelection);
