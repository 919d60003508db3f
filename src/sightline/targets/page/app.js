// The page: choose, drop, paste or take pictures, or look through the camera; every answer is computed on this device.
import { answer } from "./answer.js";
import { openCamera } from "./camera.js";
import { callout, el, percent, text } from "./dom.js";
import { openModel } from "./model.js";

const MOST_CARDS = 200;

const about = el("div", { class: "about" });
const cards = el("section", { class: "cards", "aria-label": "Answers" });
const said = el("p", { class: "hidden", role: "status", "aria-live": "polite" });
const state = el("p", { class: "note wait", role: "status" }, "Loading…");
const input = el("input", { type: "file", accept: "image/*", multiple: true, class: "hidden", tabIndex: -1, "aria-label": "Pictures", onchange: chosen });
const choose = el("button", { class: "button first", type: "button", disabled: true, onclick: () => input.click() }, "Choose pictures");
const camera = el("button", { class: "button", type: "button", disabled: true, onclick: look }, "Use the camera");
const drop = el(
  "section",
  { class: "drop", "aria-label": "Add pictures" },
  el("img", { src: "icon-192.png", alt: "", width: 44, height: 44, class: "eye" }),
  el("p", { class: "lead" }, "Drop pictures here"),
  el("p", { class: "note" }, "or paste one with Ctrl-V"),
  el("div", { class: "row" }, choose, camera),
  el("p", { class: "note private" }, "Pictures stay on this device: the model runs in your browser."),
  state,
  input,
);
const knows = el("details", { class: "knows", hidden: true });
const header = el("header", { class: "header" }, el("h1", { class: "mark" }, el("img", { src: "icon-192.png", alt: "", width: 28, height: 28 }), "Sightline"), about, el("span", { class: "offline", hidden: true }, "offline"));
document.getElementById("root").replaceChildren(header, el("main", { class: "main" }, drop, said, cards, knows));

let model = null;
const ready = start();
for (const [kind, listener] of Object.entries({ dragover, dragleave, drop: dropped, paste: pasted, online, offline: online })) window.addEventListener(kind, listener);
online();

async function start() {
  try {
    model = await openModel((words) => (state.textContent = words));
    describe(model.facts);
    knowledge(model.facts);
    state.remove();
    choose.disabled = camera.disabled = false;
    document.body.dataset.ready = "yes";
  } catch (error) {
    state.replaceWith(callout("bad", "The model could not be started", error.message, "A current version of Chrome, Edge, Firefox or Safari is needed."));
  }
}

async function add(pictures) {
  await ready;
  if (!model || !pictures.length) return;
  drop.classList.add("small");
  knows.open = false;
  const made = pictures.slice(0, MOST_CARDS).map(([blob, name]) => answer(blob, name, model));
  cards.prepend(...made);
  while (cards.children.length > MOST_CARDS) cards.lastElementChild.remove();
  const more = pictures.length - made.length;
  const left = more ? `; ${more} more were left out, the page shows ${MOST_CARDS} at most` : "";
  said.textContent = made.length === 1 ? `Added ${pictures[0][1]}` : `Added ${made.length} pictures${left}`;
}

function look() {
  openCamera(model, (blob) => add([[blob, "camera.jpg"]]));
}

function chosen() {
  add([...input.files].map((file) => [file, file.name]));
  input.value = "";
}
function dragover(event) {
  if (!event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  drop.classList.add("over");
}
function dragleave(event) {
  if (!event.relatedTarget) drop.classList.remove("over");
}
function dropped(event) {
  event.preventDefault();
  drop.classList.remove("over");
  add([...(event.dataTransfer?.files || [])].map((file) => [file, file.name]));
}
function pasted(event) {
  add([...(event.clipboardData?.files || [])].map((file) => [file, file.name || "pasted"]));
}
function online() {
  header.querySelector(".offline").hidden = navigator.onLine;
}

/** What the model is and how good it was on pictures kept apart. */
function describe(facts) {
  const finds = facts.task === "detection";
  const parts = [el("strong", {}, text(facts.name)), el("span", {}, `${finds ? "finds" : "knows"} ${facts.classes.length} ${finds ? "kinds of things" : "labels"}`)];
  const { top1, map50 } = facts.scores;
  if (top1) parts.push(el("span", { title: `between ${percent(top1.low)} and ${percent(top1.high)} with 95 % confidence` }, `right on ${percent(top1.value)} of ${top1.n} pictures kept apart`));
  if (map50) parts.push(el("span", { title: "mean average precision at an overlap of one half: 1 is perfect" }, `mAP@.5 ${map50.value.toFixed(2)} on ${map50.n} pictures kept apart`));
  about.replaceChildren(...parts);
  document.title = facts.name;
}

/** What it can say at all, and what it was not tested for: nobody should have to guess. */
function knowledge(facts) {
  const chips = facts.classes.slice(0, 1000).map((label) => el("li", {}, text(label)));
  const parts = [el("summary", {}, `What ${facts.name} can ${facts.task === "detection" ? "find" : "recognise"}`), el("ul", { class: "chips", "aria-label": "Labels" }, ...chips)];
  if (facts.unknown) parts.push(el("p", { class: "note" }, "It knows these labels and nothing else. Pictures unlike its training pictures are marked as unknown."));
  if (facts.limits.length) parts.push(el("ul", { class: "note" }, ...facts.limits.map((one) => el("li", {}, text(one)))));
  parts.push(el("p", { class: "note" }, `Model ${facts.id}`, facts.licence ? `, ${facts.licence}` : "", ". The page works without network once it has been opened; your browser can install it."));
  knows.replaceChildren(...parts);
  knows.hidden = false;
  knows.open = true;
}
