/** Boxes or outlines, and their labels, on a canvas. */

import { colourOf, INK } from "./colours.js";

const FONT = "ui-sans-serif, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif";
const LINE = 2;
const HALO = 4;
const TEXT = 12;
const CHIP = 20;

/**
 * Draw detections, best on top.
 *
 * @param scale from the photo's pixels to the context's units
 * @param unit how many of the context's units a pixel of the screen has: lines are so much wider
 * @param active the one that is pointed at; the rest of the photo steps back then
 */
export function drawBoxes(context, detections, scale, unit = 1, active = null) {
  context.globalAlpha = active ? 0.35 : 1;
  for (const one of [...detections].reverse()) {
    if (one !== active) drawBox(context, one, scale, unit);
  }
  context.globalAlpha = 1;
  if (active) {
    dimAround(context, active, scale);
    drawBox(context, active, scale, unit);
  }
}

/** Outline where a model is asked to look; no label is known of it. */
export function drawRegions(context, regions, scale) {
  context.setLineDash([6, 4]);
  for (const box of regions) {
    const [left, top, right, bottom] = box.map((edge) => edge * scale);
    context.beginPath();
    context.rect(left, top, right - left, bottom - top);
    context.lineWidth = HALO;
    context.strokeStyle = "rgb(0 0 0 / 35%)";
    context.stroke();
    context.lineWidth = LINE;
    context.strokeStyle = "white";
    context.stroke();
  }
  context.setLineDash([]);
}

function dimAround(context, detection, scale) {
  const { width, height } = context.canvas; // in the screen's pixels: enough in any unit
  context.beginPath();
  context.rect(0, 0, width, height);
  trace(context, detection, scale);
  context.fillStyle = "rgb(0 0 0 / 50%)";
  context.fill("evenodd");
}

function drawBox(context, detection, scale, unit) {
  const [left, top] = detection.box.map((edge) => edge * scale);
  const colour = colourOf(detection.label);
  context.beginPath();
  trace(context, detection, scale);
  // dark around the line, for photos as light as itself
  context.lineWidth = HALO * unit;
  context.strokeStyle = "rgb(0 0 0 / 35%)";
  context.stroke();
  context.lineWidth = LINE * unit;
  context.strokeStyle = colour;
  context.stroke();
  drawChip(context, detection, colour, left, top, unit);
}

/** Add the outline of what was found to the path, or the box of what has none. */
function trace(context, { box, contour }, scale) {
  if (contour) {
    contour.forEach(([x, y], place) => {
      if (place) context.lineTo(x * scale, y * scale);
      else context.moveTo(x * scale, y * scale);
    });
    context.closePath();
  } else {
    const [left, top, right, bottom] = box.map((edge) => edge * scale);
    context.rect(left, top, right - left, bottom - top);
  }
}

/** The label above the box, or within it where there is no room above; never past the right. */
function drawChip(context, detection, colour, left, top, unit) {
  const { label, score } = shownOf(detection);
  const text = `${label} ${percent(score)}`;
  context.font = `600 ${TEXT * unit}px ${FONT}`;
  const width = context.measureText(text).width + 12 * unit;
  const height = CHIP * unit;
  const right = context.canvas.width / context.getTransform().a;
  const x = Math.max(0, Math.min(left - (LINE / 2) * unit, right - width));
  const y = top - height >= 0 ? top - height : top;
  context.fillStyle = colour;
  context.fillRect(x, y, width, height);
  context.fillStyle = INK;
  context.textBaseline = "middle";
  context.fillText(text, x + 6 * unit, y + height / 2 + 0.5 * unit);
}

/** What is written of a detection: what a second model says of it tells more. */
export function shownOf({ label, score, classifications }) {
  const best = classifications?.[0];
  return best ? { label: `${label}: ${best.label}`, score: best.score } : { label, score };
}

export function percent(score) {
  return `${Math.round(score * 100)}%`;
}
