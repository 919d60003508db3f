// One picture and what the model says about it: bars and flags in plain words, or objects over the picture.
import { callout, el, milliseconds, percent, text } from "./dom.js";
import { objects } from "./objects.js";

const FIRST = 5; // labels shown before "show all"

/** The card of one picture. Returns the element; it fills itself. */
export function answer(blob, name, model) {
  const url = URL.createObjectURL(blob);
  const image = el("img", { src: url, alt: "", onerror: () => image.replaceWith(el("p", { class: "note noimage" }, "No preview")) });
  const frame = el("div", { class: "frame" }, image);
  const says = el("div", { class: "says" }, el("p", { class: "wait", role: "status" }, "Looking at it…"));
  const close = el("button", { class: "close", type: "button", "aria-label": `Remove ${name}`, title: "Remove", onclick: remove }, "×");
  const node = el("article", { class: "card", tabIndex: -1, "aria-label": name, "aria-busy": "true" }, el("div", { class: "picture" }, frame), says, close);
  fill();
  return node;

  async function fill() {
    try {
      const result = await model.answer(blob);
      const title = el("p", { class: "name" }, text(name));
      const took = el("p", { class: "note" }, `Computed here in ${milliseconds(result.took)}.`);
      if (result.objects) {
        const found = objects(result, model.facts);
        frame.append(found.overlay);
        says.replaceChildren(title, ...found.says, took);
        node.dataset.objects = JSON.stringify(result.objects);
      } else {
        says.replaceChildren(title, ...spoken(result, model.facts), took);
        Object.assign(node.dataset, { label: result.labels[0].label, score: result.labels[0].score, flags: result.flags.join(" "), decision: JSON.stringify(result.decision) });
      }
      node.classList.add("done");
    } catch (error) {
      const unreadable = /decod|source image|InvalidState/i.test(error.message);
      const why = unreadable ? "This browser cannot open it: it is damaged, or of a kind (HEIC, TIFF) that it does not know." : error.message;
      says.replaceChildren(el("p", { class: "name" }, text(name)), callout("bad", "This picture could not be used", why, unreadable ? "Save it as JPEG or PNG and try again." : ""));
      node.classList.add("failed");
    } finally {
      node.setAttribute("aria-busy", "false");
    }
  }

  function remove() {
    URL.revokeObjectURL(url);
    const near = node.nextElementSibling || node.previousElementSibling;
    node.remove();
    near?.focus();
  }
}

/** The answer in words and bars. */
export function spoken(result, facts) {
  const given = new Set(result.decision);
  const unknown = result.flags.includes("unknown");
  const words = result.decision.length ? result.decision.flatMap((label, k) => [k ? ", " : "", text(label)]) : ["none of its labels"];
  const score = result.decision.length === 1 ? el("span", { class: "score" }, percent(result.labels.find((one) => given.has(one.label)).score)) : null;
  const parts = [el("h2", { class: unknown ? "title doubt" : "title" }, unknown ? el("span", { class: "maybe" }, "Unknown. Nearest: ") : null, ...words, score && " ", score)];
  if (unknown) {
    const rate = Math.max(1, Math.round(100 * facts.unknown.false_alarm_rate));
    parts.push(callout("warn", "Unlike anything it was trained on", "Do not rely on the labels below: none of them may fit.", `About ${rate} in 100 ordinary pictures get this mark by mistake.`));
  }
  if (result.flags.includes("unsure")) parts.push(callout("warn", "Not sure", `No label reaches ${percent(facts.unsure_below)}. Treat the answer as a guess.`));
  parts.push(bars(result.labels, facts, given));
  return parts;
}

function bars(labels, facts, given) {
  const list = el("ul", { class: "bars", "aria-label": "Score of each label, best first" });
  const show = (some) => list.append(...some.map(({ label, score }) => bar(label, score, given.has(label), facts)));
  show(labels.slice(0, FIRST));
  if (labels.length <= FIRST) return list;
  const more = el("button", { class: "more", type: "button", onclick: all }, `Show all ${labels.length} labels`);
  return el("div", {}, list, more);

  function all() {
    show(labels.slice(FIRST));
    more.remove();
    list.classList.add("long");
    list.setAttribute("tabindex", "0"); // a list that scrolls must scroll by keyboard too
    list.children[FIRST].tabIndex = -1;
    list.children[FIRST].focus();
  }
}

export function bar(label, score, given, facts) {
  const fill = el("span", { class: "fill" });
  fill.style.width = `${Math.max(0.4, 100 * score)}%`;
  const track = el("span", { class: "track", "aria-hidden": "true" }, fill);
  if (facts.task === "multilabel") {
    const mark = el("span", { class: "threshold", title: "the label is given from here on" });
    mark.style.left = `${100 * (facts.thresholds[label] ?? 0.5)}%`;
    track.append(mark);
  }
  return el("li", { class: given ? "bar given" : "bar" }, el("span", { class: "label" }, text(label)), el("span", { class: "value" }, percent(score)), track);
}
