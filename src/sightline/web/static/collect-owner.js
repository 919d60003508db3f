// The owner's page: how far the collection is, every picture, taking one out, making a version.
import { el, text } from "/static/page/dom.js";
import { rest } from "/static/rest.js";

const place = document.getElementById("owner");
const AT_ONCE = 60;
const EVERY = 5000; // milliseconds between two looks at the counts
const SURE_MS = 5000; // how long "Really?" stands

try {
  const { collections, owner } = await (await rest("/v1/collect")).json();
  if (owner) await show(collections[0]);
  else place.replaceChildren(el("p", { class: "sl-callout sl-bad", role: "alert" }, "This page is for the owner: log in with a key that opens everything."));
} catch (error) {
  place.replaceChildren(el("p", { class: "sl-callout sl-bad", role: "alert" }, `${error.message} ${error.hint || ""}`));
}

async function show(first) {
  let standing = first;
  let shown = 0;
  const base = `/v1/collect/${encodeURIComponent(first.dataset)}`;
  document.getElementById("title").replaceChildren("Pictures given to ", text(first.dataset));
  const counts = el("section", { class: "co-counts co-box", "aria-label": "How far it is" });
  const said = el("p", { role: "status", "aria-live": "polite" });
  const make = el("button", { class: "sl-button sl-first", type: "button", onclick: version }, "Make a version now");
  const only = el("select", { "aria-label": "Show only", onchange: again }, el("option", { value: "" }, "all classes"));
  for (const { label } of first.classes) only.append(el("option", { value: label }, label));
  const look = el("button", { class: "sl-button", type: "button", onclick: again }, "Look again");
  const sheet = el("ul", { class: "co-sheet", "aria-label": "Pictures, the newest first" });
  const more = el("button", { class: "sl-button", type: "button", hidden: true, onclick: next }, "Show more");
  place.replaceChildren(counts, el("div", { class: "co-tools" }, make, only, look), said, sheet, more);
  draw();
  await again();
  setInterval(() => document.visibilityState === "visible" && refresh(), EVERY);

  function draw() {
    const waiting = standing.waiting === 1 ? "1 is" : `${standing.waiting} are`;
    const rows = standing.classes.map(({ label, have, wanted }) => {
      const fill = el("span", { class: "sl-fill" });
      fill.style.width = `${Math.min(100, (100 * have) / wanted)}%`;
      const line = el("div", { class: "co-line" }, el("span", {}, text(label)), el("span", { class: "co-count" }, `${have} of ${wanted}`));
      return el("li", {}, line, el("span", { class: "sl-track", "aria-hidden": "true" }, fill));
    });
    const total = standing.count === 1 ? "1 picture" : `${standing.count} pictures`;
    counts.replaceChildren(el("h2", {}, standing.waiting ? `${total}; ${waiting} in no version yet` : total), el("ul", {}, ...rows));
    make.disabled = !standing.waiting;
  }

  async function refresh() {
    try {
      standing = await (await rest(base)).json();
      draw();
    } catch {
      // asked again in a moment
    }
  }

  async function again() {
    shown = 0;
    sheet.replaceChildren();
    await next();
  }

  async function next() {
    try {
      const query = new URLSearchParams({ start: shown, limit: AT_ONCE, ...(only.value ? { label: only.value } : {}) });
      const { count, pictures } = await (await rest(`${base}/pictures?${query}`)).json();
      sheet.append(...pictures.map(card));
      shown += pictures.length;
      more.hidden = shown >= count;
    } catch (error) {
      said.textContent = error.message;
    }
  }

  function card({ picture, label, author, waiting }) {
    const image = el("img", { src: `${base}/pictures/${picture}`, alt: label, loading: "lazy" });
    const remove = el("button", { class: "sl-button", type: "button", "aria-label": `Remove this picture of ${label}`, onclick: ask }, "Remove");
    const words = [text(label), ...(author ? [", ", text(author)] : []), waiting ? el("span", { class: "sl-note" }, " (new)") : null];
    const node = el("li", {}, image, el("span", {}, ...words), remove);
    return node;

    async function ask() {
      if (!remove.classList.contains("co-sure")) {
        remove.classList.add("co-sure");
        remove.textContent = "Really remove?";
        setTimeout(() => {
          remove.classList.remove("co-sure");
          remove.textContent = "Remove";
        }, SURE_MS);
        return;
      }
      try {
        await rest(`${base}/pictures/${picture}`, { method: "DELETE" });
        const near = node.nextElementSibling || node.previousElementSibling;
        node.remove();
        shown -= 1;
        (near?.querySelector("button") || look).focus();
        said.textContent = "Removed.";
        await refresh();
      } catch (error) {
        said.textContent = error.message;
      }
    }
  }

  async function version() {
    make.disabled = true;
    said.textContent = "Making a version…";
    try {
      const made = await (await rest(`${base}/version`, { method: "POST" })).json();
      said.replaceChildren(`Version ${made.dataset.slice(0, 12)} of `, text(made.name), ` has ${made.count} pictures, ${made.added} of them new.`);
      await refresh();
      await again();
    } catch (error) {
      said.textContent = error.message;
      draw();
    }
  }
}
