/** The photo with its boxes, and what the pointer is over. */

import { describe } from "./choice.js";
import { drawBoxes, drawRegions } from "./drawing.js";

const HIGHEST = 0.72; // of the window, for the photo
const LOWEST_PIXELS = 280;
const LONGEST_PICTURE = 4096; // of a picture that is saved, which keeps it within every browser

export class Stage {
  #photo = null; // {bitmap | null, width, height}
  #detections = [];
  #active = null;
  #regions = [];
  #scale = 1;

  /** @param onPoint called with the detection that the pointer is over, or null */
  constructor({ stage, empty, frame, photo, boxes }, onPoint, onPress) {
    this.parts = { stage, empty, frame, photo, boxes };
    new ResizeObserver(() => this.#fit()).observe(stage);
    window.addEventListener("resize", () => this.#fit());
    boxes.addEventListener("pointermove", (event) => {
      const found = this.#at(event);
      boxes.dataset.over = String(found !== null);
      onPoint(found);
    });
    boxes.addEventListener("pointerleave", () => onPoint(null));
    boxes.addEventListener("click", (event) => onPress(this.#at(event)));
  }

  /** Show a photo, without boxes until `draw`. `bitmap` is null if the browser cannot show it. */
  show(photo) {
    this.#photo = photo;
    this.#detections = [];
    this.#active = null;
    const { stage, empty, frame } = this.parts;
    const hasSize = photo.width > 0; // else it comes with the answer
    stage.dataset.state = hasSize ? "photo" : "empty";
    empty.hidden = hasSize;
    frame.hidden = !hasSize;
    this.#fit();
  }

  /** @param regions where the model is asked to look, xyxy in the photo's pixels */
  draw(detections, active = null, regions = []) {
    this.#detections = detections;
    this.#active = active;
    this.#regions = regions;
    this.#drawBoxes();
  }

  /** The place of a pointer, [x, y] within the photo, in its pixels; and the scale from these. */
  toPhoto(event) {
    const { width, height } = this.#photo;
    const [x, y] = [event.offsetX / this.#scale, event.offsetY / this.#scale];
    const place = [Math.min(Math.max(x, 0), width), Math.min(Math.max(y, 0), height)];
    return { place, scale: this.#scale };
  }

  /** The photo as a PNG with its boxes, at its own size where that is not beyond reason. */
  async picture() {
    const { bitmap, width, height } = this.#photo;
    const scale = Math.min(1, LONGEST_PICTURE / Math.max(width, height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    const context = canvas.getContext("2d");
    if (bitmap) context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    drawBoxes(context, this.#detections, scale, Math.max(1, scale / this.#scale));
    return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  }

  /** Give the canvases the room that there is, in pixels of the screen itself. */
  #fit() {
    if (!this.#photo?.width) return;
    const { width, height } = this.#photo;
    const { stage, photo, boxes } = this.parts;
    const tallest = Math.max(LOWEST_PIXELS, window.innerHeight * HIGHEST);
    this.#scale = Math.min(stage.clientWidth / width, tallest / height);
    const ratio = window.devicePixelRatio;
    for (const canvas of [photo, boxes]) {
      canvas.style.width = `${width * this.#scale}px`;
      canvas.style.height = `${height * this.#scale}px`;
      canvas.width = Math.round(width * this.#scale * ratio);
      canvas.height = Math.round(height * this.#scale * ratio);
    }
    this.#drawPhoto();
    this.#drawBoxes();
  }

  #drawPhoto() {
    const { photo } = this.parts;
    const context = photo.getContext("2d");
    context.imageSmoothingQuality = "high";
    if (this.#photo.bitmap) context.drawImage(this.#photo.bitmap, 0, 0, photo.width, photo.height);
  }

  #drawBoxes() {
    const { boxes } = this.parts;
    const context = boxes.getContext("2d");
    const ratio = window.devicePixelRatio;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, boxes.width, boxes.height);
    drawRegions(context, this.#regions, this.#scale);
    drawBoxes(context, this.#detections, this.#scale, 1, this.#active);
    boxes.setAttribute("aria-label", `The photo. ${describe(this.#detections)}.`);
  }

  /** The smallest box under the pointer: a large one surrounds what is of interest. */
  #at(event) {
    const [x, y] = this.toPhoto(event).place;
    const under = this.#detections.filter(
      ({ box: [left, top, right, bottom] }) => x >= left && x <= right && y >= top && y <= bottom,
    );
    return under.sort((one, other) => area(one) - area(other))[0] ?? null;
  }
}

function area({ box: [left, top, right, bottom] }) {
  return (right - left) * (bottom - top);
}
