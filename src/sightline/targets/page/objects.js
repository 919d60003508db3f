// What a detector found: boxes and points over the picture, a list beside it, and a slider for the least score.
import { colour, css, light, share } from "./colours.js";
import { el, percent, text } from "./dom.js";

const MOST_ROWS = 12;
const USUAL = 0.25;

export const threshold = (label, facts) => facts.thresholds[label] ?? USUAL;

/** {overlay, says}; `overlay` lies over the picture and follows every resize. */
export function objects(result, facts) {
  const overlay = el("div", { class: "overlay", "aria-hidden": "true" });
  const title = el("h2", { class: "title", role: "status" });
  const list = el("ul", { class: "found", "aria-label": "Objects, best first" });
  const value = el("output", { class: "value" });
  const slider = el("input", { type: "range", min: "5", max: "95", "aria-label": "Least score that is shown", oninput: () => draw(slider.value / 100) });
  const reset = el("button", { class: "more", type: "button", onclick: () => draw(null) }, "as the model decides");
  draw(null);
  return { overlay, says: [title, list, el("div", { class: "row tools" }, el("label", {}, "from score ", slider), value, reset)] };

  function draw(least) {
    if (least === null) slider.value = String(Math.round(100 * Math.min(...facts.classes.map((label) => threshold(label, facts)))));
    value.textContent = least === null ? "" : percent(least);
    reset.hidden = least === null;
    const shown = result.objects.filter(({ label, score }) => score >= (least ?? threshold(label, facts)));
    title.replaceChildren(...counted(shown));
    overlay.replaceChildren(...marks(shown, result.size, facts));
    list.replaceChildren(...shown.slice(0, MOST_ROWS).map((one) => row(one, facts)));
    if (shown.length > MOST_ROWS) list.append(el("li", { class: "note" }, `and ${shown.length - MOST_ROWS} more`));
  }
}

/** "2 stop, 1 yield" as nodes. */
export function counted(shown) {
  const counts = new Map();
  for (const { label } of shown) counts.set(label, (counts.get(label) || 0) + 1);
  const words = [...counts].flatMap(([label, count], k) => [k ? ", " : "", `${count} `, text(label)]);
  return words.length ? words : ["Nothing found"];
}

/** A box for each object, the best on top; places in shares of the picture's sides. */
export function marks(shown, [width, height], facts) {
  return shown.map(({ label, score, box: [x0, y0, x1, y1], points }) => {
    const rgb = colour(facts.classes.indexOf(label));
    const words = el("span", { class: y0 / height < 0.06 ? "tag inside" : "tag" }, text(label), ` ${Math.round(100 * score)} %`);
    if ((x0 + x1) / 2 > 0.6 * width) words.classList.add("right");
    Object.assign(words.style, { background: css(rgb), color: light(rgb) > 120 ? "#000" : "#fff" });
    const frame = el("div", { class: "box" }, words);
    Object.assign(frame.style, { left: share(x0, width), top: share(y0, height), width: share(x1 - x0, width), height: share(y1 - y0, height), borderColor: css(rgb) });
    const dots = (points || []).filter(([, , seen]) => seen >= 0.3).map(([x, y]) => dot(share(x, width), share(y, height), css(rgb)));
    return el("div", { class: "object" }, frame, ...dots);
  }).reverse();
}

function dot(left, top, background) {
  const node = el("span", { class: "dot" });
  Object.assign(node.style, { left, top, background });
  return node;
}

function row(one, facts) {
  const swatch = el("span", { class: "swatch", "aria-hidden": "true" });
  swatch.style.background = css(colour(facts.classes.indexOf(one.label)));
  return el("li", { title: `pixels ${one.box.map(Math.round).join(", ")}` }, swatch, el("span", { class: "label" }, text(one.label)), el("span", { class: "value" }, percent(one.score)));
}
