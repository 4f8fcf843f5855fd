/** The playground: a photo, a request, and the part of the answer that is shown. */

import { Boxport } from "./client/index.js";
import { Camera, hasCamera } from "./camera.js";
import { choose, describe, select } from "./choice.js";
import { CodeCard } from "./code_card.js";
import { percent } from "./drawing.js";
import { explain } from "./faults.js";
import { FaultView } from "./fault_view.js";
import { takeFiles } from "./intake.js";
import { keepKey, readKey } from "./key.js";
import { Marker } from "./marker.js";
import { reference, showClassifiers, showFacts, showModels } from "./models.js";
import { describePhoto, readPhoto } from "./photo.js";
import { asCode, send } from "./request.js";
import { Rows, showClasses, showLabels } from "./rows.js";
import { Settings } from "./settings.js";
import { Stage } from "./stage.js";
import { showTiming } from "./timing.js";

const ROOT = new URL(".", location.href);
const SAMPLE = new URL("sample.jpg", import.meta.url);
const SAY_AFTER = 400; // milliseconds: a slider that still moves is not read out

const at = (id) => document.getElementById(id);

let models = [];
let model = null;
let photo = null;
let answer = null; // with everything that the settings may show
let shown = []; // of its detections, regions or classifications
let draft = null; // the region that is being marked
let hovered = null;
let pinned = null;
let running = null; // the AbortController of the request under way
let saying = 0;

const settings = new Settings(
  {
    score: at("score"),
    iou: at("iou"),
    most: at("most"),
    agnostic: at("agnostic"),
    then: at("then"),
    top: at("top"),
    regions: at("regions"),
    reset: at("reset"),
    detect: at("detect-controls"),
    classify: at("classify-controls"),
    marked: at("regions-control"),
  },
  show,
  request,
);
// before the stage, whose presses it takes when they end a drag
new Marker(at("boxes"), {
  canMark: () => settings.takesRegions,
  toPhoto: (event) => stage.toPhoto(event),
  onDraft: (region) => {
    draft = region;
    mark();
  },
  onMark: (region) => settings.mark(region),
});
const stage = new Stage(
  {
    stage: at("stage"),
    empty: at("empty"),
    frame: at("frame"),
    photo: at("photo"),
    boxes: at("boxes"),
  },
  point,
  pin,
);
const rows = new Rows(at("rows"), point, pin);
const fault = new FaultView(
  {
    notice: at("fault"),
    title: at("fault-title"),
    detail: at("fault-detail"),
    advice: at("fault-advice"),
    keyForm: at("key-form"),
    keyInput: at("key"),
    retry: at("retry"),
  },
  start,
  (key) => {
    keepKey(key);
    start();
  },
);
const code = new CodeCard(
  {
    card: at("code"),
    tabs: ["tab-curl", "tab-python", "tab-json"].map(at),
    panel: at("snippet"),
    code: at("snippet-code"),
    copy: at("copy"),
  },
  say,
);
const camera = new Camera(
  {
    dialog: at("camera"),
    view: at("camera-view"),
    note: at("camera-note"),
    takeButton: at("camera-take"),
    closeButton: at("camera-close"),
  },
  take,
);
const actions = {
  choose: () => at("file").click(),
  camera: () => camera.open(),
  sample: async () => {
    const reply = await fetch(SAMPLE);
    await take(new File([await reply.blob()], "sample.jpg", { type: "image/jpeg" }));
  },
};

for (const button of document.querySelectorAll("[data-act]")) {
  button.addEventListener("click", actions[button.dataset.act]);
  if (button.dataset.act === "camera") button.hidden = !hasCamera();
}
takeFiles({ root: document.body, input: at("file") }, take, (complaint) =>
  fail({ title: "This is not a photo", detail: complaint, advice: "" }),
);
at("model").addEventListener("change", () => {
  adopt(models.find((one) => reference(one) === at("model").value));
  request();
});
at("download").addEventListener("click", download);
at("key-button").addEventListener("click", () => {
  keepKey("");
  start();
});
start();

/** Get the models, with the key if there is one; then send the photo, if there is one. */
async function start() {
  fault.hide();
  at("key-button").hidden = readKey() === undefined;
  try {
    models = await client().models();
  } catch (error) {
    fail(explain(error, readKey() !== undefined));
    return;
  }
  const chosen = showModels(at("model"), models);
  showClassifiers(at("then-control"), at("then"), models);
  if (chosen === null) {
    const advice = "Its operator has to add one to the model store.";
    fail({ title: "There is no model", detail: "No model is ready.", advice });
    return;
  }
  if (model === null || reference(chosen) !== reference(model)) adopt(chosen);
  await request();
}

/** Made for each request, since the key may have changed; it costs nothing. */
function client() {
  return new Boxport(ROOT, { apiKey: readKey(), retries: 0 }); // people see why, and try again
}

function adopt(chosen) {
  model = chosen;
  answer = null;
  settings.adopt(model);
  showFacts(at("model-facts"), model);
}

/** Show a file and send it. */
async function take(file, others = 0) {
  photo = await readPhoto(file);
  answer = null;
  settings.forgetPhoto();
  const hadFocus = at("empty").contains(document.activeElement);
  stage.show(photo);
  if (hadFocus) at("results").focus(); // the button that was pressed has gone
  at("caption").hidden = false;
  at("photo-name").textContent = photo.name;
  const left = others ? `; ${others} more ignored: one photo at a time` : "";
  at("photo-facts").textContent = describePhoto(photo) + left;
  at("download").disabled = true;
  show();
  if (model) await request();
}

/** Send the photo; a request that is under way is aborted. */
async function request() {
  running?.abort();
  if (photo === null) return;
  const current = new AbortController();
  running = current;
  at("stage").ariaBusy = "true";
  const begun = performance.now();
  try {
    const given = await send(client(), model, photo, settings, current.signal);
    const roundTrip = performance.now() - begun;
    if (running !== current) return;
    fault.hide();
    receive(given, roundTrip);
  } catch (error) {
    if (running !== current) return;
    answer = null;
    show();
    fail(explain(error, readKey() !== undefined));
  } finally {
    if (running === current) at("stage").ariaBusy = "false";
  }
}

function receive(given, roundTrip) {
  answer = given;
  if (!photo.bitmap) {
    Object.assign(photo, { width: given.width, height: given.height });
    stage.show(photo);
    const note = "this browser cannot show it, but the service can read it";
    at("photo-facts").textContent = `${describePhoto(photo)}; ${note}`;
  }
  at("download").disabled = false;
  showNovelty(given.novelty);
  const parts = { card: "timing", total: "timing-total", trip: "timing-trip", bar: "timing-bar" };
  const found = Object.entries({ ...parts, stages: "timing-stages" });
  showTiming(Object.fromEntries(found.map(([name, id]) => [name, at(id)])), given.timing_ms, roundTrip);
  show();
}

/** Of a model with a companion: how unlike its training photos this one is. */
function showNovelty(novelty) {
  at("novelty").hidden = novelty == null;
  if (novelty != null) {
    const share = Math.floor(100 * novelty);
    at("novelty").textContent = `Novelty ${novelty.toFixed(2)}: ${share} % of the training photos are more usual.`;
  }
}

/** Show the part of the answer that the settings select. */
function show() {
  const isClasses = answer?.classifications !== undefined;
  const detections = answer?.detections ?? [];
  shown = select(answer, settings);
  if (!shown.includes(pinned)) pinned = null;
  if (!shown.includes(hovered)) hovered = null;
  const { score, most } = settings;
  const ofAllLabels = choose(detections, { score, most, labels: new Set() });
  showLabels(at("labels"), ofAllLabels, settings.labels, toggleLabel);
  if (isClasses) showClasses(at("rows"), shown);
  else rows.show(shown);
  mark();
  const head = headline();
  at("results-title").textContent = head.title;
  at("results-hint").textContent = head.hint;
  at("results-hint").hidden = head.hint === "";
  at("timing").hidden = at("code").hidden = answer === null;
  if (answer === null) return;
  const needsKey = readKey() !== undefined;
  code.show(asCode({ root: ROOT.href, needsKey, models, model, photo, settings, answer, shown }));
  saySoon(head.spoken);
}

function headline() {
  if (answer === null) {
    return { title: "Results", hint: "Objects or classes appear here, best first." };
  }
  if (answer.classifications) {
    const [best] = answer.classifications;
    const spoken = `Most likely ${best.label}, ${percent(best.score)}`;
    return { title: "Most likely", hint: "", spoken };
  }
  if (answer.regions) {
    const title = shown.length === 1 ? "1 region" : `${shown.length} regions`;
    return { title, hint: "", spoken: `${title}: ${shown.map(({ label }) => label).join(", ")}` };
  }
  const spoken = describe(shown);
  if (shown.length > 0) {
    return { title: shown.length === 1 ? "1 object" : `${shown.length} objects`, hint: "", spoken };
  }
  const nearly = answer.detections.length;
  const hint = nearly
    ? `Nothing scores above ${settings.score.toFixed(2)}. Lower the score to see what came close.`
    : "The model found none of its labels.";
  return { title: "No objects", hint, spoken };
}

function toggleLabel(name) {
  if (!settings.labels.delete(name)) settings.labels.add(name);
  show();
}

function point(detection) {
  if (hovered === detection) return;
  hovered = detection;
  mark();
}

function pin(detection) {
  pinned = pinned === detection ? null : detection;
  mark();
}

function mark() {
  const active = hovered ?? pinned;
  const regions = draft ? [...settings.regions, draft] : settings.regions;
  const isBoxes = answer !== null && !answer.classifications;
  if (photo) stage.draw(isBoxes ? shown : [], active, regions);
  rows.mark(active, pinned);
}

async function download() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await stage.picture());
  link.download = `${photo.name.replace(/\.\w+$/, "")}-boxes.png`;
  link.click();
  URL.revokeObjectURL(link.href);
}

function fail(explained) {
  fault.show({ needsKey: false, canRetry: false, waitMs: 0, ...explained });
}

function saySoon(words) {
  clearTimeout(saying);
  saying = setTimeout(() => say(words), SAY_AFTER);
}

function say(words) {
  at("status").textContent = words;
}
