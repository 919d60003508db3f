// The page that tries a model: drop, choose, paste or take pictures; each becomes a card with the answer.
import { answer } from "/static/answer.js";
import { openCamera } from "/static/camera.js";
import { el, percent, text } from "/static/page/dom.js";
import { line, models } from "/static/rest.js";

const MOST_CARDS = 200;

export function mount(root) {
  const turns = line(2);
  const cards = el("section", { class: "sl-cards", "aria-label": "Answers" });
  const said = el("p", { class: "sl-hidden", role: "status", "aria-live": "polite" });
  const input = el("input", { type: "file", accept: "image/*,.heic,.heif,.avif,.tif,.tiff", multiple: true, class: "sl-hidden", tabIndex: -1, "aria-label": "Pictures", onchange: chosen });
  const drop = el(
    "section",
    { class: "sl-drop", "aria-label": "Add pictures" },
    eye(),
    el("p", { class: "sl-lead" }, "Drop pictures here"),
    el("p", { class: "sl-note" }, "or paste one with Ctrl-V"),
    el(
      "div",
      { class: "sl-row" },
      el("button", { class: "sl-button sl-first", type: "button", onclick: () => input.click() }, "Choose pictures"),
      el("button", { class: "sl-button", type: "button", onclick: () => openCamera((blob) => add([[blob, "camera.jpg"]])) }, "Use the camera"),
    ),
    el("p", { class: "sl-note sl-private" }, privacy()),
    input,
  );
  const about = el("div", { class: "sl-about" });
  const knows = el("details", { class: "sl-knows", open: true, hidden: true });
  root.replaceChildren(header(about), el("main", { class: "sl-main" }, drop, said, cards, knows));
  let card = null;
  const ready = start();

  const listeners = { dragover, dragleave, drop: dropped, paste: pasted };
  for (const [kind, listener] of Object.entries(listeners)) window.addEventListener(kind, listener);
  return () => Object.entries(listeners).forEach(([kind, listener]) => window.removeEventListener(kind, listener));

  async function start() {
    try {
      const found = await models();
      card = found.find((one) => one.default) || found[0];
      const show = (one) => {
        card = one;
        knowledge(knows, one);
      };
      show(card);
      describe(about, found, card, show);
    } catch (error) {
      about.replaceChildren(el("p", { class: "sl-callout sl-bad", role: "alert" }, `${error.message} ${error.hint || ""}`));
    }
  }

  async function add(pictures) {
    await ready;
    if (!card || !pictures.length) return;
    drop.classList.add("sl-small");
    knows.open = false;
    const made = pictures.slice(0, MOST_CARDS).map(([blob, name]) => answer(blob, name, card, turns));
    cards.prepend(...made);
    while (cards.children.length > MOST_CARDS) cards.lastElementChild.remove();
    said.textContent = pictures.length === 1 ? "One picture added." : `${pictures.length} pictures added.`;
    made[0].scrollIntoView({ block: "nearest", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  }

  function chosen() {
    add(named(input.files));
    input.value = "";
  }
  function dragover(event) {
    if (![...event.dataTransfer.types].includes("Files")) return;
    event.preventDefault();
    drop.classList.add("sl-over");
  }
  function dragleave(event) {
    if (!event.relatedTarget) drop.classList.remove("sl-over");
  }
  function dropped(event) {
    event.preventDefault();
    drop.classList.remove("sl-over");
    add(named(event.dataTransfer.files));
  }
  function pasted(event) {
    const files = named(event.clipboardData.files);
    if (files.length) event.preventDefault();
    add(files);
  }
}

const named = (files) => [...files].map((file) => [file, file.name || "pasted picture"]);

const local = () => ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);

const privacy = () =>
  local() ? "Your pictures stay on this machine and are not kept." : `Your pictures go to ${location.host} only and are not kept.`;

function header(about) {
  const links = el("nav", { class: "sl-links", "aria-label": "More" }, el("a", { href: "/docs" }, "API"));
  if (localStorage.getItem("sightline-login")) links.append(el("button", { type: "button", class: "sl-link", onclick: logOut }, "Log out"));
  return el("header", { class: "sl-header" }, el("h1", { class: "sl-mark" }, eye(), "Sightline"), about, links);
}

async function logOut() {
  await fetch("/v1/session", { method: "DELETE" });
  localStorage.removeItem("sightline-login");
  location.assign("/login");
}

/** The model in one line: which, what it knows, how good it was when measured. */
function describe(place, all, card, choose) {
  const name = all.length > 1 ? el("select", { "aria-label": "Model", onchange: pick }) : el("strong", {}, text(card.name));
  if (all.length > 1) {
    for (const one of all) name.append(el("option", { value: one.id }, one.name));
    name.value = card.id;
  }
  const facts = el("span", { class: "sl-facts" }, ...factsOf(card));
  place.replaceChildren(name, facts);

  function pick() {
    const one = all.find(({ id }) => id === name.value);
    choose(one);
    facts.replaceChildren(...factsOf(one));
  }
}

function factsOf(card) {
  const top1 = card.scores.top1;
  const map50 = card.scores.map50;
  const known = card.classes.length <= 4 ? card.classes.join(", ") : `${card.classes.length} labels`;
  const facts = [el("span", { title: card.classes.slice(0, 60).join(", ") }, text(known))];
  if (top1) {
    const range = `between ${percent(top1.low)} and ${percent(top1.high)} with 95 % confidence`;
    facts.push(el("span", { title: range }, `right on ${percent(top1.value)} of ${top1.n} pictures kept apart`));
  }
  if (map50) {
    const about = "mean average precision at an overlap of one half: 1 is perfect";
    facts.push(el("span", { title: about }, `mAP@.5 ${map50.value.toFixed(2)} on ${map50.n} pictures kept apart`));
  }
  return facts;
}

/** What the model can say at all, and what it was not tested for: nobody should have to guess. */
function knowledge(place, card) {
  const chips = card.classes.slice(0, 1000).map((label) => el("li", {}, text(label)));
  const parts = [el("summary", {}, `What ${card.name} can ${card.task === "detection" ? "find" : "recognise"}`), el("ul", { class: "sl-chips", "aria-label": "Labels" }, ...chips)];
  parts.push(el("p", { class: "sl-note" }, "It knows these labels and nothing else. Pictures unlike its training pictures are marked as unknown."));
  if (!card.unknown) parts.pop();
  if (card.limits.length) parts.push(el("ul", { class: "sl-note" }, ...card.limits.map((one) => el("li", {}, text(one)))));
  place.replaceChildren(...parts);
  place.hidden = false;
}

function eye() {
  return el("img", { src: "/static/favicon.svg", alt: "", width: 28, height: 28, class: "sl-eye" });
}
