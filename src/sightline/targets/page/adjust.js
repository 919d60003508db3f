// A model's own preprocessing on the resized picture (RGB, 3 bytes a pixel), step for step as the server does it.

const LUMA = [0.299, 0.587, 0.114];

/** Half to even, as everywhere in numerical code but in JavaScript's own round. */
export const even = (value) => {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
};

const byte = (value) => Math.min(255, Math.max(0, even(value)));
const table = (of) => Uint8Array.from({ length: 256 }, (_, level) => byte(of(level)));

const STEPS = {
  "white-balance": { usual: 1, change: whiteBalance },
  denoise: { usual: 1, change: denoise },
  brightness: { usual: 1.2, change: (pixels, amount) => through(pixels, table((level) => level * amount)) },
  contrast: { usual: 1.2, change: contrast },
  grey: { usual: 1, change: grey },
};

/** The picture after all steps ("contrast:1.5"), in their order. */
export function adjusted(pixels, steps, width, height) {
  for (const step of steps) {
    const [name, amount] = step.split(":");
    const { usual, change } = STEPS[name];
    pixels = change(pixels, amount === undefined ? usual : Number(amount), width, height);
  }
  return pixels;
}

const through = (pixels, levels) => pixels.map((value) => levels[value]);

/** Shades of grey: the Minkowski mean (p = 6) of each channel is made the same; gains stay within a factor of 2. */
function whiteBalance(pixels, amount) {
  const light = [0, 1, 2].map((channel) => {
    const counts = new Float64Array(256);
    for (let at = channel; at < pixels.length; at += 3) counts[pixels[at]] += 1;
    const sum = counts.reduce((all, count, level) => all + count * (level / 255) ** 6, 0);
    return (sum / (pixels.length / 3)) ** (1 / 6);
  });
  if (Math.min(...light) <= 0) return pixels;
  const mean = (light[0] + light[1] + light[2]) / 3;
  const tables = light.map((own) => {
    const gain = Math.min(2, Math.max(0.5, mean / own)) ** amount;
    return table((level) => level * gain);
  });
  return pixels.map((value, at) => tables[at % 3][value]);
}

/** Distances from the picture's mean light, `amount` times as large. */
function contrast(pixels, amount) {
  const sums = [0, 0, 0];
  for (let at = 0; at < pixels.length; at++) sums[at % 3] += pixels[at];
  const middle = sums.reduce((all, sum, channel) => all + LUMA[channel] * (sum / (pixels.length / 3)), 0);
  return through(pixels, table((level) => middle + (level - middle) * amount));
}

function grey(pixels, amount) {
  const out = new Uint8Array(pixels.length);
  for (let at = 0; at < pixels.length; at += 3) {
    const light = (pixels[at] * 19595 + pixels[at + 1] * 38470 + pixels[at + 2] * 7471 + 0x8000) >> 16;
    for (let k = at; k < at + 3; k++) out[k] = amount === 1 ? light : Math.trunc(pixels[k] + amount * (light - pixels[k]));
  }
  return out;
}

/** The median of the pixels around each; what lies outside the picture is its nearest edge. */
function denoise(pixels, amount, width, height) {
  const radius = even(amount);
  const size = 2 * radius + 1;
  const near = new Uint8Array(size * size);
  const out = new Uint8Array(pixels.length);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (let channel = 0; channel < 3; channel++) {
        let count = 0;
        for (let dy = -radius; dy <= radius; dy++) {
          const row = Math.min(height - 1, Math.max(0, y + dy)) * width;
          for (let dx = -radius; dx <= radius; dx++)
            near[count++] = pixels[(row + Math.min(width - 1, Math.max(0, x + dx))) * 3 + channel];
        }
        near.sort();
        out[(y * width + x) * 3 + channel] = near[(size * size) >> 1];
      }
  return out;
}
