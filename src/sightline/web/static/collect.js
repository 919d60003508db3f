// The page for phones: agree once, choose what to photograph, take pictures, look at them, send them.
import { openCamera } from "/static/camera.js";
import { openQueue } from "/static/collect-queue.js";
import { el, text } from "/static/page/dom.js";

const place = document.getElementById("collect");
const EVERY = 10_000; // milliseconds between two looks at the counts
const MOST_SAID = 30;
const GENTLE = {
  dark: "It is rather dark. More light would help.",
  bright: "It is very bright. Less light, or the sun behind you, would help.",
  blurred: "It looks blurred. Another one, held still, would help.",
  tiny: "It is very small. A larger one would help more.",
  blank: "There is hardly anything to see. Is something in front of the lens?",
  odd_aspect: "It is very long and narrow. An ordinary shape would help more.",
  near_duplicate: "It looks much like one that is there. Another side of it helps more.",
};
const WAITS = {
  offline: "no connection. Kept on this device, sent by itself when it is back.",
  busy: "the server is busy. Sent by itself in a moment.",
  closed: "this page is locked now. Kept on this device until you scan the code again.",
  terms: "the text to agree to has changed. Please read it above.",
};

if (location.hash) history.replaceState(null, "", location.pathname); // it held the key
start();

async function start() {
  for (let tries = 1; ; tries += 1) {
    const found = await asked();
    if (found) return show(found.collections[0], found.owner);
    place.replaceChildren(el("p", { role: "alert" }, "The server does not answer. This page tries again by itself."));
    await new Promise((done) => setTimeout(done, 1000 * Math.min(10, tries)));
  }
}

/** What is collected here; null when the server does not say. */
async function asked() {
  try {
    const answer = await fetch("/v1/collect", { cache: "no-store" });
    if (answer.status === 401) location.assign("/login");
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}

async function show(first, owner) {
  let standing = first;
  let chosen = [];
  let hinted = 0; // pictures with a remark since the queue was last empty,
  let left = 0; // and those that were not taken
  let agreed = remembered("agreed") || {};
  let mine = remembered("mine") || []; // {picture, ticket, label}: to be taken back
  const base = `/v1/collect/${encodeURIComponent(standing.dataset)}`;
  document.getElementById("title").replaceChildren("Pictures for ", text(standing.dataset));

  const terms = el("section", { "aria-label": "What you agree to" });
  const classes = el("fieldset", { class: "co-classes" });
  const preview = el("section", { class: "co-box", "aria-label": "Your pictures, not sent yet", hidden: true });
  const state = el("p", { class: "co-state", role: "status", "aria-live": "polite" });
  const said = el("ul", { class: "co-said", "aria-label": "What became of your pictures" });
  const undo = el("button", { class: "sl-button", type: "button", hidden: true, onclick: takeBack }, "Take my last picture back");
  const note = el("p", { class: "sl-note" });
  const camera = input({ capture: "environment" });
  const files = input({});
  const pair = el("div", { class: "co-pair", hidden: true }, ...buttons());
  const bar = el("section", { class: "co-bar", "aria-label": "Take and send" }, state, note, pair);
  const queue = await openQueue(standing.dataset, address, { sent, refused, state: waits });

  const links = owner ? el("p", { class: "sl-note" }, el("a", { href: "/collect/owner" }, "See all pictures (owner)")) : null;
  place.replaceChildren(...[terms, classes, preview, said, undo, links].filter(Boolean), bar);
  drawTerms();
  drawClasses();
  ready();
  undo.hidden = !mine.length;
  waits(queue.count() ? "sending" : "idle", queue.count());
  if (isAgreed()) queue.kick();
  setInterval(() => document.visibilityState === "visible" && refresh(), EVERY);
  window.addEventListener("beforeunload", (event) => {
    if (chosen.length || (queue.count() && !queue.lasting)) event.preventDefault();
  });

  // --- agreeing

  function isAgreed() {
    return agreed.version === standing.terms.version;
  }

  function drawTerms() {
    terms.className = isAgreed() ? "" : "co-box";
    if (isAgreed()) {
      const change = el("button", { class: "sl-link", type: "button", onclick: () => askTerms(true) }, "Show");
      const name = agreed.author ? [" as ", text(agreed.author)] : [" without a name"];
      terms.replaceChildren(el("p", { class: "sl-note" }, "You agreed", ...name, ". ", change));
      return;
    }
    askTerms(false);
  }

  function askTerms(again) {
    terms.className = "co-box";
    const { text: words, licence, meaning } = standing.terms;
    const author = el("input", { type: "text", id: "author", maxlength: "100", autocomplete: "name", value: agreed.author || "" });
    const time = el("input", { type: "checkbox", id: "time", checked: Boolean(agreed.time) });
    const parts = [el("h2", {}, again ? "What you agreed to" : "Before you begin"), el("p", { class: "co-terms" }, text(words))];
    if (licence) parts.push(el("p", {}, "Licence: ", el("strong", {}, text(licence)), meaning ? `: ${meaning}.` : "."));
    parts.push(
      el("div", { class: "co-field" }, el("label", { for: "author" }, "Your name (only if you like)"), author),
      el("label", { class: "co-check" }, time, "Also keep when each picture was taken"),
      el("button", { class: "sl-button sl-first co-big", type: "button", onclick: agree }, again ? "Keep" : "I agree"),
    );
    terms.replaceChildren(...parts);

    function agree() {
      agreed = { version: standing.terms.version, author: author.value.trim(), time: time.checked };
      remember("agreed", agreed);
      drawTerms();
      ready();
      queue.kick();
      (classes.querySelector("input:checked") || classes.querySelector("input"))?.focus();
    }
  }

  // --- choosing what to photograph

  function drawClasses() {
    const picked = classes.querySelector("input:checked")?.value;
    const focused = classes.contains(document.activeElement) ? document.activeElement.value : null;
    const rows = standing.classes.map(({ label, have, wanted }) => {
      const radio = el("input", { type: "radio", name: "class", value: label, checked: label === picked, onchange: ready });
      const fill = el("span", { class: "sl-fill" });
      fill.style.width = `${Math.min(100, (100 * have) / wanted)}%`;
      const left = have < wanted ? `${have} of ${wanted}, ${wanted - have} still wanted` : `${have} of ${wanted}, enough: thank you`;
      return el(
        "label",
        { class: have < wanted ? "co-class" : "co-class co-done" },
        radio,
        el("span", { class: "co-name" }, text(label)),
        el("span", { class: "co-count" }, left),
        el("span", { class: "sl-track", "aria-hidden": "true" }, fill),
      );
    });
    classes.replaceChildren(el("legend", {}, "What will you photograph?"), ...rows);
    if (focused !== null) [...classes.querySelectorAll("input")].find((one) => one.value === focused)?.focus();
  }

  function label() {
    return classes.querySelector("input:checked")?.value;
  }

  function ready() {
    pair.hidden = !isAgreed();
    const off = !label();
    for (const button of pair.querySelectorAll("input, button")) button.disabled = off;
    note.textContent = "Choose first what you photograph.";
    note.hidden = !isAgreed() || !off;
    drawPreview();
    fold();
  }

  /** The bar is there when there is something in it. */
  function fold() {
    bar.hidden = pair.hidden && !state.textContent;
  }

  async function refresh() {
    try {
      const answer = await fetch(base, { cache: "no-store" });
      if (!answer.ok) return;
      standing = await answer.json();
      drawClasses();
      if (!isAgreed() && !terms.querySelector("#author")) {
        drawTerms();
        ready();
      }
    } catch {
      // no connection: the counts stay as they are
    }
  }

  // --- taking, looking, sending

  function input(more) {
    return el("input", { type: "file", accept: "image/*", multiple: true, class: "sl-hidden", disabled: true, ...more, onchange: took });
  }

  function buttons() {
    const pick = (kind, words, of) => el("label", { class: `sl-button co-big co-pick ${kind}` }, words, of);
    const found = [pick("sl-first", "Take a picture", camera), pick("", "Choose pictures", files)];
    const desk = window.isSecureContext && navigator.mediaDevices?.getUserMedia && matchMedia("(pointer: fine)").matches;
    if (desk) {
      const open = () => openCamera((blob) => look([blob]));
      found[0] = el("button", { class: "sl-button sl-first co-big", type: "button", disabled: true, onclick: open }, "Take a picture");
    }
    return found;
  }

  function took(event) {
    look([...event.target.files]);
    event.target.value = "";
  }

  function look(blobs) {
    chosen.push(...blobs.map((blob) => ({ blob, url: URL.createObjectURL(blob) })));
    drawPreview();
    if (blobs.length) preview.scrollIntoView({ block: "center" });
    preview.querySelector(".sl-first")?.focus({ preventScroll: true });
  }

  function drawPreview() {
    preview.hidden = !chosen.length;
    if (!chosen.length) return preview.replaceChildren();
    const items = chosen.map((one, at) => {
      const close = el("button", { class: "sl-close", type: "button", "aria-label": `Leave picture ${at + 1} out`, onclick: () => leave(one) }, "×");
      return el("li", {}, thumbnail(one.url, `Picture ${at + 1}`), close);
    });
    const words = chosen.length === 1 ? "Send this picture as " : `Send ${chosen.length} pictures as `;
    const send = el("button", { class: "sl-button sl-first co-big", type: "button", disabled: !label(), onclick: dispatch }, words, text(label() || "…"));
    preview.replaceChildren(el("h2", {}, "Look at them once"), el("ul", { class: "co-strip" }, ...items), send);
  }

  function leave(one) {
    chosen = chosen.filter((other) => other !== one);
    URL.revokeObjectURL(one.url);
    drawPreview();
  }

  async function dispatch() {
    const shown = label();
    for (const { url } of chosen) URL.revokeObjectURL(url);
    const entries = chosen.map(({ blob }) => ({
      blob,
      label: shown,
      author: agreed.author,
      taken: agreed.time && blob.lastModified ? new Date(blob.lastModified).toISOString() : "",
    }));
    chosen = [];
    drawPreview();
    await queue.add(entries);
  }

  function address({ label: shown, ticket, author, taken }) {
    const values = { label: shown, terms: agreed.version || "", ticket, author: author || "", taken_at: taken || "" };
    const given = Object.entries(values).filter(([, value]) => value);
    return `${base}/pictures?${new URLSearchParams(given)}`;
  }

  // --- what became of them

  function waits(now, count) {
    const many = count === 1 ? "1 picture" : `${count} pictures`;
    state.classList.toggle("co-waits", now in WAITS && count > 0);
    if (now in WAITS && count) state.textContent = `${many} waiting: ${WAITS[now]}`;
    else if (count) state.textContent = `Sending ${many}…`;
    else if (left) state.textContent = left === 1 ? "One was not taken: see below." : `${left} were not taken: see below.`;
    else state.textContent = said.childElementCount ? `All sent. Thank you!${remarks()}` : "";
    if (!count) left = 0;
    fold();
    if (now === "terms") fetchTerms();
  }

  /** How many of the pictures just sent could be better, in words. */
  function remarks() {
    const many = hinted === 1 ? " One could be better: see below." : ` ${hinted} could be better: see below.`;
    const words = hinted ? many : "";
    hinted = 0;
    return words;
  }

  async function fetchTerms() {
    await refresh();
    if (!isAgreed()) askTerms(false);
    ready();
    terms.scrollIntoView();
  }

  function sent(entry, receipt) {
    const lines = [];
    if (receipt.doubled) {
      const other = receipt.label !== entry.label ? [", as ", text(receipt.label)] : [];
      lines.push(el("p", {}, "This very picture is there already", ...other, "."));
    } else {
      lines.push(el("p", {}, el("span", { class: "co-ok" }, "✓ "), text(receipt.label)));
      if (!mine.some(({ picture }) => picture === receipt.picture)) mine.push({ picture: receipt.picture, ticket: entry.ticket, label: entry.label });
      mine = mine.slice(-200);
      remember("mine", mine);
    }
    hinted += receipt.hints.length ? 1 : 0;
    lines.push(...receipt.hints.map(({ kind }) => el("p", { class: "sl-note" }, GENTLE[kind] || "")));
    tell(entry, receipt.picture, lines);
    const row = standing.classes.find((one) => one.label === receipt.label);
    if (row) row.have = receipt.have;
    drawClasses();
    undo.hidden = !mine.length;
  }

  function refused(entry, why) {
    left += 1;
    tell(entry, "", [el("p", {}, el("strong", {}, "Not taken. ")), el("p", { class: "sl-note" }, text(why))]);
  }

  function tell(entry, picture, lines) {
    const node = el("li", {}, thumbnail(URL.createObjectURL(entry.blob), ""), el("div", {}, ...lines));
    node.dataset.picture = picture;
    said.prepend(node);
    while (said.childElementCount > MOST_SAID) said.lastElementChild.remove();
  }

  async function takeBack() {
    const last = mine.at(-1);
    if (!last) return;
    undo.disabled = true;
    try {
      const answer = await fetch(`${base}/pictures/${last.picture}?ticket=${last.ticket}`, { method: "DELETE", cache: "no-store" });
      if (!answer.ok && answer.status !== 404) throw new Error(String(answer.status));
      mine.pop();
      remember("mine", mine);
      [...said.children].find((one) => one.dataset.picture === last.picture)?.remove();
      await refresh();
      state.classList.remove("co-waits");
      state.textContent = "Taken back.";
    } catch {
      state.textContent = "It could not be taken back now. Try again when there is a connection.";
    } finally {
      undo.disabled = false;
      undo.hidden = !mine.length;
    }
  }

  function thumbnail(url, alt) {
    const image = el("img", { src: url, alt });
    image.addEventListener("error", () => image.replaceWith(el("span", { class: "co-noimage" }, alt || "picture")));
    return image;
  }

  function remembered(what) {
    try {
      return JSON.parse(localStorage.getItem(`sightline-collect-${what}:${first.dataset}`));
    } catch {
      return null;
    }
  }

  function remember(what, value) {
    try {
      localStorage.setItem(`sightline-collect-${what}:${first.dataset}`, JSON.stringify(value));
    } catch {
      // a private window: it is asked again next time
    }
  }
}
