// How busy the whole recording is over time, and the window that the flame chart shows of it.

class Overview {
  constructor(app, timeline) {
    this.app = app;
    this.timeline = timeline;
    this.box = element("div", { class: "map", title: "Whole recording: drag to choose a window" });
    this.surface = new Surface(this.box, (...all) => this.paint(...all));
    this.listen();
  }

  show(trace) {
    this.trace = trace;
    this.density = null;
  }

  draw() {
    this.surface.draw();
  }

  paint(context, width, height) {
    const { timeline } = this;
    const theme = this.app.theme;
    context.fillStyle = theme.page;
    context.fillRect(0, 0, width, height);
    if (!this.trace) return;
    const bins = Math.max(Math.floor(width / 2), 1);
    if (!this.density || this.density.length !== bins) this.density = this.measure(bins);
    context.fillStyle = theme.accent;
    context.globalAlpha = 0.55;
    for (let i = 0; i < bins; i++) {
      const tall = Math.ceil(this.density[i] * (height - 4));
      if (tall) context.fillRect((i * width) / bins, height - tall, width / bins, tall);
    }
    context.globalAlpha = 1;
    const scale = width / this.trace.end;
    context.fillStyle = theme.bad;
    for (const loss of this.trace.facts.losses) {
      context.fillRect(loss.first_ns * scale, 0, Math.max((loss.last_ns - loss.first_ns) * scale, 1), 3);
    }
    const left = Math.max(timeline.from * scale, 0);
    const right = Math.min(timeline.to * scale, width);
    context.fillStyle = theme.page;
    context.globalAlpha = 0.65;
    context.fillRect(0, 0, left, height);
    context.fillRect(right, 0, width - right, height);
    context.globalAlpha = 1;
    context.strokeStyle = theme.accent;
    context.strokeRect(left + 0.5, 0.5, Math.max(right - left - 1, 2), height - 1);
  }

  // Calls in the outermost lane of every goroutine, by time, as a share of the busiest moment.
  measure(bins) {
    const { trace } = this;
    const change = new Float64Array(bins + 2);
    const scale = bins / trace.end;
    for (const track of trace.tracks) {
      for (let k = track.lanes[0]; k < track.lanes[1]; k++) {
        const call = trace.order[k];
        const from = trace.start[call] * scale;
        const to = Math.min((trace.start[call] + trace.duration[call]) * scale, bins);
        const low = Math.floor(from);
        const high = Math.floor(to);
        if (low === high) {
          change[low] += to - from;
          change[low + 1] -= to - from;
          continue;
        }
        change[low] += low + 1 - from;
        change[low + 1] += 1 - (low + 1 - from);
        change[high] += to - high - 1;
        change[high + 1] -= to - high;
      }
    }
    let sum = 0;
    let most = 0;
    const level = new Float64Array(bins);
    for (let i = 0; i < bins; i++) {
      sum += change[i];
      level[i] = Math.max(sum, 0);
      most = Math.max(most, level[i]);
    }
    return most ? level.map((each) => Math.sqrt(each / most)) : level;
  }

  listen() {
    const { timeline } = this;
    let from = null;
    const time = (event) => ((event.clientX - this.box.getBoundingClientRect().left) / this.surface.width) * this.trace.end;
    this.box.addEventListener("pointerdown", (event) => {
      from = time(event);
      this.box.setPointerCapture(event.pointerId);
    });
    this.box.addEventListener("pointermove", (event) => {
      if (from === null) return;
      const to = time(event);
      if (Math.abs(to - from) * this.surface.width > 3 * this.trace.end) timeline.window(Math.min(from, to), Math.max(from, to));
    });
    this.box.addEventListener("pointerup", (event) => {
      const to = time(event);
      const half = (timeline.to - timeline.from) / 2;
      if (Math.abs(to - from) * this.surface.width <= 3 * this.trace.end) timeline.window(to - half, to + half);
      from = null;
    });
  }
}
