// The worker that computes: a decoded picture in, the answer out. The only file that knows onnxruntime-web. Asks for nothing foreign.
import * as ort from "./ort.js";
import { placed, whole } from "./decide.js";
import { fit } from "./fit.js";

const MOST_PIXELS = 16e6; // a canvas on some phones holds no more
let session = null;
let facts = null;

const jobs = { open, answer };
let turn = Promise.resolve(); // one picture at a time: memory for one, and a time that is its own
onmessage = ({ data }) => (turn = turn.then(() => work(data)));

async function work(data) {
  try {
    postMessage({ id: data.id, result: await jobs[data.job](data) });
  } catch (error) {
    postMessage({ id: data.id, error: String((error && error.message) || error) });
  }
}

async function open({ facts: given, model }) {
  facts = given;
  ort.env.wasm.numThreads = 1; // more need headers that few hosts send
  ort.env.wasm.wasmPaths = { wasm: new URL("ort.wasm", import.meta.url).href };
  ort.env.logLevel = "error";
  session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"], graphOptimizationLevel: "all" });
  return { version: ort.env.versions.web };
}

/** `blob`: an encoded picture; or `frame`: an ImageBitmap of a camera, which is closed here. */
async function answer({ blob, frame }) {
  const start = performance.now();
  const picture = pixels(frame || (await decoded(blob)));
  const image = fit(picture, facts.input);
  const outputs = {};
  const ready = performance.now();
  const given = facts.layout === "sightline" ? asBytes(image) : asFloats(image);
  const found = await session.run({ [session.inputNames[0]]: given });
  for (const name of session.outputNames) outputs[name] = found[name].data;
  const done = performance.now();
  const size = [picture.width, picture.height];
  const result = facts.task === "detection" ? placed(outputs, session.outputNames, facts, size) : whole(outputs, facts);
  return { ...result, took: done - start, computed: done - ready };
}

async function decoded(blob) {
  // colours as they are stored, turned as the camera was held: what the server sees
  const how = { imageOrientation: "from-image", colorSpaceConversion: "none", premultiplyAlpha: "none" };
  const bitmap = await createImageBitmap(blob, how);
  const share = Math.sqrt(MOST_PIXELS / (bitmap.width * bitmap.height));
  if (share >= 1) return bitmap;
  const smaller = { resizeWidth: Math.round(bitmap.width * share), resizeHeight: Math.round(bitmap.height * share), resizeQuality: "high" };
  const reduced = await createImageBitmap(bitmap, smaller);
  bitmap.close();
  return reduced;
}

/** {data: RGBA, width, height}; what is transparent lies on white. */
function pixels(bitmap) {
  const { width, height } = bitmap;
  const pen = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, width, height);
  pen.drawImage(bitmap, 0, 0);
  bitmap.close();
  return pen.getImageData(0, 0, width, height);
}

const asBytes = (image) => new ort.Tensor("uint8", image, [1, facts.input.size, facts.input.size, 3]);

function asFloats(image) {
  const plane = image.length / 3;
  const values = new Float32Array(image.length);
  for (let at = 0; at < image.length; at++) values[(at % 3) * plane + Math.floor(at / 3)] = image[at] / 255;
  return new ort.Tensor("float32", values, [1, 3, facts.input.size, facts.input.size]);
}
