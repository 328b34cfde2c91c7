// <crop-box>: draw a box on the picture inside. It fills the hidden fields x1 y1 x2 y2 (whole pixels of the image;
// empty: the whole image) and sends the event "crop" when a box is done.
// Keys: arrows move the box, Shift + arrows size it, Enter takes it, Escape or Delete takes it away.

const SVG = "http://www.w3.org/2000/svg";
const SMALLEST = 8; // pixels of the image: less is a click, not a box

class CropBox extends HTMLElement {
  static keys = [
    ["← ↑ ↓ →", "Move the crop (on the picture); with Shift: size it"],
    ["Delete", "Take the crop away"],
  ];

  connectedCallback() {
    this.picture = this.querySelector("img");
    this.tabIndex = 0;
    this.setAttribute("role", "group");
    this.setAttribute("aria-label", "Crop: drag a box, or use the arrow keys");
    this.box = null;
    this.addEventListener("pointerdown", (event) => this.start(event));
    this.addEventListener("pointermove", (event) => this.drag(event));
    this.addEventListener("pointerup", (event) => this.finish(event));
    this.addEventListener("pointercancel", () => (this.from = null));
    this.addEventListener("keydown", (event) => this.key(event));
  }

  get field() {
    const scope = this.closest("form") ?? this;
    return Object.fromEntries(["x1", "y1", "x2", "y2"].map((name) => [name, scope.querySelector(`[name=${name}]`)]));
  }

  reset() {
    this.set(null);
  }

  /** A place on the screen as pixels of the image. */
  place(event) {
    const frame = this.picture.getBoundingClientRect();
    const clamp = (share) => Math.min(1, Math.max(0, share));
    return [
      Math.round(clamp((event.clientX - frame.left) / frame.width) * this.picture.naturalWidth),
      Math.round(clamp((event.clientY - frame.top) / frame.height) * this.picture.naturalHeight),
    ];
  }

  start(event) {
    if (event.button !== 0 || !this.picture.naturalWidth) return;
    this.setPointerCapture(event.pointerId);
    this.from = this.place(event);
  }

  drag(event) {
    if (!this.from) return;
    const to = this.place(event);
    const xs = [this.from[0], to[0]].sort((a, b) => a - b);
    const ys = [this.from[1], to[1]].sort((a, b) => a - b);
    this.set([xs[0], ys[0], xs[1], ys[1]]);
  }

  finish() {
    if (!this.from) return;
    this.from = null;
    const box = this.box;
    if (!box || box[2] - box[0] < SMALLEST || box[3] - box[1] < SMALLEST) this.set(null);
    this.done();
  }

  done() {
    const now = String(this.box);
    if (this.sent === now) return;
    this.sent = now;
    this.dispatchEvent(new CustomEvent("crop", { bubbles: true, detail: this.box }));
  }

  key(event) {
    const width = this.picture.naturalWidth;
    const height = this.picture.naturalHeight;
    const step = Math.max(1, Math.round(Math.min(width, height) / 40));
    const move = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] }[event.key];
    if (move) {
      event.preventDefault();
      let [x1, y1, x2, y2] = this.box ?? [0.2 * width, 0.2 * height, 0.8 * width, 0.8 * height].map(Math.round);
      if (event.shiftKey) {
        x2 = Math.min(width, Math.max(x1 + SMALLEST, x2 + move[0]));
        y2 = Math.min(height, Math.max(y1 + SMALLEST, y2 + move[1]));
      } else {
        const dx = Math.min(width - x2, Math.max(-x1, move[0]));
        const dy = Math.min(height - y2, Math.max(-y1, move[1]));
        [x1, x2, y1, y2] = [x1 + dx, x2 + dx, y1 + dy, y2 + dy];
      }
      this.set([x1, y1, x2, y2]);
    } else if (event.key === "Enter") {
      event.preventDefault();
      this.done();
    } else if (["Escape", "Delete", "Backspace"].includes(event.key)) {
      this.set(null);
      this.done();
    }
  }

  set(box) {
    this.box = box;
    const names = ["x1", "y1", "x2", "y2"];
    const fields = this.field;
    names.forEach((name, i) => {
      if (fields[name]) fields[name].value = box ? box[i] : "";
    });
    this.querySelector("svg")?.remove();
    if (!box) return;
    const { naturalWidth: width, naturalHeight: height } = this.picture;
    const [x1, y1, x2, y2] = box;
    const drawing = document.createElementNS(SVG, "svg");
    drawing.setAttribute("viewBox", `0 0 ${width} ${height}`);
    drawing.setAttribute("preserveAspectRatio", "none");
    const inner = `M${x1} ${y1}H${x2}V${y2}H${x1}Z`;
    for (const [name, d] of [["crop__shade", `M0 0H${width}V${height}H0Z${inner}`], ["crop__edge", inner]]) {
      const path = document.createElementNS(SVG, "path");
      path.setAttribute("class", name);
      path.setAttribute("d", d);
      drawing.append(path);
    }
    this.append(drawing);
  }
}

customElements.define("crop-box", CropBox);
