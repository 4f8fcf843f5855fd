/** The question whose answer is on the page: its parameters, and it as code. */

import { LOWEST_SCORE } from "./choice.js";
import { reference } from "./models.js";
import { asCurl, asJson, asPython } from "./snippets.js";

/** Ask for all that the sliders may come to show. Rejects as the client does. */
export function put(client, model, photo, settings, signal) {
  if (model.task === "classification") {
    const parameters = { model: reference(model), top_k: settings.topKEver };
    return client.classify(photo.file, parameters, { signal });
  }
  const parameters = {
    model: reference(model),
    score_threshold: LOWEST_SCORE,
    iou_threshold: settings.iouThreshold,
    class_agnostic: settings.classAgnostic,
    max_detections: settings.mostEver,
  };
  return client.detect(photo.file, parameters, { signal });
}

/**
 * What is shown as others would ask for it, by the ids of the code's tabs.
 *
 * @param models all of the service
 * @param shown the detections or classifications that are left of `answer`
 */
export function asCode({ root, needsKey, models, model, photo, settings, answer, shown }) {
  const isDetect = model.task === "detection";
  const question = {
    root,
    needsKey,
    task: isDetect ? "detect" : "classify",
    file: photo.name,
    parameters: parametersOf(models, model, settings),
  };
  const { width, height, model: by, request_id, timing_ms } = answer;
  const found = isDetect ? { detections: shown } : { classifications: shown };
  const results = [{ width, height, ...found }];
  return {
    "tab-curl": asCurl(question),
    "tab-python": asPython(question),
    "tab-json": asJson({ model: by, request_id, results, timing_ms }),
  };
}

/** Those only that are not what the service would take without them. */
function parametersOf(models, model, settings) {
  const first = models.find(({ task }) => task === model.task);
  const { defaults } = model;
  const all = {
    model: [reference(model), reference(first)],
    ...(model.task === "detection"
      ? {
          score_threshold: [settings.score, defaults.score_threshold],
          iou_threshold: [settings.iouThreshold, defaults.iou_threshold],
          class_agnostic: [settings.classAgnostic, false],
          max_detections: [settings.most, defaults.max_detections],
          labels: [[...settings.labels], null],
        }
      : { top_k: [settings.topK, defaults.top_k] }),
  };
  const given = Object.entries(all).filter(
    ([, [value, usual]]) => value !== usual && value.length !== 0,
  );
  return Object.fromEntries(given.map(([name, [value]]) => [name, value]));
}
