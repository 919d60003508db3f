// The live camera: every frame is answered on this device, with frames a second; one may be kept as a picture.
import { bar } from "./answer.js";
import { el, text } from "./dom.js";
import { counted, marks, threshold } from "./objects.js";

const SHOWN = 3; // labels under the camera
const OVER = 10; // frames that the rate is taken over

const REASONS = {
  NotAllowedError: "The camera is blocked for this page. Allow it in the address bar, then try again.",
  NotFoundError: "No camera was found.",
  NotReadableError: "Another program is using the camera.",
  InsecureError: "Browsers allow the camera only on https or on this machine (localhost).",
};

export async function openCamera(model, taken) {
  const video = el("video", { autoplay: true, playsInline: true, muted: true, "aria-label": "What the camera sees" });
  const overlay = el("div", { class: "overlay", "aria-hidden": "true" });
  const title = el("h2", { class: "title live" }, "…");
  const list = el("ul", { class: "bars", "aria-label": "Best labels" });
  const rate = el("p", { class: "note rate" }, "Waiting for the camera. Your browser may ask for permission.");
  const keep = el("button", { class: "button first", type: "button", disabled: true, onclick: snap }, "Keep this picture");
  const turn = el("button", { class: "button", type: "button", hidden: true, onclick: other }, "Other camera");
  const stop = el("button", { class: "button", type: "button", onclick: () => dialog.close() }, "Stop");
  const dialog = el("dialog", { class: "camera", "aria-label": "Live camera", onclose: ended }, el("div", { class: "frame" }, video, overlay), title, list, rate, el("div", { class: "row" }, keep, turn, stop));
  let stream = null;
  let facing = "environment";
  document.body.append(dialog);
  dialog.showModal();
  await begin();
  frames();

  /** Look through the camera that `facing` names; the buttons wait, so that no second one is opened meanwhile. */
  async function begin() {
    turn.disabled = keep.disabled = true;
    let opened = null;
    try {
      if (!navigator.mediaDevices) throw new DOMException("", "InsecureError");
      close(); // first: many phones give one camera at a time
      opened = await navigator.mediaDevices.getUserMedia({ video: { facingMode: facing, width: { ideal: 1280 } } });
      if (!dialog.open) return release(opened);
      stream = video.srcObject = opened;
      await video.play();
      keep.disabled = false;
      const cameras = (await navigator.mediaDevices.enumerateDevices()).filter((one) => one.kind === "videoinput");
      turn.hidden = cameras.length < 2;
    } catch (error) {
      release(opened);
      close();
      rate.textContent = REASONS[error.name] || "The camera cannot be used.";
    } finally {
      turn.disabled = false;
    }
  }

  function close() {
    release(stream);
    stream = video.srcObject = null;
  }

  /** One frame after the other, as fast as the model answers. */
  async function frames() {
    const times = [];
    while (dialog.open) {
      await shownNext(video);
      const from = stream;
      if (!dialog.open || !from || !video.videoWidth || document.hidden) continue;
      try {
        const result = await model.frame(await createImageBitmap(video));
        if (stream !== from) continue; // of a camera that is gone: what is said of the next one stays
        show(result);
      } catch (error) {
        rate.textContent = error.message;
        return;
      }
      times.push(performance.now());
      if (times.length > OVER) times.shift();
      if (times.length > 1) {
        const each = (1000 * (times.length - 1)) / (times.at(-1) - times[0]);
        rate.textContent = `${each < 10 ? each.toFixed(1) : Math.round(each)} frames a second, computed on this device`;
        dialog.dataset.rate = each;
      }
    }
  }

  function show(result) {
    if (result.objects) {
      const sure = result.objects.filter(({ label, score }) => score >= threshold(label, model.facts));
      title.replaceChildren(...counted(sure));
      overlay.replaceChildren(...marks(sure, result.size, model.facts));
      return;
    }
    const doubt = result.flags.includes("unknown") ? "Unknown. Nearest: " : result.flags.includes("unsure") ? "Not sure: " : "";
    const words = result.decision.length ? result.decision.flatMap((label, k) => [k ? ", " : "", text(label)]) : ["none of its labels"];
    title.replaceChildren(doubt ? el("span", { class: "maybe" }, doubt) : "", ...words);
    const given = new Set(result.decision);
    list.replaceChildren(...result.labels.slice(0, SHOWN).map(({ label, score }) => bar(label, score, given.has(label), model.facts)));
  }

  function snap() {
    const canvas = el("canvas", { width: video.videoWidth, height: video.videoHeight });
    canvas.getContext("2d").drawImage(video, 0, 0);
    canvas.toBlob((blob) => blob && taken(blob), "image/jpeg", 0.95);
    dialog.close();
  }

  function other() {
    facing = facing === "environment" ? "user" : "environment";
    begin();
  }

  function ended() {
    close();
    dialog.remove();
  }
}

const release = (stream) => stream?.getTracks().forEach((track) => track.stop());

/** When the camera has a new frame, or the screen is drawn again where a browser cannot tell. */
const shownNext = (video) =>
  Promise.race([
    new Promise((resolve) => (video.requestVideoFrameCallback ? video.requestVideoFrameCallback(resolve) : requestAnimationFrame(resolve))),
    new Promise((resolve) => setTimeout(resolve, 500)), // a camera that stands still must not keep the dialog waiting
  ]);
