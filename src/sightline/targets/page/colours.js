// Colours of classes, as runtime/drawing.py has them, and what drawing over a picture needs of them.

const COLOURS = [[230, 159, 0], [0, 140, 210], [0, 158, 115], [204, 70, 150], [213, 94, 0], [240, 228, 66], [86, 180, 233], [140, 90, 220]];

/** A part of a whole as CSS measures it. */
export const share = (value, whole) => `${(100 * value) / whole}%`;
export const css = (rgb) => `rgb(${rgb.join(" ")})`;
/** How light a colour looks, 0..255. */
export const light = ([red, green, blue]) => 0.299 * red + 0.587 * green + 0.114 * blue;

/** The colour (red, green, blue) of the class of this number. */
export function colour(number) {
  if (number < COLOURS.length) return COLOURS[Math.max(0, number)];
  const hue = 360 * ((number * 0.618034) % 1);
  const part = (n) => {
    const k = (n + hue / 60) % 6;
    return Math.round(255 * 0.9 * (1 - 0.75 * Math.max(0, Math.min(k, 4 - k, 1))));
  };
  return [part(5), part(3), part(1)];
}
