// Two traces: which functions became slower or faster, and how sure that is.

const verdictChip = (verdict) => element("span", { class: `verdict ${verdict}`, text: verdict });

const shiftText = (shift) => {
  if (shift.ratio === null) return element("span", { class: "faint", text: "" });
  const low = shift.low === null ? "" : shift.low.toFixed(2);
  const high = shift.high === null ? "" : shift.high.toFixed(2);
  return element("span", { class: "shift" }, element("b", { text: ` ${ratio(shift.ratio)} ` }), element("span", { class: "faint", text: `${low} … ${high}` }));
};

class Compare {
  constructor(app, box) {
    this.app = app;
    this.verdict = element("p", { class: "headline" });
    this.body = element("tbody");
    const [base, fresh] = app.traces.map((trace) => trace.facts.name);
    const head = ["Function", "Verdict", "p50 new / base, 95 % interval", "", `p50 ${base}`, `p50 ${fresh}`, `p99 ${base}`, `p99 ${fresh}`, "Calls"];
    const row = element("tr", {}, ...head.map((text, i) => element("th", { text, scope: "col", class: i > 3 ? "number" : "" })));
    const note = "Ratios are of medians, with an interval that holds for the serial correlation and the long tails of latencies. ";
    const cost = app.traces.flatMap((trace) => trace.facts.notes.map((line) => `${trace.facts.name}: ${line}.`)).join(" ");
    box.append(
      element("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": "Comparison" }, this.verdict, element("table", { class: "functions compare" }, element("thead", {}, row), this.body), element("p", { class: "faint table-note", text: note + cost })),
    );
  }

  draw() {
    const rows = this.app.facts.comparison;
    const query = this.app.query;
    const order = ["slower", "faster", "only-new", "only-base", "same", "unsure"];
    const shown = rows.filter((row) => !query || row.key[0].toLowerCase().includes(query));
    shown.sort((a, b) => order.indexOf(a.verdict) - order.indexOf(b.verdict) || this.weight(b) - this.weight(a));
    const n = (verdict) => rows.filter((row) => row.verdict === verdict).length;
    this.verdict.replaceChildren(...order.filter(n).flatMap((verdict) => [element("b", { text: String(n(verdict)) }), " ", verdictChip(verdict), "  "]));
    this.body.replaceChildren(...shown.slice(0, 1000).map((row) => this.row(row)));
  }

  weight(row) {
    return row.base.total_ns + row.new.total_ns;
  }

  row(row) {
    const { app } = this;
    const name = row.key[0];
    const open = element("button", { type: "button", class: "link name", text: name, onclick: () => app.showDistribution(name) });
    const number = (text) => element("td", { class: "number", text });
    return element(
      "tr",
      {},
      element("td", { class: "function" }, open),
      element("td", {}, verdictChip(row.verdict)),
      element("td", {}, shiftText(row.p50)),
      element("td", {}, this.whisker(row)),
      number(duration(row.base.p50_ns)),
      number(duration(row.new.p50_ns)),
      number(duration(row.base.p99_ns)),
      number(duration(row.new.p99_ns)),
      number(`${count(row.base.calls)} → ${count(row.new.calls)}`),
    );
  }

  // The interval on a scale of halves and doubles: the middle is no change.
  whisker(row) {
    const { ratio: middle, low, high } = row.p50;
    const box = element("div", { class: "whisker", "aria-hidden": "true" });
    if (middle === null) return box;
    const place = (value) => 50 + 50 * Math.max(-1, Math.min(1, Math.log2(Math.max(value, 1e-9)) / 2));
    const line = element("i", { class: `span ${row.verdict}` });
    line.style.left = `${place(low ?? 0)}%`;
    line.style.right = `${100 - place(high ?? 1e9)}%`;
    const dot = element("i", { class: `dot ${row.verdict}` });
    dot.style.left = `${place(middle)}%`;
    box.append(element("i", { class: "one" }), line, dot);
    return box;
  }
}
