// The table of functions: every number of `funcrec stat`, sorted by any column.

const COLUMNS = [
  ["name", "Function", (each) => each.name],
  ["calls", "Calls", (each) => count(each.calls)],
  ["total_ns", "Total", (each) => duration(each.total_ns)],
  ["self_ns", "Self", (each) => duration(each.self_ns)],
  ["min_ns", "Min", (each) => duration(each.min_ns)],
  ["p50_ns", "p50", (each) => duration(each.p50_ns)],
  ["p90_ns", "p90", (each) => duration(each.p90_ns)],
  ["p99_ns", "p99", (each) => duration(each.p99_ns)],
  ["max_ns", "Max", (each) => duration(each.max_ns)],
  ["unusual", "Not returned", (each) => unusual(each)],
];
const ROWS_AT_FIRST = 300;

const unusual = (each) =>
  Object.entries(each.states)
    .map(([state, n]) => `${count(n)} ${state}`)
    .join(", ");

class Functions {
  constructor(app, box) {
    this.app = app;
    this.key = "total_ns";
    this.down = true;
    this.note = element("p", { class: "faint table-note" });
    this.head = element("tr");
    this.body = element("tbody");
    this.more = element("button", { type: "button", class: "more", onclick: () => this.fill(Infinity) });
    for (const [key, title] of COLUMNS) {
      const sort = element("button", { type: "button", text: title, onclick: () => this.sort(key) });
      this.head.append(element("th", { scope: "col", class: key === "name" || key === "unusual" ? "" : "number" }, sort));
    }
    const table = element("table", { class: "functions" }, element("thead", {}, this.head), this.body);
    box.append(element("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": "Functions" }, table, this.more, this.note));
  }

  show(trace) {
    this.trace = trace;
    this.fill(ROWS_AT_FIRST);
  }

  sort(key) {
    this.down = this.key === key ? !this.down : key !== "name";
    this.key = key;
    this.fill(ROWS_AT_FIRST);
  }

  value(each) {
    if (this.key === "unusual") return Object.values(each.states).reduce((sum, n) => sum + n, 0);
    return this.key === "name" ? each.name : each[this.key] ?? -1;
  }

  fill(most) {
    const { app, trace } = this;
    const matches = app.matches;
    const rows = trace.functions.filter((each, i) => each.calls && (!matches || matches[i]));
    rows.sort((a, b) => {
      const [one, other] = [this.value(a), this.value(b)];
      return (one < other ? -1 : one > other ? 1 : 0) * (this.down ? -1 : 1) || (a.name < b.name ? -1 : 1);
    });
    [...this.head.children].forEach((cell, i) => {
      const own = COLUMNS[i][0] === this.key;
      cell.setAttribute("aria-sort", own ? (this.down ? "descending" : "ascending") : "none");
    });
    const most_total = rows.reduce((sum, each) => Math.max(sum, each.total_ns), 1);
    this.body.replaceChildren(...rows.slice(0, most).map((each) => this.row(each, most_total)));
    this.more.hidden = rows.length <= most;
    this.more.textContent = `Show all ${count(rows.length)} functions`;
    const calls = rows.reduce((sum, each) => sum + each.calls, 0);
    this.note.textContent = `${count(rows.length)} functions, ${count(calls)} calls. Self time is without that of recorded callees; total counts a call within itself twice.`;
  }

  row(each, most_total) {
    const { app } = this;
    const cells = COLUMNS.map(([key, , text]) => {
      if (key !== "name") return element("td", { class: key === "unusual" ? "state" : "number", text: text(each) });
      const swatch = element("span", { class: "swatch" });
      swatch.style.background = app.palette.fill(each.name);
      const open = element("button", { type: "button", class: "link name", text: each.name, title: `Distribution of ${each.name}`, onclick: () => app.showDistribution(each.name) });
      return element("td", { class: "function" }, swatch, open, element("span", { class: "faint place", text: each.place }));
    });
    const share = (100 * each.total_ns) / most_total;
    cells[2].style.background = `linear-gradient(to left, var(--share) ${share}%, transparent ${share}%)`;
    return element("tr", {}, ...cells);
  }
}
