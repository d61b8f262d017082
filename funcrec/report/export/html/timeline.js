// The flame chart: goroutines below each other, time from left to right, callers above what they call.
//
// Cost of a picture depends on its pixels, not on the calls: of calls narrower than a pixel one is painted for all,
// as strong as the lane is busy there, and the search goes on behind the pixel.

const ROW = 18;
const TRACK_GAP = 14;
const TRACK_LEAST = 38;
const AXIS = 24;
const GUTTER = 236;
const LEAST_SPAN = 20; // ns across the picture at the closest

class Timeline {
  constructor(app, box) {
    this.app = app;
    this.box = box;
    this.folded = new Set();
    this.byBusy = false;
    this.scroll = element("div", {
      class: "chart-scroll",
      tabindex: "0",
      role: "application",
      "aria-label": "Flame chart. Arrow keys move between calls, plus and minus zoom, A and D pan, Enter zooms to the call.",
    });
    this.spacer = element("div", { class: "chart-spacer" });
    this.gutter = element("div", { class: "gutter" });
    this.picture = element("div", { class: "chart-picture" }, element("div", { class: "corner" }));
    new ResizeObserver(() => (this.picture.style.height = `${this.scroll.clientHeight}px`)).observe(this.scroll);
    this.spacer.append(this.gutter);
    this.scroll.append(this.picture, this.spacer);
    this.overview = new Overview(app, this);
    box.append(this.toolbar(), this.overview.box, this.scroll);
    this.chart = new Surface(this.picture, (...all) => this.paint(...all));
    this.listen();
  }

  toolbar() {
    const button = (text, title, onclick) => element("button", { type: "button", title, "aria-label": title, text, onclick });
    this.range = element("output", { class: "range", "aria-live": "off" });
    const order = element("select", { "aria-label": "Order of goroutines", onchange: () => this.sort(order.value === "busy") });
    order.append(new Option("in order of start", "start"), new Option("busiest first", "busy"));
    return element(
      "div",
      { class: "toolbar" },
      button("−", "Zoom out (S)", () => this.zoom(2)),
      button("+", "Zoom in (W)", () => this.zoom(0.5)),
      button("Fit", "Show everything (0)", () => this.fit()),
      button("Fold", "Fold or unfold all goroutines", () => this.foldAll()),
      order,
      this.range,
    );
  }

  show(trace) {
    this.trace = trace;
    this.folded.clear();
    this.margin = trace.end * 0.01;
    this.from = -this.margin;
    this.to = trace.end + this.margin;
    this.overview.show(trace);
    this.sort(this.byBusy);
  }

  sort(byBusy) {
    this.byBusy = byBusy;
    this.rows = this.trace.tracks.map((track, number) => ({ track, number }));
    if (byBusy) this.rows.sort((a, b) => b.track.facts.busy_ns - a.track.facts.busy_ns || a.number - b.number);
    this.layout();
  }

  layout() {
    let top = AXIS + 4;
    for (const row of this.rows) {
      row.lanes = this.folded.has(row.number) ? 1 : row.track.lanes.length - 1;
      row.top = top;
      row.height = Math.max(row.lanes * ROW + TRACK_GAP, TRACK_LEAST);
      top += row.height;
    }
    this.spacer.style.height = `${top + 8}px`;
    this.gutterKey = "";
    this.draw();
  }

  foldAll() {
    if (this.folded.size) this.folded.clear();
    else this.rows.forEach((row) => this.folded.add(row.number));
    this.layout();
  }

  draw() {
    this.chart.draw();
    this.overview.draw();
  }

  x(time) {
    return GUTTER + ((time - this.from) / (this.to - this.from)) * (this.chart.width - GUTTER);
  }

  time(x) {
    return this.from + ((x - GUTTER) / Math.max(this.chart.width - GUTTER, 1)) * (this.to - this.from);
  }

  // First and last row that can be seen.
  visible() {
    const top = this.scroll.scrollTop;
    let low = 0;
    let high = this.rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.rows[middle].top + this.rows[middle].height > top) high = middle;
      else low = middle + 1;
    }
    let last = low;
    while (last < this.rows.length && this.rows[last].top < top + this.chart.height) last++;
    return [low, last];
  }

  paint(context, width, height) {
    const theme = this.app.theme;
    context.fillStyle = theme.panel;
    context.fillRect(0, 0, width, height);
    if (!this.trace) return;
    this.paintAxis(context, width, height, theme);
    const [first, last] = this.visible();
    context.save();
    context.beginPath();
    context.rect(GUTTER, AXIS, width - GUTTER, height - AXIS);
    context.clip();
    this.paintLosses(context, height, theme);
    for (let i = first; i < last; i++) {
      const row = this.rows[i];
      const top = row.top - this.scroll.scrollTop;
      if (i % 2) {
        context.fillStyle = theme.band;
        context.fillRect(GUTTER, top, width - GUTTER, row.height);
      }
      for (let lane = 0; lane < row.lanes; lane++) {
        const y = top + 4 + lane * ROW;
        if (y > -ROW && y < height) this.paintLane(context, row.track, lane, y, width, theme);
      }
    }
    this.paintArrows(context, theme);
    context.restore();
    this.paintGutter(first, last);
    this.range.textContent = `${roughly(Math.max(this.from, 0))} – ${roughly(this.to)}, ${roughly(this.to - this.from)} across`;
  }

  paintAxis(context, width, height, theme) {
    const [marks, step] = ticks(Math.max(this.from, 0), this.to, width - GUTTER, 110);
    context.font = MONO;
    for (const mark of marks) {
      const x = Math.round(this.x(mark)) + 0.5;
      context.strokeStyle = theme.line;
      context.beginPath();
      context.moveTo(x, AXIS);
      context.lineTo(x, height);
      context.stroke();
      context.fillStyle = theme.faint;
      context.fillText(tickLabel(mark, step), x + 3, AXIS / 2);
    }
    context.strokeStyle = theme.line;
    context.beginPath();
    context.moveTo(0, AXIS - 0.5);
    context.lineTo(width, AXIS - 0.5);
    context.moveTo(GUTTER - 0.5, 0);
    context.lineTo(GUTTER - 0.5, height);
    context.stroke();
  }

  paintLosses(context, height, theme) {
    context.fillStyle = theme.bad;
    for (const loss of this.trace.facts.losses) {
      const x = this.x(loss.first_ns);
      const across = Math.max(this.x(loss.last_ns) - x, 1);
      context.globalAlpha = 0.12;
      context.fillRect(x, AXIS, across, height);
      context.globalAlpha = 1;
      context.fillRect(x, AXIS, across, 3);
    }
  }

  paintLane(context, track, lane, y, width, theme) {
    const { trace, app } = this;
    const { order, busy } = trace;
    const high = track.lanes[lane + 1];
    const scale = (width - GUTTER) / (this.to - this.from);
    const pixel = 1 / scale;
    const dim = app.matches !== null;
    let at = trace.seek(track.lanes[lane], high, this.from);
    while (at < high) {
      const call = order[at];
      const start = trace.start[call];
      if (start >= this.to) break;
      const length = trace.duration[call];
      let x = GUTTER + (start - this.from) * scale;
      let across = length * scale;
      const matched = !dim || app.matches[trace.fn[call]];
      if (across < 1) {
        // All calls within this pixel in one stroke; at least a quarter strong, so that single ones can be seen.
        const end = Math.max(start + pixel, start + length);
        const next = Math.max(trace.seek(at, high, end), at + 1);
        const share = Math.min((busy[next] - busy[at]) / pixel, 1);
        context.globalAlpha = (0.25 + 0.75 * share) * (matched ? 1 : 0.25);
        context.fillStyle = app.palette.fill(trace.functions[trace.fn[call]].name);
        context.fillRect(x, y, 1.2, ROW - 2);
        context.globalAlpha = 1;
        at = next;
        continue;
      }
      if (x < GUTTER) {
        across -= GUTTER - x;
        x = GUTTER;
      }
      across = Math.min(across, width - x + 4);
      this.paintBar(context, call, x, y, across, matched, theme);
      at++;
    }
  }

  paintBar(context, call, x, y, across, matched, theme) {
    const { trace, app } = this;
    const name = trace.functions[trace.fn[call]].name;
    const state = trace.stateOf(call);
    const gap = across > 3 ? 1 : 0;
    context.globalAlpha = matched ? 1 : 0.22;
    context.fillStyle = app.palette.fill(name);
    context.fillRect(x, y, across - gap, ROW - 2);
    if (state === "panicked" || state === "goexit") {
      context.fillStyle = theme.bad;
      context.fillRect(x, y + ROW - 4, across - gap, 2);
    } else if (state === "lost" || state === "open") {
      // No end was recorded: the right edge is torn.
      context.fillStyle = theme.panel;
      for (let k = 0; k < 4; k++) context.fillRect(x + across - gap - (k % 2 ? 2 : 4), y + k * 4, 4, 4);
    }
    context.globalAlpha = 1;
    if (app.selected === call) {
      context.strokeStyle = theme.accent;
      context.lineWidth = 2;
      context.strokeRect(x + 1, y + 1, Math.max(across - gap - 2, 1), ROW - 4);
      context.lineWidth = 1;
    }
    if (matched && across > 24) this.chart.name(shortName(name), name, x, y, across - gap, ROW - 2, theme.bar);
  }

  // From the call that started a goroutine to the goroutine's first call, for what is selected.
  paintArrows(context, theme) {
    const { trace, app } = this;
    if (app.selected < 0) return;
    const own = trace.tracks[trace.trackOf(app.selected)];
    context.strokeStyle = theme.accent;
    context.fillStyle = theme.accent;
    let painted = 0;
    for (const [origin, target] of trace.facts.arrows) {
      if (origin !== app.selected && target !== own.first) continue;
      const [x0, y0] = this.place(origin);
      const [x1, y1] = this.place(target);
      const bend = Math.max(Math.min(Math.abs(x1 - x0) / 2, 80), 12);
      context.beginPath();
      context.moveTo(x0, y0);
      context.bezierCurveTo(x0 + bend, y0, x1 - bend, y1, x1 - 2, y1);
      context.stroke();
      context.beginPath();
      context.arc(x1 - 2, y1, 3, 0, 7);
      context.fill();
      if (++painted === 200) break;
    }
  }

  place(call) {
    const row = this.rowOf(call);
    const lane = Math.min(this.trace.depth[call], row.lanes - 1);
    return [this.x(this.trace.start[call]), row.top - this.scroll.scrollTop + 4 + lane * ROW + ROW / 2];
  }

  rowOf(call) {
    const number = this.trace.trackOf(call);
    return this.rows.find((row) => row.number === number);
  }

  paintGutter(first, last) {
    const key = `${first} ${last} ${this.trace.number} ${this.byBusy} ${[...this.folded].join()}`;
    if (key === this.gutterKey) return;
    this.gutterKey = key;
    const made = [];
    for (let i = first; i < last; i++) {
      const { track, number, top, height } = this.rows[i];
      const { facts } = track;
      const folded = this.folded.has(number);
      const fold = element("button", {
        type: "button",
        class: "fold",
        text: folded ? "▸" : "▾",
        "aria-expanded": String(!folded),
        "aria-label": `${folded ? "Unfold" : "Fold"} ${facts.title}`,
        onclick: () => {
          if (folded) this.folded.delete(number);
          else this.folded.add(number);
          this.layout();
        },
      });
      if (track.lanes.length <= 2) fold.style.visibility = "hidden";
      const more = facts.created ? `started by ${facts.created}` : "";
      const title = element("div", { class: "gutter-title", text: facts.title, title: facts.title });
      const note = element("div", { class: "gutter-note", text: `${count(facts.calls)} calls, ${roughly(facts.busy_ns)} busy` });
      const made_by = element("div", { class: "gutter-note", text: more.replace(/[^ ]*\//, ""), title: more });
      const item = element("div", { class: "gutter-item" }, fold, element("div", { class: "gutter-text" }, title, note, height > 52 ? made_by : null));
      item.style.top = `${top}px`;
      item.style.height = `${height}px`;
      made.push(item);
    }
    this.gutter.replaceChildren(...made);
  }

  window(from, to) {
    const span = Math.min(Math.max(to - from, LEAST_SPAN), this.trace.end + 2 * this.margin);
    const middle = (from + to) / 2;
    this.from = Math.min(Math.max(middle - span / 2, -this.margin), this.trace.end + this.margin - span);
    this.to = this.from + span;
    this.draw();
  }

  fit() {
    this.window(-this.margin, this.trace.end + this.margin);
  }

  zoom(factor, x = (GUTTER + this.chart.width) / 2) {
    const fixed = this.time(x);
    this.window(fixed - (fixed - this.from) * factor, fixed + (this.to - fixed) * factor);
  }

  pan(share) {
    const by = (this.to - this.from) * share;
    this.window(this.from + by, this.to + by);
  }

  zoomTo(call) {
    const { start, duration } = this.trace;
    const room = Math.max(duration[call] * 0.15, 10);
    this.window(start[call] - room, start[call] + duration[call] + room);
    this.reveal(call);
  }

  // Bring a call into the picture without changing the scale more than needed.
  reveal(call) {
    const row = this.rowOf(call);
    if (this.folded.delete(row.number)) this.layout();
    const y = row.top + 4 + this.trace.depth[call] * ROW;
    const { scrollTop } = this.scroll;
    if (y < scrollTop + AXIS || y > scrollTop + this.chart.height - 2 * ROW) this.scroll.scrollTop = y - this.chart.height / 3;
    const start = this.trace.start[call];
    const end = start + this.trace.duration[call];
    if (end < this.from || start > this.to) {
      const half = (this.to - this.from) / 2;
      this.window((start + end) / 2 - half, (start + end) / 2 + half);
    } else if ((end - start) * (this.chart.width - GUTTER) < 2 * (this.to - this.from)) {
      const half = Math.max((end - start) * 40, LEAST_SPAN);
      this.window((start + end) / 2 - half, (start + end) / 2 + half);
    }
    this.draw();
  }

  callAt(x, y) {
    const height = y + this.scroll.scrollTop;
    if (!this.trace || x < GUTTER || y < AXIS) return -1;
    const row = this.rows.find((each) => height >= each.top && height < each.top + each.height);
    if (!row) return -1;
    const lane = Math.floor((height - row.top - 4) / ROW);
    if (lane < 0 || lane >= row.lanes) return -1;
    const time = this.time(x);
    const slack = (2 * (this.to - this.from)) / this.chart.width;
    const at = this.trace.seek(row.track.lanes[lane], row.track.lanes[lane + 1], time - slack);
    if (at >= row.track.lanes[lane + 1]) return -1;
    const call = this.trace.order[at];
    return this.trace.start[call] <= time + slack ? call : -1;
  }

  listen() {
    const local = (event) => {
      const box = this.picture.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    this.scroll.addEventListener("scroll", () => this.draw());
    this.scroll.addEventListener(
      "wheel",
      (event) => {
        const unit = event.deltaMode === 1 ? 16 : 1;
        if (event.ctrlKey || event.metaKey) {
          event.preventDefault();
          this.zoom(Math.exp(Math.max(Math.min(event.deltaY * unit, 120), -120) / 220), local(event)[0]);
        } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
          event.preventDefault();
          this.pan(((event.deltaX || event.deltaY) * unit) / this.chart.width);
        }
      },
      { passive: false },
    );
    let drag = null;
    this.picture.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      drag = { x: event.clientX, y: event.clientY, from: this.from, to: this.to, top: this.scroll.scrollTop, moved: false };
    });
    window.addEventListener("pointermove", (event) => {
      if (!drag) return;
      const dx = event.clientX - drag.x;
      const dy = event.clientY - drag.y;
      if (!drag.moved && Math.hypot(dx, dy) < 4) return;
      if (!drag.moved) this.picture.classList.add("dragging");
      drag.moved = true;
      const by = (dx / (this.chart.width - GUTTER)) * (drag.to - drag.from);
      this.scroll.scrollTop = drag.top - dy;
      this.window(drag.from - by, drag.to - by);
      tip.hide();
    });
    window.addEventListener("pointerup", (event) => {
      this.picture.classList.remove("dragging");
      const click = drag && !drag.moved;
      drag = null;
      if (click) this.app.select(this.callAt(...local(event)), "chart");
    });
    this.picture.addEventListener("pointermove", (event) => {
      if (drag && drag.moved) return;
      const call = this.callAt(...local(event));
      if (call < 0) tip.hide();
      else tip.show(event.clientX, event.clientY, this.app.summary(call));
    });
    this.picture.addEventListener("pointerleave", () => tip.hide());
    this.picture.addEventListener("dblclick", (event) => {
      const call = this.callAt(...local(event));
      if (call >= 0) this.zoomTo(call);
    });
    this.scroll.addEventListener("keydown", (event) => this.key(event));
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { trace, app } = this;
    const act = {
      w: () => this.zoom(0.7),
      "+": () => this.zoom(0.7),
      "=": () => this.zoom(0.7),
      s: () => this.zoom(1.4),
      "-": () => this.zoom(1.4),
      a: () => this.pan(-0.2),
      d: () => this.pan(0.2),
      0: () => this.fit(),
      Enter: () => app.selected >= 0 && this.zoomTo(app.selected),
      Escape: () => app.select(-1),
      ArrowUp: () => this.step(app.selected < 0 ? -1 : trace.parent[app.selected]),
      ArrowDown: () => this.step(app.selected >= 0 && trace.size[app.selected] > 1 ? app.selected + 1 : -1),
      ArrowRight: () => this.step(this.beside(1)),
      ArrowLeft: () => this.step(this.beside(-1)),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    if (app.selected < 0 && event.key.startsWith("Arrow") && trace.facts.kept) return app.select(this.firstShown(), "key");
    act();
  }

  step(call) {
    if (call >= 0) this.app.select(call, "key");
  }

  firstShown() {
    const [first, last] = this.visible();
    for (const { track } of this.rows.slice(first, last)) {
      const at = this.trace.seek(track.lanes[0], track.lanes[1], this.from);
      if (at < track.lanes[1]) return this.trace.order[at];
    }
    return 0;
  }

  // The neighbour in the same lane, or -1.
  beside(by) {
    const { trace, app } = this;
    const track = trace.tracks[trace.trackOf(app.selected)];
    const lane = trace.depth[app.selected];
    let low = track.lanes[lane];
    let high = track.lanes[lane + 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (trace.order[middle] < app.selected) low = middle + 1;
      else high = middle;
    }
    const next = low + by;
    return next >= track.lanes[lane] && next < track.lanes[lane + 1] ? trace.order[next] : -1;
  }
}
