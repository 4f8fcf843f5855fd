/** The part of an answer that is shown: the page requests more, and selects from it. */

/** The score threshold of requests: the slider can be moved down to it. */
export const LOWEST_SCORE = 0.05;

/**
 * The detections that a request with these settings would give: a higher threshold, fewer labels
 * and a lower maximum only take away from the end of non-maximum suppression.
 *
 * @param detections best first, requested with a `score` no higher and a `most` no lower
 * @param labels names to keep; an empty set keeps all
 */
export function choose(detections, { score, most, labels }) {
  return detections
    .filter((one) => one.score > score && (labels.size === 0 || labels.has(one.label)))
    .slice(0, most);
}

/** What is shown of an answer, which has all that the settings may select. */
export function select(answer, settings) {
  if (answer === null) return [];
  if (answer.classifications) return answer.classifications.slice(0, settings.topK);
  if (answer.regions) return answer.regions.map(({ box, classifications }) => ({ ...classifications[0], box }));
  return choose(answer.detections, settings);
}

/** Names and how often each is there, commonest first. */
export function countLabels(detections) {
  const counts = new Map();
  for (const { label } of detections) counts.set(label, (counts.get(label) ?? 0) + 1);
  return [...counts].sort((one, other) => other[1] - one[1] || one[0].localeCompare(other[0]));
}

/** "3 objects found: 2 person, 1 cat", for screen readers. */
export function describe(detections) {
  if (detections.length === 0) return "No objects found";
  const parts = countLabels(detections).map(([label, count]) => `${count} ${label}`);
  const objects = detections.length === 1 ? "1 object" : `${detections.length} objects`;
  return `${objects} found: ${parts.join(", ")}`;
}
