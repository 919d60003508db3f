// From a graph's outputs to an answer: order, decision and flags of a whole picture; objects with places.
import { back } from "./fit.js";

const FLOOR = 0.01; // objects below this score are never told of
const MOST = 300;
const BEFORE = 3000; // boxes that suppression looks at

/** {labels: [{label, score}], flags, decision} of one picture. */
export function whole(outputs, facts) {
  const scores = [...outputs.probabilities];
  const labels = scores.map((score, k) => ({ label: facts.classes[k], score })).sort((a, b) => b.score - a.score);
  const several = facts.task === "multilabel";
  const flags = [];
  if (facts.unknown && outputs.novelty[0] > facts.unknown.threshold) flags.push("unknown");
  if (!several && labels[0].score < facts.unsure_below) flags.push("unsure");
  const given = labels.filter(({ label, score }) => score >= (facts.thresholds[label] ?? 0.5));
  return { labels, flags, decision: several ? given.map((one) => one.label) : [labels[0].label] };
}

/** {objects: [{label, score, box, points}], size} in pixels of the picture, best first. */
export function placed(outputs, names, facts, [width, height]) {
  const read = { sightline: ours, yolov5, yolov8, yolov10 }[facts.layout];
  const found = read(outputs, facts.classes.length, names);
  const objects = [];
  for (const { box, score, label, points } of found) {
    const place = back(box, width, height, facts.input);
    if (place[2] <= place[0] || place[3] <= place[1]) continue; // on the ground around the picture alone
    const own = points && points.map(([x, y, seen]) => [...back([x, y], width, height, facts.input), seen]);
    objects.push({ label: facts.classes[label], score, box: place, points: own });
  }
  return { objects, size: [width, height] };
}

function ours({ boxes, scores, labels, keypoints }) {
  return [...scores].map((score, k) => ({
    box: [...boxes.subarray(4 * k, 4 * k + 4)],
    score,
    label: Number(labels[k]),
    points: keypoints && rows(keypoints.subarray((k * keypoints.length) / scores.length, ((k + 1) * keypoints.length) / scores.length), 3),
  }));
}

const rows = (values, width) => Array.from({ length: values.length / width }, (_, k) => [...values.subarray(k * width, (k + 1) * width)]);

/** Rows of centre x, centre y, width, height, objectness, a score for each class. */
function yolov5(outputs, classes, [first]) {
  const wide = classes + 5;
  return suppressed(outputs[first].length / wide, classes, (n, k) => outputs[first][n * wide + k], (n, c) => outputs[first][n * wide + 4] * outputs[first][n * wide + 5 + c], 0.45);
}

/** Columns of centre x, centre y, width, height, a score for each class. */
function yolov8(outputs, classes, [first]) {
  const count = outputs[first].length / (classes + 4);
  return suppressed(count, classes, (n, k) => outputs[first][k * count + n], (n, c) => outputs[first][(4 + c) * count + n], 0.7);
}

/** Rows of corners, score, class; nothing left to suppress. */
function yolov10(outputs, classes, [first]) {
  const found = rows(outputs[first], 6).map(([x0, y0, x1, y1, score, label]) => ({ box: [x0, y0, x1, y1], score, label }));
  return found.filter(({ score, label }) => score >= FLOOR && label >= 0 && label < classes).sort((a, b) => b.score - a.score).slice(0, MOST);
}

function suppressed(count, classes, place, score, threshold) {
  let found = [];
  for (let n = 0; n < count; n++) {
    let label = 0;
    let best = score(n, 0);
    for (let c = 1; c < classes; c++) if (score(n, c) > best) [best, label] = [score(n, c), c];
    if (best < FLOOR) continue;
    const [x, y, w, h] = [0, 1, 2, 3].map((k) => place(n, k));
    found.push({ box: [x - w / 2, y - h / 2, x + w / 2, y + h / 2], score: best, label });
  }
  found = found.sort((a, b) => b.score - a.score).slice(0, BEFORE);
  const kept = [];
  for (const one of found) {
    if (kept.length >= MOST) break;
    if (!kept.some((other) => other.label === one.label && overlap(one.box, other.box) > threshold)) kept.push(one);
  }
  return kept;
}

function overlap(a, b) {
  const shared = Math.max(0, Math.min(a[2], b[2]) - Math.max(a[0], b[0])) * Math.max(0, Math.min(a[3], b[3]) - Math.max(a[1], b[1]));
  const area = (box) => Math.max(0, box[2] - box[0]) * Math.max(0, box[3] - box[1]);
  const either = area(a) + area(b) - shared;
  return either > 0 ? shared / either : 0;
}
