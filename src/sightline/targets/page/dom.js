// Building a page from text, never from HTML: whatever a label, a user or a file is called stays text. The server's pages use it, too.

/** An element: el("button", {class: "x", onclick: f}, "text", child). Properties only; no markup is ever parsed. */
export function el(name, properties = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "class") node.className = value;
    else if (key in node && typeof value !== "string") node[key] = value;
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Text of unknown direction (a label, a file name) that does not turn its surroundings around. */
export const text = (value) => el("bdi", {}, String(value));

export const percent = (share) => {
  const value = share * 100;
  if (value > 99.95 && share < 1) return "> 99.9 %";
  if (value > 0 && value < 0.05) return "< 0.1 %";
  return `${value.toFixed(value >= 99.95 || value === 0 ? 0 : 1)} %`;
};

export const milliseconds = (value) => `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;

export function callout(kind, title, ...lines) {
  const texts = lines.filter(Boolean).map((one) => el("p", {}, one));
  return el("div", { class: `callout ${kind}`, role: "note" }, el("strong", {}, title), ...texts);
}
