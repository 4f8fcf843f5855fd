/** The playground: a photo, a question, and what of the answer is shown. */

import { Boxport } from "./client/index.js";
import { Camera, hasCamera } from "./camera.js";
import { choose, tell } from "./choice.js";
import { CodeCard } from "./code_card.js";
import { percent } from "./drawing.js";
import { explain } from "./faults.js";
import { FaultView } from "./fault_view.js";
import { takeFiles } from "./intake.js";
import { keepKey, readKey } from "./key.js";
import { reference, showFacts, showModels } from "./models.js";
import { describePhoto, readPhoto } from "./photo.js";
import { asCode, put } from "./question.js";
import { Rows, showClasses, showLabels } from "./rows.js";
import { Settings } from "./settings.js";
import { Stage } from "./stage.js";
import { showTiming } from "./timing.js";

const ROOT = new URL(".", location.href);
const SAMPLE = new URL("sample.jpg", import.meta.url);
const SAY_AFTER = 400; // milliseconds: a slider on its way is not read out

const at = (id) => document.getElementById(id);

let models = [];
let model = null;
let photo = null;
let answer = null; // to all that could be shown
let shown = []; // of its detections or classifications
let hovered = null;
let pinned = null;
let asking = null; // the AbortController of the question under way
let saying = 0;

const settings = new Settings(
  {
    score: at("score"),
    iou: at("iou"),
    most: at("most"),
    agnostic: at("agnostic"),
    top: at("top"),
    reset: at("reset"),
    detect: at("detect-controls"),
    classify: at("classify-controls"),
  },
  show,
  ask,
);
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
  fail({ title: "That is no photo", detail: complaint, advice: "" }),
);
at("model").addEventListener("change", () => {
  adopt(models.find((one) => reference(one) === at("model").value));
  ask();
});
at("download").addEventListener("click", download);
at("key-button").addEventListener("click", () => {
  keepKey("");
  start();
});
start();

/** Learn the models, with the key that there is; then ask about the photo, if there is one. */
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
  if (chosen === null) {
    const advice = "Its operator puts models into the model store.";
    fail({ title: "There is no model", detail: "The service has none that can be asked.", advice });
    return;
  }
  if (model === null || reference(chosen) !== reference(model)) adopt(chosen);
  await ask();
}

/** A key may have come since: a client is made for each question, and costs nothing. */
function client() {
  return new Boxport(ROOT, { apiKey: readKey(), retries: 0 }); // people see why, and try again
}

function adopt(chosen) {
  model = chosen;
  answer = null;
  settings.adopt(model);
  showFacts(at("model-facts"), model);
}

/** Show a file and ask about it. */
async function take(file, others = 0) {
  photo = await readPhoto(file);
  answer = null;
  settings.labels.clear();
  const hadFocus = at("empty").contains(document.activeElement);
  stage.show(photo);
  if (hadFocus) at("results").focus(); // the button that was pressed has gone
  at("caption").hidden = false;
  at("photo-name").textContent = photo.name;
  const left = others ? `; ${others} more left out, one at a time` : "";
  at("photo-facts").textContent = describePhoto(photo) + left;
  at("download").disabled = true;
  show();
  if (model) await ask();
}

/** Ask about the photo; a question that is under way is given up. */
async function ask() {
  asking?.abort();
  if (photo === null) return;
  const question = new AbortController();
  asking = question;
  at("stage").ariaBusy = "true";
  const begun = performance.now();
  try {
    const given = await put(client(), model, photo, settings, question.signal);
    const roundTrip = performance.now() - begun;
    if (asking !== question) return;
    fault.hide();
    receive(given, roundTrip);
  } catch (error) {
    if (asking !== question) return;
    answer = null;
    show();
    fail(explain(error, readKey() !== undefined));
  } finally {
    if (asking === question) at("stage").ariaBusy = "false";
  }
}

function receive(given, roundTrip) {
  answer = given;
  if (!photo.bitmap) {
    Object.assign(photo, { width: given.width, height: given.height });
    stage.show(photo);
    const note = "this browser cannot show it, the service can read it";
    at("photo-facts").textContent = `${describePhoto(photo)}; ${note}`;
  }
  at("download").disabled = false;
  const parts = { card: "timing", total: "timing-total", trip: "timing-trip", bar: "timing-bar" };
  const found = Object.entries({ ...parts, stages: "timing-stages" });
  showTiming(Object.fromEntries(found.map(([name, id]) => [name, at(id)])), given.timing_ms, roundTrip);
  show();
}

/** Show what the settings leave of the answer. */
function show() {
  const isClasses = answer?.classifications !== undefined;
  const detections = answer?.detections ?? [];
  shown = isClasses ? answer.classifications.slice(0, settings.topK) : choose(detections, settings);
  if (!shown.includes(pinned)) pinned = null;
  if (!shown.includes(hovered)) hovered = null;
  const { score, most } = settings;
  const ofAllLabels = choose(detections, { score, most, labels: new Set() });
  showLabels(at("labels"), ofAllLabels, settings.labels, toggleLabel);
  if (isClasses) showClasses(at("rows"), shown);
  else rows.show(shown);
  mark();
  const told = headline();
  at("results-title").textContent = told.title;
  at("results-hint").textContent = told.hint;
  at("results-hint").hidden = told.hint === "";
  at("timing").hidden = at("code").hidden = answer === null;
  if (answer === null) return;
  const needsKey = readKey() !== undefined;
  code.show(asCode({ root: ROOT.href, needsKey, models, model, photo, settings, answer, shown }));
  saySoon(told.spoken);
}

function headline() {
  if (answer === null) return { title: "Results", hint: "What is found stands here, best first." };
  if (answer.classifications) {
    const [best] = answer.classifications;
    const spoken = `Most likely ${best.label}, ${percent(best.score)}`;
    return { title: "Most likely", hint: "", spoken };
  }
  const spoken = tell(shown);
  if (shown.length > 0) {
    return { title: shown.length === 1 ? "1 object" : `${shown.length} objects`, hint: "", spoken };
  }
  const nearly = answer.detections.length;
  const hint = nearly
    ? `Nothing scores above ${settings.score.toFixed(2)}. Move the score down to see what nearly did.`
    : "Nothing here looks like a label that this model knows.";
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
  if (photo) stage.draw(answer?.detections ? shown : [], active);
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
