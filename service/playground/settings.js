/** The sliders and the switch: what is requested, and which part of the answer is shown. */

const REQUEST_AFTER = 250; // milliseconds without another move

export class Settings {
  labels = new Set(); // that are shown; empty: all
  takesRegions = false;
  #defaults = {};
  #timer = 0;

  /**
   * @param onChoose called when what is shown changes
   * @param onRequest called, once no control moves, when a new request is needed
   */
  constructor(
    { score, iou, most, agnostic, then, top, regions, reset, detect, classify, marked },
    onChoose,
    onRequest,
  ) {
    this.inputs = { score, iou, most, agnostic, then, top, regions };
    this.groups = { detection: detect, classification: classify };
    this.marked = marked;
    const requestAgain = () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(onRequest, REQUEST_AFTER);
    };
    for (const input of [score, iou, most, top]) input.addEventListener("input", () => paint(input));
    for (const input of [score, most, top]) input.addEventListener("input", onChoose);
    // with a second model only what is shown is requested: each box costs a run
    for (const input of [score, most]) {
      input.addEventListener("input", () => this.then && requestAgain());
    }
    for (const input of [iou, regions]) input.addEventListener("input", requestAgain);
    for (const input of [agnostic, then]) input.addEventListener("change", requestAgain);
    reset.addEventListener("click", () => {
      const { iouThreshold, classAgnostic, then, regions } = this;
      this.restore();
      onChoose();
      const isOther = iouThreshold !== this.iouThreshold || classAgnostic || then;
      if (isOther || regions.length > 0) requestAgain();
    });
  }

  /** Take over a model's own defaults. */
  adopt({ task, defaults, labels, inputs }) {
    this.takesRegions = task === "classification" || inputs.some(({ name }) => name === "regions");
    this.marked.hidden = !this.takesRegions;
    for (const [name, group] of Object.entries(this.groups)) group.hidden = name !== task;
    const { most, top } = this.inputs;
    if (task === "detection") most.max = Math.max(100, defaults.max_detections);
    else top.max = Math.min(20, labels.length);
    this.#defaults = { ...this.#defaults, ...defaults };
    this.restore();
  }

  restore() {
    const { score, iou, most, agnostic, then, top, regions } = this.inputs;
    const { score_threshold, iou_threshold, max_detections, top_k } = this.#defaults;
    const wanted = [
      [score, score_threshold],
      [iou, iou_threshold],
      [most, max_detections],
      [top, top_k],
    ];
    for (const [input, value] of wanted) {
      if (value !== undefined) input.value = value;
      paint(input);
    }
    agnostic.checked = false;
    then.value = regions.value = "";
    this.labels.clear();
  }

  /** What was said of one photo is not meant for another. */
  forgetPhoto() {
    this.labels.clear();
    this.inputs.regions.value = "";
  }

  /** Have the model look at a region too: xyxy in the photo's pixels. */
  mark(region) {
    const { regions } = this.inputs;
    regions.value = [regions.value.trim(), region.join(",")].filter(Boolean).join("\n");
    regions.dispatchEvent(new Event("input"));
  }

  /** Where the model is to look; lines that are no box yet are passed over. None: everywhere. */
  get regions() {
    const lines = this.takesRegions ? this.inputs.regions.value.split("\n") : [];
    const boxes = lines.map((line) => line.split(",").map((side) => Number(side.trim() || NaN)));
    return boxes.filter((box) => box.length === 4 && box.every(Number.isFinite));
  }

  get score() {
    return this.inputs.score.valueAsNumber;
  }

  get most() {
    return this.inputs.most.valueAsNumber;
  }

  get mostEver() {
    return Number(this.inputs.most.max);
  }

  get iouThreshold() {
    return this.inputs.iou.valueAsNumber;
  }

  get classAgnostic() {
    return this.inputs.agnostic.checked;
  }

  /** The classifier of what is detected, or "". */
  get then() {
    return this.inputs.then.value;
  }

  get topK() {
    return this.inputs.top.valueAsNumber;
  }

  get topKEver() {
    return Number(this.inputs.top.max);
  }
}

/** Show a slider's value beside it and as the filled part of its track. */
function paint(input) {
  const [min, max, value] = [input.min, input.max, input.value].map(Number);
  input.style.setProperty("--at", `${((value - min) / (max - min)) * 100}%`);
  const isShare = input.step !== "1";
  const text = isShare ? value.toFixed(2) : String(value);
  document.querySelector(`output[for="${input.id}"]`).textContent = text;
}
