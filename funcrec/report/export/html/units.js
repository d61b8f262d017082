// Numbers for people; the same forms as the command line prints.

const duration = (ns) => {
  if (ns === null || ns === undefined || Number.isNaN(ns)) return "–";
  const size = Math.abs(ns);
  if (size < 1e3) return `${Math.round(ns)} ns`;
  if (size < 1e6) return `${(ns / 1e3).toFixed(3)} us`;
  if (size < 1e9) return `${(ns / 1e6).toFixed(3)} ms`;
  return `${(ns / 1e9).toFixed(3)} s`;
};

// For axes and chips: as many digits as say something.
const roughly = (ns) => {
  if (ns === null || ns === undefined) return "–";
  if (ns === 0) return "0";
  const [factor, unit] = ns < 1e3 ? [1, "ns"] : ns < 1e6 ? [1e3, "us"] : ns < 1e9 ? [1e6, "ms"] : [1e9, "s"];
  return `${Number((ns / factor).toPrecision(3))} ${unit}`;
};

const count = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, "\u2009");

const percent = (share) => `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;

const ratio = (value) => (value === null ? "–" : `× ${value.toFixed(value < 10 ? 2 : 1)}`);

// github.com/acme/shop/db.(*Pool).Get -> db.(*Pool).Get; what stands in brackets keeps its paths out of the way.
const shortName = (name) => {
  const bracket = name.indexOf("[");
  const head = bracket < 0 ? name : name.slice(0, bracket);
  return name.slice(head.lastIndexOf("/") + 1);
};

const packageOf = (name) => {
  const bracket = name.indexOf("[");
  const head = bracket < 0 ? name : name.slice(0, bracket);
  const dot = head.indexOf(".", head.lastIndexOf("/") + 1);
  return dot < 0 ? "" : head.slice(0, dot);
};

// The only way elements are made here. Text goes in as text, never as markup.
const element = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "text") made.textContent = value;
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
};
