// Antialiased resizing, as Pillow does it for 8-bit pictures, within a grey level: two passes with weights of 22 bits after the point.
// A canvas would resize otherwise in every browser, and a model would answer otherwise.

const BITS = 22;
const HALF = 1 << (BITS - 1);
const FILTERS = {
  box: { support: 0.5, weigh: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  bilinear: { support: 1, weigh: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: { support: 2, weigh: cubic },
};

function cubic(signed) {
  const a = -0.5;
  const x = Math.abs(signed);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

/** For each of `out` pixels between `from` and `to` of a line of `length`: where its weights begin, how many, the weights. */
function weights(length, from, to, out, { support, weigh }) {
  const scale = Math.fround(to - from) / out;
  const spread = Math.max(scale, 1);
  const reach = support * spread;
  const most = Math.ceil(reach) * 2 + 1;
  const starts = new Int32Array(out);
  const counts = new Int32Array(out);
  const values = new Int32Array(out * most);
  const row = new Float64Array(most);
  for (let i = 0; i < out; i++) {
    const centre = from + (i + 0.5) * scale;
    const start = Math.max(0, Math.trunc(centre - reach + 0.5));
    const count = Math.min(length, Math.trunc(centre + reach + 0.5)) - start;
    let sum = 0;
    for (let k = 0; k < count; k++) sum += row[k] = weigh((k + start - centre + 0.5) / spread);
    for (let k = 0; k < count; k++) {
      const value = (sum === 0 ? row[k] : row[k] / sum) * (1 << BITS);
      values[i * most + k] = Math.trunc(value < 0 ? value - 0.5 : value + 0.5);
    }
    starts[i] = start;
    counts[i] = count;
  }
  return { starts, counts, values, most };
}

const clipped = (sum) => {
  const value = sum >> BITS;
  return value < 0 ? 0 : value > 255 ? 255 : value;
};

/**
 * The part `box` [x0, y0, x1, y1] of a picture {data: 4 bytes a pixel, width, height} as RGB, 3 bytes a pixel, width x height.
 */
export function resize(picture, width, height, filter, box) {
  const [x0, y0, x1, y1] = box.map(Math.fround); // Pillow keeps a box in single precision
  const across = weights(picture.width, x0, x1, width, FILTERS[filter]);
  const down = weights(picture.height, y0, y1, height, FILTERS[filter]);
  const first = down.starts[0];
  const last = down.starts[height - 1] + down.counts[height - 1];
  const narrow = new Uint8Array((last - first) * width * 3);
  for (let y = first; y < last; y++) {
    const line = y * picture.width * 4;
    for (let x = 0; x < width; x++) {
      let red = HALF, green = HALF, blue = HALF;
      let at = line + across.starts[x] * 4;
      const base = x * across.most;
      for (let k = base; k < base + across.counts[x]; k++, at += 4) {
        const weight = across.values[k];
        red += picture.data[at] * weight;
        green += picture.data[at + 1] * weight;
        blue += picture.data[at + 2] * weight;
      }
      const to = ((y - first) * width + x) * 3;
      narrow[to] = clipped(red);
      narrow[to + 1] = clipped(green);
      narrow[to + 2] = clipped(blue);
    }
  }
  const out = new Uint8Array(width * height * 3);
  const stride = width * 3;
  for (let y = 0; y < height; y++) {
    const base = y * down.most;
    const start = (down.starts[y] - first) * stride;
    for (let x = 0; x < stride; x++) {
      let sum = HALF;
      let at = start + x;
      for (let k = base; k < base + down.counts[y]; k++, at += stride) sum += narrow[at] * down.values[k];
      out[y * stride + x] = clipped(sum);
    }
  }
  return out;
}
