// <sample-selection>: selecting photos as people are used to. It wraps a .photo-grid of selectable tiles and the form
// #selection (a .selection-bar), to which the tiles' checkboxes belong; so it works, less handily, without this script.
//
// In the form: [data-count] shows "3 selected"; [data-clear] clears; an <input type="checkbox" name="all_matching"
// data-total="12431"> selects everything that the filter matches. The bar is hidden while nothing is selected.

const { say, isTyping } = window.kindred;

class SampleSelection extends HTMLElement {
  static keys = [
    ["x", "Select the photo under the cursor"],
    ["Shift + click", "Select a range"],
    ["Ctrl + click", "Select one more, or one less"],
    ["Ctrl + a", "Select all photos on the page"],
    ["← ↑ ↓ →", "Move the cursor"],
    ["Enter", "Open the photo"],
  ];

  connectedCallback() {
    this.form = this.querySelector("form#selection, form.selection-bar");
    this.last = null;
    this.cursor = null;
    this.addEventListener("click", (event) => this.click(event));
    this.addEventListener("change", () => this.show());
    this.addEventListener("pointermove", (event) => (this.hovered = event.target.closest(".tile")));
    this.onKey = (event) => this.key(event);
    document.addEventListener("keydown", this.onKey);
    this.show();
  }

  disconnectedCallback() {
    document.removeEventListener("keydown", this.onKey);
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
    this.point(tile);
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

  point(tile) {
    this.cursor?.classList.remove("tile--cursor");
    this.cursor = tile;
    tile?.classList.add("tile--cursor");
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
      this.point(null);
    } else if (event.key === "x" || event.key === "X") {
      const focused = document.activeElement?.closest(".tile");
      const tile = (this.contains(focused) && focused) || this.cursor || this.hovered;
      const box = tile?.querySelector(".tile__check");
      if (!box) return;
      if (event.shiftKey) {
        this.range(box, true);
      } else {
        box.checked = !box.checked;
      }
      this.last = box;
      this.point(tile);
      this.show();
    } else if (event.key.startsWith("Arrow")) {
      this.move(event);
    } else if (event.key === "Enter" && this.cursor && document.activeElement === document.body) {
      this.cursor.querySelector("a")?.click();
    }
  }

  move(event) {
    const tiles = [...this.querySelectorAll(".tile")];
    if (!tiles.length) return;
    const top = tiles[0].offsetTop;
    const found = tiles.findIndex((tile) => tile.offsetTop > top);
    const columns = found < 0 ? tiles.length : found;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
    const at = tiles.indexOf(this.cursor);
    // Down and up scroll the page until the cursor has been set by a click, x, or left and right.
    if (at < 0 && Math.abs(step) === columns && columns > 1) return;
    event.preventDefault();
    const next = at < 0 ? 0 : Math.min(tiles.length - 1, Math.max(0, at + step));
    this.point(tiles[next]);
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
    for (const node of this.form.querySelectorAll("[data-count]")) node.textContent = words;
    this.form.hidden = count === 0;
  }
}

customElements.define("sample-selection", SampleSelection);
