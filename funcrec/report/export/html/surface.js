// A canvas that fits its box, and text over it. Bars are painted; while the picture stands still their names are real
// text, to be selected, searched in the page and read aloud.

const MONO_WIDTH = 6.62; // of a character of the 11 px font below; measured once the page is up
const MONO = '11px ui-monospace, "SF Mono", "Cascadia Mono", "JetBrains Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace';

class Surface {
  constructor(box, paint) {
    this.box = box;
    this.paint = paint;
    this.canvas = element("canvas", { "aria-hidden": "true" });
    this.labels = element("div", { class: "labels" });
    box.append(this.canvas, this.labels);
    this.pool = [];
    this.width = this.height = 0;
    this.character = MONO_WIDTH;
    new ResizeObserver(() => this.resize()).observe(box);
  }

  resize() {
    const width = this.box.clientWidth;
    const height = this.box.clientHeight;
    if (!width || !height) return;
    const scale = window.devicePixelRatio || 1;
    this.width = width;
    this.height = height;
    this.canvas.width = Math.round(width * scale);
    this.canvas.height = Math.round(height * scale);
    this.context = this.canvas.getContext("2d", { alpha: false });
    this.context.setTransform(scale, 0, 0, scale, 0, 0);
    this.context.font = MONO;
    this.character = this.context.measureText("m").width || MONO_WIDTH;
    this.draw();
  }

  // Soon, once per frame, however often it is asked for.
  draw() {
    if (this.pending || !this.context) return;
    this.pending = requestAnimationFrame(() => {
      this.pending = 0;
      if (this.box.offsetParent === null) return;
      this.names = [];
      this.context.font = MONO;
      this.context.textBaseline = "middle";
      this.paint(this.context, this.width, this.height);
      this.labels.hidden = true;
      clearTimeout(this.rest);
      this.rest = setTimeout(() => this.settle(), 90);
    });
  }

  // Text inside a bar, cut to what fits. `full` is what the bar stands for.
  name(text, full, x, y, width, height, colour) {
    const room = Math.floor((width - 6) / this.character);
    if (room < 3) return;
    const shown = full.length <= room ? full : text.length <= room ? text : `${text.slice(0, room - 1)}…`;
    this.context.fillStyle = colour;
    this.context.fillText(shown, x + 4, y + height / 2 + 0.5);
    this.names.push([shown, full, x, y, width, height]);
  }

  // The picture stands still: lay selectable text exactly over the painted one.
  settle() {
    const most = Math.min(this.names.length, 600);
    while (this.pool.length < most) {
      const label = element("span", { class: "label" });
      this.labels.append(label);
      this.pool.push(label);
    }
    for (let i = 0; i < this.pool.length; i++) {
      const label = this.pool[i];
      label.hidden = i >= most;
      if (label.hidden) continue;
      const [shown, full, x, y, width, height] = this.names[i];
      if (label.textContent !== shown) label.textContent = shown;
      label.title = full;
      label.style.transform = `translate(${x + 4}px, ${y}px)`;
      label.style.maxWidth = `${width - 6}px`;
      label.style.lineHeight = `${height}px`;
    }
    this.labels.hidden = false;
  }
}

// One tip for all pictures.
const tip = {
  show(x, y, lines) {
    this.box ??= document.getElementById("tip");
    this.box.replaceChildren(...lines.map((line, i) => element("div", { class: i ? "" : "tip-title", text: line })));
    this.box.hidden = false;
    const { offsetWidth: width, offsetHeight: height } = this.box;
    const left = Math.min(x + 14, window.innerWidth - width - 8);
    const top = y + 18 + height > window.innerHeight ? y - height - 10 : y + 18;
    this.box.style.transform = `translate(${Math.max(left, 4)}px, ${Math.max(top, 4)}px)`;
  },
  hide() {
    if (this.box) this.box.hidden = true;
  },
};

// Round steps for an axis: about one tick per `room` pixels.
const ticks = (from, to, width, room) => {
  const rough = ((to - from) * room) / Math.max(width, 1);
  const power = 10 ** Math.floor(Math.log10(Math.max(rough, 1e-9)));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough);
  const found = [];
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) found.push(at);
  return [found, step];
};

// Labels of one axis share unit and digits: 1.5 ms, 2.0 ms.
const tickLabel = (ns, step) => {
  const [factor, unit] = step < 1e3 && ns < 1e6 ? [1, "ns"] : ns < 1e6 ? [1e3, "us"] : ns < 1e9 ? [1e6, "ms"] : [1e9, "s"];
  const digits = Math.max(0, -Math.floor(Math.log10(step / factor) + 1e-9));
  return ns === 0 ? "0" : `${(ns / factor).toFixed(Math.min(digits, 9))} ${unit}`;
};
