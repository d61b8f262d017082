// Colours of functions: a part of the circle for each package, spread over its functions, so that neighbours differ
// and packages stay together. The same name has the same colour in both traces.

class Palette {
  constructor(traces) {
    const weight = new Map();
    for (const trace of traces) {
      for (const each of trace.functions) weight.set(each.name, (weight.get(each.name) || 0) + each.total_ns + each.calls);
    }
    const names = [...weight.keys()].sort((a, b) => weight.get(b) - weight.get(a) || (a < b ? -1 : 1));
    const members = new Map();
    for (const name of names) {
      if (!members.has(packageOf(name))) members.set(packageOf(name), []);
      members.get(packageOf(name)).push(name);
    }
    this.hues = new Map();
    let used = 0;
    for (const [, own] of members) {
      const sector = (360 * own.length) / names.length;
      own.forEach((name, turn) => {
        const place = members.size > 1 ? 0.1 + 0.8 * ((turn * 0.618034) % 1) : (turn * 0.618034) % 1;
        this.hues.set(name, [(255 + used + sector * place) % 360, turn % 3]);
      });
      used += sector;
    }
    this.cache = new Map();
    this.dark = false;
  }

  setDark(dark) {
    this.dark = dark;
    this.cache.clear();
  }

  fill(name) {
    let colour = this.cache.get(name);
    if (!colour) {
      const [hue, step] = this.hues.get(name) || [0, 0];
      colour = this.dark
        ? `oklch(${0.46 + 0.05 * step} 0.085 ${hue.toFixed(1)})`
        : `oklch(${0.86 - 0.04 * step} 0.085 ${hue.toFixed(1)})`;
      this.cache.set(name, colour);
    }
    return colour;
  }

  // The colours that the style sheet defines for the theme in force.
  theme() {
    const style = getComputedStyle(document.documentElement);
    const value = (name) => style.getPropertyValue(name).trim();
    return {
      text: value("--text"),
      faint: value("--faint"),
      line: value("--line"),
      panel: value("--panel"),
      page: value("--page"),
      accent: value("--accent"),
      bad: value("--bad"),
      bar: value("--bar-text"),
      band: value("--band"),
    };
  }
}
