// Puts the parts together: tabs, search, theme, selection.

class App {
  constructor(facts, traces) {
    this.facts = facts;
    this.traces = traces;
    this.current = traces.length - 1;
    this.selected = -1;
    this.query = "";
    this.matches = null;
    this.palette = new Palette(traces);
    const tab = (name) => document.getElementById(`view-${name}`);
    this.dark = window.matchMedia("(prefers-color-scheme: dark)");
    this.readTheme();
    this.details = new Details(this, document.getElementById("details"));
    this.timeline = new Timeline(this, document.getElementById("chart"));
    this.views = { timeline: this.timeline, flame: new Flame(this, tab("flame")), functions: new Functions(this, tab("functions")) };
    this.distribution = new Distribution(this, tab("distribution"));
    this.compare = facts.comparison ? new Compare(this, tab("compare")) : null;
    this.tabs = [...document.querySelectorAll("[role=tab]")].filter((each) => this.compare || each.id !== "tab-compare");
    if (!this.compare) document.getElementById("tab-compare").remove();
    this.head();
    this.listen();
    this.showTrace(this.current);
    this.open("timeline");
  }

  get trace() {
    return this.traces[this.current];
  }

  head() {
    const { facts } = this.trace;
    const binary = facts.binary.slice(facts.binary.lastIndexOf("/") + 1);
    document.title = `${this.traces.map((trace) => trace.facts.name).join(" → ")} – funcrec`;
    document.getElementById("title").textContent = binary || facts.name;
    const chips = [
      [this.traces.map((trace) => trace.facts.name).join(" → ")],
      [facts.host, "Host"],
      [facts.go, "Go version"],
      [facts.started.replace("T", " ").replace("+00:00", " UTC"), "Start of the recording"],
    ];
    document.getElementById("facts-line").replaceChildren(...chips.filter(([text]) => text).map(([text, title]) => element("span", { text, title })));
    const select = document.getElementById("which");
    select.hidden = this.traces.length < 2;
    select.replaceChildren(...this.traces.map((trace, i) => new Option(`${["base", "new"][i]}: ${trace.facts.name}`, String(i))));
    select.value = String(this.current);
  }

  numbers() {
    const { facts, tracks, functions } = this.trace;
    const number = (value, name, bad) => element("div", { class: bad ? "number-chip bad" : "number-chip" }, element("b", { text: value }), element("span", { text: name }));
    document.getElementById("numbers").replaceChildren(
      number(count(facts.calls), facts.calls < facts.recorded ? `of ${count(facts.recorded)} calls` : "calls"),
      number(count(functions.filter((each) => each.calls).length), "functions"),
      number(count(facts.tracks.length), "goroutines"),
      number(roughly(facts.length_ns), "recorded"),
      number(count(facts.lost), "events lost", facts.lost > 0),
    );
    const notes = [...facts.cut];
    if (facts.lost) notes.unshift(`${count(facts.lost)} events are missing: counts are too low and some calls have no end`);
    const known = facts.notes.map((text) => element("p", { class: "known", text }));
    document.getElementById("notes").replaceChildren(...notes.map((text) => element("p", { text })), ...known);
  }

  showTrace(number) {
    this.current = number;
    this.selected = -1;
    this.head();
    this.numbers();
    this.search(this.query);
    for (const view of Object.values(this.views)) view.show(this.trace);
    this.details.show(-1);
  }

  open(name) {
    this.tab = name;
    for (const tab of this.tabs) {
      const own = tab.id === `tab-${name}`;
      tab.setAttribute("aria-selected", String(own));
      tab.tabIndex = own ? 0 : -1;
      document.getElementById(tab.getAttribute("aria-controls")).hidden = !own;
    }
    tip.hide();
    this.refresh();
  }

  refresh() {
    if (this.tab === "timeline") this.timeline.draw();
    else if (this.tab === "flame") this.views.flame.layout();
    else if (this.tab === "functions") this.views.functions.fill(ROWS_AT_FIRST);
    else if (this.tab === "distribution") this.distribution.draw();
    else this.compare.draw();
  }

  showDistribution(name) {
    this.open("distribution");
    this.distribution.show(name);
    this.distribution.view.scrollTop = 0;
  }

  select(call, how = "") {
    this.selected = call;
    this.details.show(call);
    if (call >= 0 && how === "key") {
      if (this.tab !== "timeline") this.open("timeline");
      this.timeline.reveal(call);
      this.say(this.summary(call).join(", "));
    }
    this.timeline.draw();
  }

  summary(call) {
    const { trace } = this;
    const state = trace.stateOf(call);
    const lines = [trace.functions[trace.fn[call]].name, duration(trace.duration[call])];
    if (trace.size[call] > 1) lines[1] += `, ${duration(trace.selfTime(call))} itself`;
    if (state !== "returned") lines.push(state === "open" ? "still open at the end" : state);
    return lines;
  }

  say(text) {
    document.getElementById("spoken").textContent = text;
  }

  search(text) {
    this.query = text.trim().toLowerCase();
    const { trace } = this;
    this.matches = this.query ? Uint8Array.from(trace.functions, (each) => each.name.toLowerCase().includes(this.query)) : null;
    const found = document.getElementById("found");
    if (!this.matches) found.textContent = "";
    else {
      const hit = trace.functions.filter((each, i) => this.matches[i] && each.calls);
      found.textContent = `${count(hit.length)} functions, ${count(hit.reduce((sum, each) => sum + each.calls, 0))} calls`;
    }
  }

  // The next or previous matching call in order of time on its goroutine, then the next goroutine.
  next(by) {
    if (!this.matches) return;
    const { trace } = this;
    const n = trace.fn.length;
    let call = this.selected >= 0 ? this.selected : by > 0 ? -1 : n;
    for (let steps = 0; steps < n; steps++) {
      call = (call + by + n) % n;
      if (this.matches[trace.fn[call]]) return this.select(call, "key");
    }
  }

  readTheme() {
    const chosen = document.documentElement.dataset.theme;
    this.palette.setDark(chosen ? chosen === "dark" : this.dark.matches);
    this.theme = this.palette.theme();
  }

  listen() {
    const box = document.getElementById("search");
    box.addEventListener("input", () => {
      this.search(box.value);
      this.refresh();
    });
    box.addEventListener("keydown", (event) => {
      if (event.key === "Enter") {
        event.preventDefault();
        this.next(event.shiftKey ? -1 : 1);
      } else if (event.key === "Escape") {
        box.value = "";
        this.search("");
        this.refresh();
        box.blur();
      }
    });
    document.getElementById("which").addEventListener("change", (event) => {
      this.showTrace(Number(event.target.value));
      this.refresh();
    });
    document.getElementById("theme").addEventListener("click", () => {
      const root = document.documentElement;
      root.dataset.theme = (root.dataset.theme || (this.dark.matches ? "dark" : "light")) === "dark" ? "light" : "dark";
      this.retheme();
    });
    this.dark.addEventListener("change", () => this.retheme());
    for (const tab of this.tabs) tab.addEventListener("click", () => this.open(tab.id.slice(4)));
    document.querySelector("[role=tablist]").addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!by) return;
      const at = this.tabs.findIndex((tab) => tab.id === `tab-${this.tab}`);
      const next = this.tabs[(at + by + this.tabs.length) % this.tabs.length];
      this.open(next.id.slice(4));
      next.focus();
    });
    const help = document.getElementById("help");
    document.getElementById("help-button").addEventListener("click", () => help.showModal());
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select")) return;
      if (event.key === "/") box.focus();
      else if (event.key === "?") help.showModal();
      else if (event.key === "n") this.next(1);
      else if (event.key === "N") this.next(-1);
      else if (event.key >= "1" && event.key <= String(this.tabs.length)) this.open(this.tabs[event.key - 1].id.slice(4));
      else return;
      event.preventDefault();
    });
  }

  retheme() {
    this.readTheme();
    this.details.show(this.selected);
    this.timeline.draw();
    this.refresh();
  }
}

const start = async () => {
  const begun = performance.now();
  const facts = JSON.parse(document.getElementById("facts").textContent);
  const traces = [];
  for (const [number, each] of facts.traces.entries()) traces.push(await Trace.load(number, each));
  document.getElementById("loading").remove();
  document.getElementById("app").hidden = false;
  new App(facts, traces);
  document.documentElement.dataset.ready = String(Math.round(performance.now() - begun));
};

start().catch((error) => {
  const box = document.getElementById("loading");
  if (box) box.textContent = `This page cannot be shown here: ${error.message}. A browser of 2023 or later is needed.`;
  throw error;
});
