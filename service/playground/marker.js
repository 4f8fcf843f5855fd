/** Regions of the photo: dragged over it with a mouse or pen. */

const LEAST = 4; // pixels of the screen, from which on a press is a drag

export class Marker {
  #from = null; // where the drag began, in the photo's pixels
  #draft = null;
  #hasDragged = false;

  /**
   * @param canvas the photo lies under
   * @param canMark says whether a drag marks anything now
   * @param toPhoto gives the place of an event, [x, y] in the photo's pixels, and the scale to them
   * @param onDraft called with the region while it is dragged, and with null at the end
   * @param onMark called with a region, xyxy in the photo's pixels
   */
  constructor(canvas, { canMark, toPhoto, onDraft, onMark }) {
    this.parts = { toPhoto, onDraft, onMark };
    canvas.addEventListener("pointerdown", (event) => {
      this.#hasDragged = false;
      if (event.pointerType === "touch" || event.button !== 0 || !canMark()) return; // touch scrolls
      this.#from = toPhoto(event).place;
      canvas.setPointerCapture(event.pointerId);
    });
    canvas.addEventListener("pointermove", (event) => this.#from && this.#stretch(event));
    canvas.addEventListener("pointerup", () => this.#end(true));
    canvas.addEventListener("pointercancel", () => this.#end(false));
    // the press that ends a drag is none
    canvas.addEventListener("click", (event) => this.#hasDragged && event.stopImmediatePropagation());
  }

  #stretch(event) {
    const { place, scale } = this.parts.toPhoto(event);
    const [across, down] = [0, 1].map((axis) => [this.#from[axis], place[axis]].sort((a, b) => a - b));
    const box = [across[0], down[0], across[1], down[1]];
    const isLarge = (box[2] - box[0]) * scale >= LEAST && (box[3] - box[1]) * scale >= LEAST;
    this.#draft = isLarge ? box : null;
    this.#hasDragged ||= isLarge;
    this.parts.onDraft(this.#draft);
  }

  #end(isDone) {
    const draft = this.#draft;
    this.#from = this.#draft = null;
    if (!draft) return;
    if (isDone) this.parts.onMark(draft.map((edge) => Math.round(edge * 10) / 10));
    this.parts.onDraft(null);
  }
}
