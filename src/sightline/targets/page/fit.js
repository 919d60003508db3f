// A decoded picture of any size to the square a model sees: crop, squash or pad, as the server does it.
import { adjusted, even } from "./adjust.js";
import { resize } from "./resample.js";

const GREY = [124, 116, 104];

/** {data: RGBA, width, height} -> RGB bytes, size x size. */
export function fit(picture, spec) {
  const { width, height } = picture;
  const size = spec.size;
  const steps = spec.steps || [];
  if (spec.fit !== "pad") {
    const box = spec.fit === "crop" ? kept(width, height, spec) : [0, 0, width, height];
    return adjusted(resize(picture, size, size, spec.interpolation, box), steps, size, size);
  }
  const [across, down] = innerSize(width, height, size);
  const shown = adjusted(resize(picture, across, down, spec.interpolation, [0, 0, width, height]), steps, across, down);
  const canvas = new Uint8Array(size * size * 3);
  for (let at = 0; at < canvas.length; at++) canvas[at] = GREY[at % 3];
  const [left, top] = [Math.floor((size - across) / 2), Math.floor((size - down) / 2)];
  for (let y = 0; y < down; y++) canvas.set(shown.subarray(y * across * 3, (y + 1) * across * 3), ((top + y) * size + left) * 3);
  return canvas;
}

/** Places in the square, [x0, y0, x1, y1] or [x, y], as places in the picture. */
export function back(values, width, height, spec) {
  const [across, down] = spec.fit === "pad" ? innerSize(width, height, spec.size) : [spec.size, spec.size];
  const offset = [Math.floor((spec.size - across) / 2), Math.floor((spec.size - down) / 2)];
  const scale = [across / width, down / height];
  return values.map((value, k) => Math.min([width, height][k % 2], Math.max(0, (value - offset[k % 2]) / scale[k % 2])));
}

function innerSize(width, height, size) {
  const ratio = size / Math.max(width, height);
  const side = (length) => Math.max(1, even(Number((length * ratio).toFixed(6))));
  return [side(width), side(height)];
}

/** What "resize the shorter side to size / crop, then cut out the middle" keeps, on whole pixels of the resized picture. */
function kept(width, height, { size, crop }) {
  const shorter = Math.max(size, even(size / crop));
  const resized =
    width <= height ? [shorter, Math.trunc((shorter * height) / width)] : [Math.trunc((shorter * width) / height), shorter];
  const [left, top] = resized.map((side) => even((side - size) / 2));
  const [across, down] = [width / resized[0], height / resized[1]];
  return [left * across, top * down, (left + size) * across, (top + size) * down];
}
