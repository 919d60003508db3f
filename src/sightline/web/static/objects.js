// What a detector found: boxes, outlines and points over the picture, a list beside it, and a slider for the least score.
import { colour, css, light, share } from "/static/page/colours.js";
import { el, percent, text } from "/static/page/dom.js";

export const LEAST = 0.05; // the server is asked for everything from here on; the page hides what is below the threshold
const MOST_ROWS = 12;
const USUAL = 0.25;
const SVG = "http://www.w3.org/2000/svg";

/** Whether a model says where things are. */
export const places = (card) => card.task === "detection" || card.task === "segmentation";

/** The parts of an answer: {overlay, says}; `overlay` lies over the picture and follows every resize. */
export function objects(result, card) {
  const [width, height] = result.size || [1, 1];
  const overlay = el("div", { class: "sl-overlay sl-objects", "aria-hidden": "true" });
  const title = el("h2", { class: "sl-title", role: "status" });
  const list = el("ul", { class: "sl-found", "aria-label": "Objects, best first" });
  const more = el("button", { class: "sl-more", type: "button", onclick: () => ((all = true), draw()) });
  const value = el("output", { class: "sl-value" });
  const slider = el("input", { type: "range", min: "5", max: "95", step: "1", "aria-label": "Least score that is shown", oninput: moved });
  const reset = el("button", { class: "sl-more", type: "button", onclick: usual }, "as the model decides");
  let least = null; // null: each class's own threshold
  let all = false;
  usual();
  const tools = card.task === "detection" ? el("div", { class: "sl-row sl-tools" }, el("label", {}, "from score ", slider), value, reset) : null;
  const took = el("p", { class: "sl-note" }, `Answered in ${result.took_ms < 10 ? result.took_ms.toFixed(1) : Math.round(result.took_ms)} ms.`);
  const says = [el("p", { class: "sl-name" }, text(result.picture || "picture")), title, list, more, tools, took].filter(Boolean);
  return { overlay, says };

  function usual() {
    least = null;
    slider.value = String(Math.round(100 * Math.min(...card.classes.map(threshold))));
    draw();
  }
  function moved() {
    least = slider.value / 100;
    draw();
  }
  function threshold(label) {
    return card.thresholds[label] ?? USUAL;
  }
  function draw() {
    const shown = result.labels.filter(({ label, score }) => score >= (least ?? threshold(label)));
    const counts = new Map();
    for (const { label } of shown) counts.set(label, (counts.get(label) || 0) + 1);
    const words = [...counts].flatMap(([label, count], index) => [index ? ", " : "", card.task === "detection" ? `${count} ` : "", text(label)]);
    title.replaceChildren(...(words.length ? words : ["Nothing found"]));
    value.textContent = least === null ? "" : percent(least);
    reset.hidden = least === null;
    const marks = shown.map((one) => mark(one, width, height, colour(card.classes.indexOf(one.label))));
    overlay.replaceChildren(...marks.reverse()); // the best on top
    marks.reverse();
    list.replaceChildren(...shown.slice(0, all ? shown.length : MOST_ROWS).map((one, index) => row(one, marks[index])));
    list.classList.toggle("sl-long", all);
    more.hidden = all || shown.length <= MOST_ROWS;
    more.textContent = `Show all ${shown.length}`;
  }
  function row(one, shown) {
    const swatch = el("span", { class: "sl-swatch", "aria-hidden": "true" });
    swatch.style.background = css(colour(card.classes.indexOf(one.label)));
    const lit = (on) => () => overlay.classList.toggle("sl-one", on) === on && shown.classList.toggle("sl-lit", on);
    const where = one.box ? `${one.box.map(Math.round).join(", ")}` : "";
    return el(
      "li",
      { tabIndex: 0, title: where && `pixels ${where}`, onmouseenter: lit(true), onmouseleave: lit(false), onfocus: lit(true), onblur: lit(false) },
      swatch,
      el("span", { class: "sl-label" }, text(one.label)),
      el("span", { class: "sl-value" }, percent(one.score)),
    );
  }
}

/** One object over the picture: a box with its label, or an outline; places in shares of the picture's sides. */
function mark({ label, score, box, polygon, keypoints, visibility }, width, height, rgb) {
  const node = el("div", { class: "sl-object" });
  if (box) {
    const [x0, y0, x1, y1] = box;
    const frame = el("div", { class: "sl-box" });
    Object.assign(frame.style, { left: share(x0, width), top: share(y0, height), width: share(x1 - x0, width), height: share(y1 - y0, height), borderColor: css(rgb) });
    const words = el("span", { class: y0 / height < 0.06 ? "sl-tag sl-inside" : "sl-tag" }, text(label), ` ${Math.round(100 * score)} %`);
    if ((x0 + x1) / 2 > 0.6 * width) words.classList.add("sl-right");
    Object.assign(words.style, { background: css(rgb), color: light(rgb) > 120 ? "#000" : "#fff" });
    frame.append(words);
    node.append(frame);
  }
  if (polygon || keypoints) {
    const sheet = svg("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", class: "sl-shapes" });
    if (polygon) sheet.append(svg("polygon", { points: polygon.map((point) => point.join(",")).join(" "), fill: css(rgb), "fill-opacity": "0.35", stroke: css(rgb) }));
    (keypoints || []).forEach(([x, y], index) => {
      if (!visibility || visibility[index] > 1) sheet.append(svg("circle", { cx: x, cy: y, r: Math.max(width, height) / 150, fill: css(rgb), stroke: "#000" }));
    });
    node.append(sheet);
  }
  return node;
}

function svg(name, attributes) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}
