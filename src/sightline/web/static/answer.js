// One picture and what the model says about it: bars, flags in plain words, where it looked.
import { el, percent, text } from "/static/page/dom.js";
import { heat } from "/static/heat.js";
import { LEAST, objects, places } from "/static/objects.js";
import { explain, predict, preview } from "/static/rest.js";

const FIRST = 5; // labels shown before "show all"

/** The card of one picture; `line` limits how many requests run at once. Returns the element; it fills itself. */
export function answer(blob, name, card, line) {
  const url = URL.createObjectURL(blob);
  const image = el("img", { src: url, alt: "", onerror: () => otherFormat() });
  const picture = el("div", { class: "sl-picture" }, el("div", { class: "sl-frame" }, image));
  const says = el("div", { class: "sl-says" }, el("p", { class: "sl-wait", role: "status" }, "Looking at it…"));
  const close = el("button", { class: "sl-close", type: "button", "aria-label": `Remove ${name}`, title: "Remove", onclick: remove }, "×");
  const node = el("article", { class: "sl-card", tabIndex: -1, "aria-label": name, "aria-busy": "true" }, picture, says, close);
  fill();
  return node;

  async function fill() {
    try {
      const result = await line(() => predict(blob, name, card.name, card.task === "detection" ? LEAST : undefined));
      if (places(card)) {
        const found = objects(result, card);
        picture.querySelector(".sl-frame").append(found.overlay);
        says.replaceChildren(...found.says);
      } else says.replaceChildren(...spoken(result, card), looked(result));
      node.classList.add("sl-done");
    } catch (error) {
      const id = error.id ? el("p", { class: "sl-note" }, `Number for the log: ${error.id}`) : null;
      says.replaceChildren(
        el("p", { class: "sl-name" }, text(name)),
        callout("sl-bad", "This picture could not be used", sentence(error.message), error.hint ? sentence(error.hint) : ""),
        ...(id ? [id] : []),
      );
      node.classList.add("sl-failed");
    } finally {
      node.setAttribute("aria-busy", "false");
    }
  }

  async function otherFormat() {
    if (image.dataset.tried) {
      image.replaceWith(el("p", { class: "sl-note sl-noimage" }, "No preview"));
      return;
    }
    image.dataset.tried = "yes"; // HEIC, TIFF: the server can read them though the browser cannot
    try {
      const shown = URL.createObjectURL(await line(() => preview(blob)));
      image.onload = () => URL.revokeObjectURL(shown);
      image.src = shown;
    } catch {
      image.replaceWith(el("p", { class: "sl-note sl-noimage" }, "No preview"));
    }
  }

  function remove() {
    URL.revokeObjectURL(url);
    const near = node.nextElementSibling || node.previousElementSibling;
    node.remove();
    near?.focus();
  }

  /** The switch, the label and the strength of the overlay. */
  function looked(result) {
    const best = result.labels[0].label;
    const note = el("p", { class: "sl-note", role: "status" });
    const strength = el("input", { type: "range", min: "10", max: "100", value: "75", "aria-label": "Strength of the map", oninput: fade });
    const of = el("select", { "aria-label": "Label to explain", onchange: draw });
    for (const { label } of result.labels.slice(0, 50)) of.append(el("option", { value: label }, label));
    of.value = best;
    const tools = el("div", { class: "sl-row sl-tools", hidden: true }, el("label", {}, "for ", of), el("label", {}, "strength ", strength));
    const toggle = el("button", { class: "sl-button", type: "button", "aria-pressed": "false", onclick: flip }, "Where did it look?");
    let latest = 0;
    return el("div", { class: "sl-looked" }, toggle, tools, note);

    function flip() {
      const on = toggle.getAttribute("aria-pressed") !== "true";
      toggle.setAttribute("aria-pressed", String(on));
      tools.hidden = !on;
      note.textContent = "";
      picture.querySelector(".sl-overlay")?.remove();
      if (on) draw();
    }

    async function draw() {
      const mine = ++latest;
      note.textContent = "Covering parts of the picture to see which ones matter…";
      try {
        const found = await line(() => explain(blob, of.value, card.name));
        if (mine !== latest || toggle.getAttribute("aria-pressed") !== "true") return;
        picture.querySelector(".sl-overlay")?.remove();
        picture.querySelector(".sl-frame").append(heat(found));
        fade();
        const { x0, y0, x1, y1 } = found.region;
        const whole = x0 <= 0.001 && y0 <= 0.001 && x1 >= 0.999 && y1 >= 0.999;
        const blank = found.grid.flat().every((value) => value === 0);
        note.textContent = blank
          ? "Covering any part of the picture changes nothing: no single place speaks for this label."
          : `Red: covering this place lowers the score most.${whole ? "" : " The model does not see what lies outside the frame."}`;
      } catch (error) {
        note.textContent = sentence(error.message);
      }
    }

    function fade() {
      const canvas = picture.querySelector(".sl-heat");
      if (canvas) canvas.style.opacity = strength.value / 100;
    }
  }
}

/** The answer in words and bars. */
function spoken(result, card) {
  const best = result.labels[0];
  const given = card.task === "multilabel" ? result.labels.filter((one) => one.score >= (card.thresholds[one.label] ?? 0.5)) : [best];
  const unknown = result.flags.includes("unknown");
  const title = given.length ? given.flatMap((one, index) => [index ? ", " : "", text(one.label)]) : ["none of its labels"];
  const score = given.length === 1 ? el("span", { class: "sl-score" }, percent(given[0].score)) : null;
  const parts = [
    el("p", { class: "sl-name" }, text(result.picture || "picture")),
    el("h2", { class: unknown ? "sl-title sl-doubt" : "sl-title" }, unknown ? el("span", { class: "sl-maybe" }, "Unknown. Nearest: ") : null, ...title, score && " ", score),
  ];
  if (unknown) {
    const rate = card.unknown ? Math.round(100 * card.unknown.false_alarm_rate) : null;
    const alarm = rate === null ? "" : `About ${Math.max(1, rate)} in 100 ordinary pictures get this mark by mistake.`;
    parts.push(callout("sl-warn", "Unlike anything it was trained on", "Do not rely on the labels below: none of them may fit.", alarm));
  }
  if (result.flags.includes("unsure"))
    parts.push(callout("sl-warn", "Not sure", `No label reaches ${percent(card.unsure_below)}. Treat the answer as a guess.`));
  parts.push(bars(result.labels, card, new Set(given.map((one) => one.label))));
  parts.push(el("p", { class: "sl-note" }, `Answered in ${result.took_ms < 10 ? result.took_ms.toFixed(1) : Math.round(result.took_ms)} ms.`));
  return parts;
}

function bars(labels, card, given) {
  const list = el("ul", { class: "sl-bars", "aria-label": "Score of each label, best first" });
  const show = (some) => list.append(...some.map(({ label, score }) => bar(label, score, given.has(label), card)));
  show(labels.slice(0, FIRST));
  if (labels.length <= FIRST) return list;
  const more = el("button", { class: "sl-more", type: "button", onclick: all }, `Show all ${labels.length} labels`);
  return el("div", {}, list, more);

  function all() {
    show(labels.slice(FIRST));
    more.remove();
    list.classList.add("sl-long");
    list.setAttribute("tabindex", "0"); // a list that scrolls must scroll by keyboard too
    list.children[FIRST].tabIndex = -1;
    list.children[FIRST].focus();
  }
}

function bar(label, score, given, card) {
  const fill = el("span", { class: "sl-fill" });
  fill.style.width = `${Math.max(0.4, 100 * score)}%`;
  const track = el("span", { class: "sl-track", "aria-hidden": "true" }, fill);
  if (card.task === "multilabel") {
    const mark = el("span", { class: "sl-threshold", title: "the label is given from here on" });
    mark.style.left = `${100 * (card.thresholds[label] ?? 0.5)}%`;
    track.append(mark);
  }
  return el(
    "li",
    { class: given ? "sl-bar sl-given" : "sl-bar" },
    el("span", { class: "sl-label" }, text(label)),
    el("span", { class: "sl-value" }, percent(score)),
    track,
  );
}

function callout(kind, title, ...lines) {
  const texts = lines.filter(Boolean).map((one) => el("p", {}, one));
  return el("div", { class: `sl-callout ${kind}`, role: "note" }, el("strong", {}, title), ...texts);
}

const sentence = (words) => {
  const first = words.charAt(0).toUpperCase() + words.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
};
