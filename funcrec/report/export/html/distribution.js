// How long calls of one function took: bars per duration, and with buckets one row per bucket, base beside new.

class Distribution {
  constructor(app, box) {
    this.app = app;
    this.pick = element("select", { "aria-label": "Function", onchange: () => this.show(this.pick.value) });
    this.fine = element("input", { type: "checkbox", onchange: () => this.draw() });
    this.view = element("div", { class: "distribution", tabindex: "0", role: "region", "aria-label": "Distribution" });
    box.append(element("div", { class: "toolbar" }, this.pick, element("label", {}, this.fine, " four bars per octave")), this.view);
    const totals = new Map();
    for (const trace of app.traces) for (const each of trace.functions) totals.set(each.name, (totals.get(each.name) || 0) + each.total_ns + each.calls);
    const names = [...totals.keys()].filter((name) => totals.get(name)).sort((a, b) => totals.get(b) - totals.get(a));
    this.pick.append(...names.map((name) => new Option(name, name)));
    // Above all, what was asked to be bucketed.
    const bucketed = app.traces[0].facts.buckets;
    this.name = bucketed && bucketed.length ? bucketed[0].function : names[0];
  }

  show(name) {
    this.name = name;
    this.pick.value = name;
    this.draw();
  }

  draw() {
    if (this.name === undefined) return this.view.replaceChildren(element("p", { class: "faint", text: "no calls" }));
    this.pick.value = this.name;
    const sides = this.app.traces.map((trace) => this.side(trace));
    const parts = [element("h2", { class: "name", text: this.name }), this.moments(sides), this.histogram(sides)];
    if (this.app.facts.by) parts.push(...this.buckets());
    this.view.replaceChildren(...parts);
  }

  // Functions of one name (methods of generic types may share it) added up.
  side(trace) {
    const rows = trace.functions.filter((each) => each.name === this.name && each.calls);
    return { trace, row: rows.reduce((most, each) => (!most || each.calls > most.calls ? each : most), null) };
  }

  moments(sides) {
    const head = ["", "Calls", "Min", "p50", "p90", "p99", "Max", "Total"];
    const body = sides.map(({ trace, row }, i) => {
      const title = element("th", { scope: "row" }, this.mark(i), trace.facts.name);
      if (!row) return element("tr", {}, title, element("td", { text: "no calls", colspan: "7" }));
      const cells = [count(row.calls), ...["min_ns", "p50_ns", "p90_ns", "p99_ns", "max_ns", "total_ns"].map((key) => duration(row[key]))];
      return element("tr", {}, title, ...cells.map((text) => element("td", { class: "number", text })));
    });
    return element("table", { class: "moments" }, element("thead", {}, element("tr", {}, ...head.map((text, i) => element("th", { text, scope: "col", class: i ? "number" : "" })))), element("tbody", {}, ...body));
  }

  mark(i) {
    return element("span", { class: `mark side-${this.app.traces.length > 1 ? i : 1}` });
  }

  // [from, to, [count per side]] rows without a gap from the first to the last call.
  bins(histograms) {
    const { edges } = this.app.facts;
    const fine = this.fine.checked;
    const rows = new Map();
    histograms.forEach((histogram, side) => {
      for (const [bin, n] of histogram) {
        const low = edges[bin];
        const key = fine ? bin : low < 1 ? -1 : Math.floor(Math.log2(low) + 1e-9);
        if (!rows.has(key)) rows.set(key, histograms.map(() => 0));
        rows.get(key)[side] += n;
      }
    });
    const keys = [...rows.keys()].sort((a, b) => a - b);
    const found = [];
    for (let key = keys[0]; key <= keys[keys.length - 1]; key++) {
      const [from, to] = fine ? [edges[key], edges[key + 1]] : key < 0 ? [0, 1] : [2 ** key, 2 ** (key + 1)];
      found.push([from, to, rows.get(key) || histograms.map(() => 0)]);
    }
    return found;
  }

  histogram(sides) {
    const bins = this.bins(sides.map(({ row }) => (row ? row.histogram : [])));
    if (!bins.length) return element("p", { class: "faint", text: "no call has a known duration" });
    const totals = sides.map(({ row }) => Math.max(row ? row.ended : 0, 1));
    const most = Math.max(...bins.flatMap(([, , counts]) => counts.map((n, i) => n / totals[i])));
    const body = bins.map(([from, to, counts]) => {
      const bars = counts.map((n, i) => {
        const bar = element("div", { class: `bar side-${sides.length > 1 ? i : 1}` });
        bar.style.width = n ? `max(${(100 * n) / totals[i] / most}%, 2px)` : "0";
        return bar;
      });
      const label = element("th", { scope: "row", text: `[${roughly(from)}, ${roughly(to)})` });
      const numbers = counts.map((n) => element("td", { class: "number", text: n ? count(n) : "" }));
      const shares = counts.map((n, i) => element("td", { class: "number faint", text: n ? percent(n / totals[i]) : "" }));
      return element("tr", {}, label, ...counts.flatMap((_, i) => [numbers[i], shares[i]]), element("td", { class: "bars" }, ...bars));
    });
    return element("table", { class: "histogram" }, element("caption", { text: "Calls by duration" }), element("tbody", {}, ...body));
  }

  // One row per bucket of `--by`: percentiles, and where its calls lie on a common scale of durations.
  buckets() {
    const sides = this.app.traces.map((trace) => new Map((trace.facts.buckets || []).filter((each) => each.function === this.name).map((each) => [each.bucket, each])));
    const names = [...new Set(sides.flatMap((side) => [...side.keys()]))];
    if (!names.length) return [];
    if (names.every((name) => !Number.isNaN(Number(name)))) names.sort((a, b) => a - b);
    const all = sides.flatMap((side) => [...side.values()]).flatMap((each) => each.histogram.map(([bin]) => bin));
    const range = [Math.min(...all), Math.max(...all)];
    const verdicts = new Map((this.app.facts.bucket_comparison || []).filter((row) => row.key[0] === this.name).map((row) => [row.key[1], row]));
    const head = [this.app.facts.by, "", "Calls", "p50", "p99", ...(verdicts.size ? ["Change of p50"] : []), `${roughly(this.app.facts.edges[range[0]])} to ${roughly(this.app.facts.edges[range[1] + 1])}`];
    const body = names.flatMap((name) =>
      sides.map((side, i) => {
        const row = side.get(name);
        const cells = [];
        if (!i) cells.push(element("th", { scope: "row", text: name, rowspan: String(sides.length) }));
        cells.push(element("td", {}, this.mark(i)));
        for (const text of row ? [count(row.calls), duration(row.p50_ns), duration(row.p99_ns)] : ["–", "–", "–"]) cells.push(element("td", { class: "number", text }));
        if (verdicts.size && !i) cells.push(element("td", { rowspan: String(sides.length) }, ...(verdicts.has(name) ? [verdictChip(verdicts.get(name).verdict), shiftText(verdicts.get(name).p50)] : [])));
        cells.push(element("td", { class: "strip" }, row ? this.strip(row, range, i) : null));
        return element("tr", {}, ...cells);
      }),
    );
    const table = element("table", { class: "buckets" }, element("caption", { text: `By ${this.app.facts.by}` }), element("thead", {}, element("tr", {}, ...head.map((text) => element("th", { text, scope: "col" })))), element("tbody", {}, ...body));
    return [table];
  }

  strip(row, [low, high], side) {
    const strip = element("div", { class: "strip-box", role: "img", "aria-label": `p50 ${duration(row.p50_ns)}, p99 ${duration(row.p99_ns)}` });
    const most = Math.max(...row.histogram.map(([, n]) => n));
    const width = 100 / (high - low + 1);
    for (const [bin, n] of row.histogram) {
      const cell = element("i", { class: `side-${this.app.traces.length > 1 ? side : 1}` });
      cell.style.left = `${(bin - low) * width}%`;
      cell.style.width = `${width}%`;
      cell.style.opacity = String(0.12 + 0.88 * Math.sqrt(n / most));
      strip.append(cell);
    }
    return strip;
  }
}
