/** The request whose answer is on the page: its parameters, and the same request as code. */

import { LOWEST_SCORE } from "./choice.js";
import { reference } from "./models.js";
import { asCurl, asJson, asPython } from "./snippets.js";

/**
 * Request everything that the sliders may select, but of two models only what they do select.
 * Rejects as the client does.
 */
export function send(client, model, photo, settings, signal) {
  const regions = settings.regions.length > 0 ? { regions: settings.regions } : {};
  if (model.task === "classification") {
    const parameters = { model: reference(model), top_k: settings.topKEver, ...regions, ...judged(model, settings) };
    return client.classify(photo.file, parameters, { signal });
  }
  const parameters = {
    model: reference(model),
    score_threshold: settings.then ? settings.score : LOWEST_SCORE,
    iou_threshold: settings.iouThreshold,
    class_agnostic: settings.classAgnostic,
    max_detections: settings.then ? settings.most : settings.mostEver,
    ...regions,
    ...(settings.then ? secondStage(settings) : {}),
    ...judged(model, settings),
  };
  return client.detect(photo.file, parameters, { signal });
}

/**
 * The request for exactly what is shown, as code, by the ids of the tabs.
 *
 * @param models all of the service
 * @param shown the detections or classifications of `answer` that are shown, or the regions
 */
export function asCode({ root, needsKey, models, model, photo, settings, answer, shown }) {
  const isDetect = model.task === "detection";
  const request = {
    root,
    needsKey,
    task: isDetect ? "detect" : "classify",
    file: photo.name,
    parameters: parametersOf(models, model, settings),
  };
  const { width, height, novelty, model: by, then, request_id, timing_ms } = answer;
  const found = { ...resultOf(answer, shown, settings), ...(novelty !== undefined && { novelty }) };
  const results = [{ width, height, ...found }];
  return {
    "tab-curl": asCurl(request),
    "tab-python": asPython(request),
    "tab-json": asJson({ model: by, ...(then && { then }), request_id, results, timing_ms }),
  };
}

/** Of a model with a companion, how novel a photo is; regions of one have no novelty. */
function judged({ task, status }, { regions }) {
  const isWhole = task === "detection" || regions.length === 0;
  return isWhole && status.companion?.measure ? { novelty: true } : {};
}

function resultOf({ detections, regions }, shown, { topK }) {
  if (detections) return { detections: shown };
  if (!regions) return { classifications: shown };
  const best = ({ box, classifications }) => ({ box, classifications: classifications.slice(0, topK) });
  return { regions: regions.map(best) };
}

function secondStage({ then }) {
  return { then, top_k: 1 };
}

/** Only those that differ from the service's defaults. */
function parametersOf(models, model, settings) {
  const usual = models.find(({ task, status }) => task === model.task && status.is_default);
  const { defaults } = model;
  const all = {
    model: [reference(model), usual && reference(usual)],
    ...(model.task === "detection"
      ? {
          score_threshold: [settings.score, defaults.score_threshold],
          iou_threshold: [settings.iouThreshold, defaults.iou_threshold],
          class_agnostic: [settings.classAgnostic, false],
          max_detections: [settings.most, defaults.max_detections],
          labels: [[...settings.labels], null],
          ...(settings.then && { then: [settings.then, ""], top_k: [1, null] }),
        }
      : { top_k: [settings.topK, defaults.top_k] }),
    regions: [settings.regions, null],
    ...(judged(model, settings).novelty && { novelty: [true, false] }),
  };
  const given = Object.entries(all).filter(
    ([, [value, usual]]) => value !== usual && value.length !== 0,
  );
  return Object.fromEntries(given.map(([name, [value]]) => [name, value]));
}
