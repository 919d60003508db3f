// A dialog that takes one picture with the camera. The picture stays in this page until it is given to `taken`.
import { el } from "/static/page/dom.js";

export async function openCamera(taken) {
  const video = el("video", { autoplay: true, playsInline: true, muted: true, "aria-label": "What the camera sees" });
  const note = el("p", { class: "sl-note", role: "status" }, "Waiting for the camera. Your browser may ask for permission.");
  const shoot = el("button", { class: "sl-button sl-first", type: "button", disabled: true, onclick: snap }, "Take the picture");
  const cancel = el("button", { class: "sl-button", type: "button", onclick: () => dialog.close() }, "Cancel");
  const dialog = el(
    "dialog",
    { class: "sl-camera", "aria-label": "Take a picture", onclose: stop },
    video,
    note,
    el("div", { class: "sl-row" }, shoot, cancel),
  );
  let stream = null;
  document.body.append(dialog);
  dialog.showModal();

  try {
    if (!navigator.mediaDevices) throw new DOMException("", "InsecureError");
    stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment", width: { ideal: 1280 } } });
    if (!dialog.open) return stop();
    video.srcObject = stream;
    await video.play();
    note.textContent = "Hold the thing in the middle of the picture.";
    shoot.disabled = false;
    shoot.focus();
  } catch (error) {
    note.textContent = {
      NotAllowedError: "The camera is blocked for this page. Allow it in the address bar, then try again.",
      NotFoundError: "No camera was found.",
      NotReadableError: "Another program is using the camera.",
      InsecureError: "Browsers allow the camera only on https or on this machine (localhost).",
    }[error.name] || "The camera cannot be used.";
  }

  function snap() {
    const canvas = el("canvas", { width: video.videoWidth, height: video.videoHeight });
    canvas.getContext("2d").drawImage(video, 0, 0);
    canvas.toBlob((blob) => blob && taken(blob), "image/jpeg", 0.95);
    dialog.close();
  }

  function stop() {
    stream?.getTracks().forEach((track) => track.stop());
    dialog.remove();
  }
}
