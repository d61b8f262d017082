// What is known of the selected call; with nothing selected, where the time went.

class Details {
  constructor(app, box) {
    this.app = app;
    this.box = box;
    box.setAttribute("aria-live", "polite");
  }

  async show(call) {
    const { app } = this;
    const turn = (this.turn = (this.turn || 0) + 1);
    if (call < 0) return this.box.replaceChildren(this.busiest());
    const trace = app.trace;
    const values = await trace.values(call);
    if (turn !== this.turn) return;
    const fn = trace.functions[trace.fn[call]];
    const swatch = element("span", { class: "swatch" });
    swatch.style.background = app.palette.fill(fn.name);
    const head = element(
      "div",
      { class: "details-head" },
      element("h2", {}, swatch, element("span", { class: "name", text: fn.name })),
      this.button("Zoom to it", () => app.timeline.zoomTo(call), "Enter"),
      this.button("Slowest call", () => app.select(this.slowest(trace.fn[call]), "key"), "of this function"),
      this.button("Distribution", () => app.showDistribution(fn.name)),
      this.button("Close", () => app.select(-1), "Escape"),
    );
    this.box.replaceChildren(head, element("div", { class: "details-body" }, this.facts(call), this.values(call, values), this.around(call)));
  }

  button(text, onclick, title = "") {
    return element("button", { type: "button", text, title, onclick });
  }

  facts(call) {
    const trace = this.app.trace;
    const state = trace.stateOf(call);
    const track = trace.tracks[trace.trackOf(call)];
    const [caller, place] = trace.caller[call] ? trace.facts.places[trace.caller[call] - 1] : ["", ""];
    const ended = !["open", "lost", "entry"].includes(state);
    const rows = [
      ["Duration", ended ? duration(trace.duration[call]) : state === "open" ? `${duration(trace.duration[call])} so far` : "not known"],
      ["Self", ended ? duration(trace.selfTime(call)) : "–"],
      ["Start", duration(trace.start[call])],
      ["Ended", { open: "still open at the end", lost: "its return was lost", entry: "only entries were recorded" }[state] || state],
      ["Where", track.facts.title],
      ["Called by", caller],
      ["At", place],
      ["Thread", String(trace.thread[call])],
      ["Call", `#${trace.row[call]}`],
    ];
    const list = element("dl", { class: "facts" });
    for (const [name, value] of rows) {
      if (!value) continue;
      const shown = element("dd", { text: value });
      if (name === "Ended" && state !== "returned") shown.className = `state ${state}`;
      list.append(element("dt", { text: name }), shown);
    }
    return list;
  }

  values(call, text) {
    const box = element("div", { class: "values" });
    if (text === null) {
      const none = this.app.trace.facts.columns.values ? "no values recorded for this call" : "the trace has no values";
      box.append(element("p", { class: "faint", text: none }));
      return box;
    }
    const [args, results] = exactJson(text);
    for (const [title, group] of [["Arguments", args], ["Results", results]]) {
      if (!Object.keys(group).length) continue;
      box.append(element("h3", { text: title }), valueTree(group));
    }
    return box;
  }

  around(call) {
    const trace = this.app.trace;
    const chain = [];
    for (let up = trace.parent[call]; up >= 0 && chain.length < 30; up = trace.parent[up]) chain.unshift(up);
    const [children, total] = trace.children(call, 12);
    const list = (title, calls) => [
      element("h3", { text: title }),
      element("ol", { class: "calls" }, ...calls.map((each) => element("li", {}, this.link(each)))),
    ];
    return element(
      "div",
      { class: "around" },
      ...(chain.length ? list("Called from", chain) : [element("p", { class: "faint", text: "outermost recorded call" })]),
      ...(total ? list(total > children.length ? `Calls (first ${children.length} of ${count(total)})` : "Calls", children) : []),
    );
  }

  link(call) {
    const trace = this.app.trace;
    const name = trace.functions[trace.fn[call]].name;
    const button = element("button", { type: "button", class: "link", title: name, onclick: () => this.app.select(call, "key") });
    button.append(element("span", { class: "name", text: shortName(name) }), element("span", { class: "faint", text: duration(trace.duration[call]) }));
    return button;
  }

  slowest(fn) {
    const trace = this.app.trace;
    let found = -1;
    for (let i = 0; i < trace.fn.length; i++) {
      if (trace.fn[i] === fn && (found < 0 || trace.duration[i] > trace.duration[found])) found = i;
    }
    return found;
  }

  busiest() {
    const { app } = this;
    const rows = app.trace.functions.filter((each) => each.calls).sort((a, b) => b.self_ns - a.self_ns || b.calls - a.calls).slice(0, 12);
    const most = rows.length ? Math.max(rows[0].self_ns, 1) : 1;
    const body = element("tbody");
    for (const each of rows) {
      const bar = element("div", { class: "share" });
      bar.style.width = `${(100 * each.self_ns) / most}%`;
      bar.style.background = app.palette.fill(each.name);
      const open = element("button", { type: "button", class: "link name", text: each.name, onclick: () => app.showDistribution(each.name) });
      body.append(
        element(
          "tr",
          {},
          element("td", { class: "bar-cell" }, bar),
          element("td", { class: "number", text: duration(each.self_ns) }),
          element("td", { class: "number", text: count(each.calls) }),
          element("td", { class: "number", text: duration(each.p50_ns) }),
          element("td", { class: "number", text: duration(each.p99_ns) }),
          element("td", {}, open),
        ),
      );
    }
    const head = ["", "Self", "Calls", "p50", "p99", "Function"].map((text, i) => element("th", { text, scope: "col", class: i && i < 5 ? "number" : "" }));
    return element(
      "div",
      { class: "busiest" },
      element("h2", { text: "Where the time went" }),
      element("table", {}, element("thead", {}, element("tr", {}, ...head)), body),
      element("p", { class: "faint", text: "Click a bar for its values and callers. Drag to pan, Ctrl and wheel or W and S to zoom, ? for all keys." }),
    );
  }
}

// JSON whose whole numbers may be too long for a double: those are kept as their digits.
const exactJson = (text) =>
  JSON.parse(text, (key, value, context) =>
    typeof value === "number" && context && !Number.isSafeInteger(value) && /^-?\d+$/.test(context.source) ? { $digits: context.source } : value,
  );

// Characters that reorder or hide text are shown by their numbers, as the command line does.
const visible = (text) =>
  text.replace(/[\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g, (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, "0")}`);

const valueText = (value) => {
  if (value === null) return ["nil", "nil"];
  if (typeof value === "string") return [visible(JSON.stringify(value)), "string"];
  if (typeof value !== "object") return [String(value), typeof value];
  if ("$digits" in value) return [value.$digits, "number"];
  if ("$hex" in value) return [`0x${value.$hex}`, "number"];
  if ("$ptr" in value) return [`→ ${value.$func ?? value.$ptr}`, "nil"];
  if ("$error" in value) return [`not readable: ${value.$error}`, "error"];
  return null;
};

// Nested lists, folded below the second level; all text.
const valueTree = (group, depth = 0) => {
  const list = element("ul", { class: "tree" });
  for (const [key, value] of Object.entries(group)) {
    const plain = valueText(value);
    const name = element("span", { class: "key", text: visible(key) });
    if (plain) {
      list.append(element("li", {}, name, element("span", { class: `value ${plain[1]}`, text: plain[0] })));
      continue;
    }
    const kind = Array.isArray(value) ? `${value.length} elements` : "$type" in value ? value.$type : "$truncated" in value ? `cut, ${value.$truncated} in all` : "";
    const inner = element("details", { open: depth < 2 }, element("summary", {}, name, element("span", { class: "faint", text: kind })), valueTree(value, depth + 1));
    list.append(element("li", {}, inner));
  }
  return list;
};
