// The merged tree: one bar per distinct chain of callers, as wide as its share of the time (or of the calls).

const FLAME_ROW = 23;

class Flame {
  constructor(app, box) {
    this.app = app;
    this.metric = "time_ns";
    const metric = element("select", { "aria-label": "Width of the bars", onchange: () => this.measure(metric.value) });
    metric.append(new Option("width is time", "time_ns"), new Option("width is calls", "calls"));
    this.path = element("nav", { class: "path", "aria-label": "Shown part of the tree" });
    this.scroll = element("div", { class: "flame-scroll", tabindex: "0", role: "application", "aria-label": "Flame graph. Arrow keys move between functions, Enter zooms, Escape shows all." });
    this.picture = element("div", { class: "flame-picture" });
    this.scroll.append(this.picture);
    box.append(element("div", { class: "toolbar" }, metric, this.path), this.scroll);
    this.surface = new Surface(this.picture, (...all) => this.paint(...all));
    this.picture.addEventListener("click", (event) => this.zoom(this.nodeAt(event)));
    this.picture.addEventListener("pointermove", (event) => {
      const node = this.nodeAt(event);
      if (node < 0) tip.hide();
      else tip.show(event.clientX, event.clientY, this.describe(node));
    });
    this.picture.addEventListener("pointerleave", () => tip.hide());
    this.scroll.addEventListener("keydown", (event) => this.key(event));
  }

  show(trace) {
    this.trace = trace;
    this.tree = trace.facts.flame;
    this.root = -1;
    this.cursor = -1;
    const n = this.tree.parent.length;
    this.children = new Map([[-1, []]]);
    this.depth = new Int32Array(n);
    for (let i = 0; i < n; i++) {
      const up = this.tree.parent[i];
      this.depth[i] = up < 0 ? 0 : this.depth[up] + 1;
      if (!this.children.has(up)) this.children.set(up, []);
      this.children.get(up).push(i);
    }
    this.measure(this.tree.time_ns.some((ns) => ns > 0) ? this.metric : "calls");
  }

  measure(metric) {
    this.metric = metric;
    const n = this.tree.parent.length;
    this.weight = new Float64Array(n);
    if (metric === "time_ns") this.weight.set(this.tree.time_ns);
    else {
      // A node is as wide as its calls or what it calls, whichever is more: few callers may make many calls.
      this.weight.set(this.tree.calls);
      const below = new Float64Array(n);
      for (let i = n - 1; i >= 0; i--) {
        this.weight[i] = Math.max(this.weight[i], below[i]);
        if (this.tree.parent[i] >= 0) below[this.tree.parent[i]] += this.weight[i];
      }
    }
    for (const list of this.children.values()) list.sort((a, b) => this.weight[b] - this.weight[a] || a - b);
    this.layout();
  }

  total(node) {
    return node >= 0 ? this.weight[node] : this.children.get(-1).reduce((sum, child) => sum + this.weight[child], 0);
  }

  // Rows of [node, from, to] in shares of the width, only what can be seen.
  layout() {
    this.bars = [];
    const least = 0.4 / Math.max(this.surface.width, 400);
    const above = [];
    for (let up = this.root; up >= 0; up = this.tree.parent[up]) above.unshift(up);
    above.forEach((node, row) => (this.bars[row] = [[node, 0, 1]]));
    const fill = [[this.root, 0, 1, above.length]];
    while (fill.length) {
      const [node, from, to, row] = fill.pop();
      const scale = (to - from) / Math.max(this.total(node), 1);
      let left = from;
      for (const child of this.children.get(node) || []) {
        const right = left + this.weight[child] * scale;
        if (right - left < least) break;
        (this.bars[row] ??= []).push([child, left, right]);
        fill.push([child, left, right, row + 1]);
        left = right;
      }
    }
    for (const row of this.bars) row.sort((a, b) => a[1] - b[1]);
    this.picture.style.height = `${Math.max(this.bars.length * FLAME_ROW + 12, 120)}px`;
    this.showPath(above);
    this.surface.draw();
  }

  showPath(above) {
    const item = (text, node, title) => element("button", { type: "button", class: "link", text, title, onclick: () => this.zoom(node) });
    const names = above.map((node) => this.trace.functions[this.tree.function[node]].name);
    const dropped = this.tree.dropped ? element("span", { class: "faint", text: `${count(this.tree.dropped)} smallest stacks left out` }) : null;
    this.path.replaceChildren(item("all", -1, "Show all"), ...names.map((name, i) => item(`› ${shortName(name)}`, above[i], name)));
    if (dropped) this.path.append(dropped);
  }

  paint(context, width, height) {
    const { app, trace, tree } = this;
    const theme = app.theme;
    context.fillStyle = theme.panel;
    context.fillRect(0, 0, width, height);
    if (!trace) return;
    const zoomed = this.root >= 0 ? this.depth[this.root] : -1;
    this.bars.forEach((row, number) => {
      for (const [node, from, to] of row) {
        const name = trace.functions[tree.function[node]].name;
        const matched = app.matches === null || app.matches[tree.function[node]];
        const x = from * width;
        const across = (to - from) * width;
        const y = 6 + number * FLAME_ROW;
        context.globalAlpha = !matched ? 0.22 : number < zoomed ? 0.55 : 1;
        context.fillStyle = app.palette.fill(name);
        context.fillRect(x, y, Math.max(across - (across > 3 ? 1 : 0), 0.5), FLAME_ROW - 1);
        context.globalAlpha = 1;
        if (node === this.cursor) {
          context.strokeStyle = theme.accent;
          context.lineWidth = 2;
          context.strokeRect(x + 1, y + 1, Math.max(across - 3, 1), FLAME_ROW - 3);
          context.lineWidth = 1;
        }
        if (matched && across > 24) this.surface.name(shortName(name), name, x, y, across - 1, FLAME_ROW - 1, theme.bar);
      }
    });
    if (!this.bars.length) {
      context.fillStyle = theme.faint;
      context.fillText("no calls", 12, 20);
    }
  }

  describe(node) {
    const { tree, trace } = this;
    const time = tree.time_ns[node];
    const all = tree.time_ns.reduce((sum, ns, i) => (tree.parent[i] < 0 ? sum + ns : sum), 0);
    const lines = [trace.functions[tree.function[node]].name, `${count(tree.calls[node])} calls by this way`];
    if (all) lines.push(`${duration(time)} in all, ${percent(time / all)} of the recorded time`, `${duration(tree.self_ns[node])} itself`);
    return lines;
  }

  nodeAt(event) {
    const box = this.picture.getBoundingClientRect();
    const row = this.bars?.[Math.floor((event.clientY - box.top - 6) / FLAME_ROW)];
    const share = (event.clientX - box.left) / box.width;
    const found = row && row.find(([, from, to]) => share >= from && share < to);
    return found ? found[0] : -1;
  }

  zoom(node) {
    this.root = node;
    this.cursor = node;
    this.layout();
  }

  key(event) {
    const { tree } = this;
    const siblings = this.children.get(this.cursor < 0 ? -1 : tree.parent[this.cursor]) || [];
    const at = siblings.indexOf(this.cursor);
    const next = {
      ArrowDown: (this.children.get(this.cursor) || [])[0],
      ArrowUp: this.cursor >= 0 ? tree.parent[this.cursor] : -1,
      ArrowRight: siblings[at + 1],
      ArrowLeft: siblings[at - 1],
    }[event.key];
    if (event.key === "Enter") this.zoom(this.cursor);
    else if (event.key === "Escape") this.zoom(-1);
    else if (next === undefined) return;
    else this.cursor = next;
    event.preventDefault();
    this.surface.draw();
    if (this.cursor >= 0) this.app.say(this.describe(this.cursor).join(", "));
  }
}
