// Drawing where the model looked: a grid of importances over the part of the picture that the model saw.
import { el } from "/static/page/dom.js";

/** An overlay for `explanation` ({grid, region}); its box lies over the picture by percentages, so it follows every resize. */
export function heat({ grid, region }) {
  const { x0, y0, x1, y1 } = region;
  const rows = grid.length;
  const small = el("canvas", { width: rows, height: rows });
  const pen = small.getContext("2d");
  const dots = pen.createImageData(rows, rows);
  grid.flat().forEach((value, index) => dots.data.set(colour(value), 4 * index));
  pen.putImageData(dots, 0, 0);

  const canvas = el("canvas", { class: "sl-heat", width: 448, height: 448, "aria-hidden": "true" });
  const brush = canvas.getContext("2d");
  brush.imageSmoothingEnabled = true;
  brush.imageSmoothingQuality = "high";
  brush.drawImage(small, 0, 0, 448, 448);
  place(canvas, x0, y0, x1, y1);

  const frame = el("div", { class: "sl-seen", "aria-hidden": "true" }); // dims what the model did not see
  place(frame, x0, y0, x1, y1);
  return el("div", { class: "sl-overlay" }, frame, canvas);
}

function place(node, x0, y0, x1, y1) {
  Object.assign(node.style, {
    left: `${100 * x0}%`,
    top: `${100 * y0}%`,
    width: `${100 * (x1 - x0)}%`,
    height: `${100 * (y1 - y0)}%`,
  });
}

// from nothing over yellow to red: red, green, blue, opacity in 0..255
function colour(value) {
  const strength = Math.min(1, Math.max(0, value));
  return [255, Math.round(220 * (1 - strength)), 30, Math.round(215 * strength ** 0.8)];
}
