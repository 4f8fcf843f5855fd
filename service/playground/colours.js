/** Colours of labels on photos. */

/** Of what is written on a label's colour: all of them are light. */
export const INK = "#14100c";

const FIRST_HUE = 200;
const GOLDEN_ANGLE = 137.508;

const order = new Map();

/**
 * The colour of a label, for as long as the page is open. Hues go to labels in the order in which
 * they are first seen, a golden angle apart: so those few that are on a photo differ well, which
 * they would not if each of a thousand labels had a hue of its own.
 */
export function colourOf(label) {
  if (!order.has(label)) order.set(label, order.size);
  const hue = (FIRST_HUE + order.get(label) * GOLDEN_ANGLE) % 360;
  return `oklch(0.8 0.16 ${hue.toFixed(1)})`;
}
