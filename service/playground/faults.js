/** What the page says of each thing that can go wrong: its name, and what to do about it. */

import { ApiError, ConnectionFailed, TimedOut } from "./client/index.js";

const PHOTO = "Choose another photo.";
const KEY = "Enter a key of this service; its operator gives them out.";
const LATER = "Nothing is wrong with your photo: try again in a moment.";
const OPERATOR = "The service's log has more, under the request id.";

/** By the codes of the service. */
export const FAULTS = {
  empty_body: ["There was no photo", PHOTO],
  malformed_body: ["The request could not be read", "Reload the page, then try again."],
  unauthenticated: ["This service needs a key", KEY],
  forbidden: ["This key may not do that", "Enter a key with the scope infer."],
  url_not_allowed: ["This address may not be fetched", "Save the photo, then drop the file here."],
  model_not_found: ["This model has gone", "Reload the page and choose another model."],
  not_found: ["There is nothing at that address", "Reload the page, then try again."],
  method_not_allowed: ["The request could not be read", "Reload the page, then try again."],
  model_unloaded: ["This model has been unloaded", "Choose another model."],
  model_unfit: ["This model cannot be loaded", "Choose another model."],
  body_too_large: ["The file is too large", "Choose a smaller photo, or save it with less quality."],
  image_too_large: ["The photo has too many pixels", "Make it smaller, then try again."],
  too_many_images: ["Too many photos at once", "Send one photo at a time."],
  url_too_large: ["The file at that address is too large", PHOTO],
  unsupported_media_type: ["This kind of file is not read", PHOTO],
  invalid_parameter: ["A setting is out of range", "Press Reset under Adjust, then try again."],
  unknown_parameter: ["This service does not know a setting", "Reload the page, then try again."],
  wrong_task: ["This model does something else", "Choose another model."],
  empty_image: ["The file is empty", PHOTO],
  invalid_image: ["This is not a photo that can be read", PHOTO],
  url_unreachable: ["The address gives no photo", "Save the photo, then drop the file here."],
  rate_limited: ["Too many requests", "Wait a little; the limit is of requests a second."],
  internal_error: ["The service failed", OPERATOR],
  overloaded: ["The service is busy", LATER],
  not_ready: ["The service is starting or stopping", LATER],
  unknown: ["Something else answered", "A proxy may stand before the service, and find it down."],
  deadline_exceeded: ["The service was not done in time", LATER],
};

/**
 * What to show of an error.
 *
 * @param hasKey whether the question went with a key
 * @returns {{title, detail, advice, needsKey, canRetry, waitMs}} waitMs: until another try has a
 *   chance, where the service said so
 */
export function explain(error, hasKey = false) {
  if (error instanceof ApiError) {
    if (error.code === "unauthenticated") return askForKey(hasKey);
    const [title, advice] = FAULTS[error.code] ?? [`The service refused (${error.status})`, OPERATOR];
    return {
      title,
      detail: error.detail,
      advice: error.code === "internal_error" ? `${advice} ${error.requestId}` : advice,
      needsKey: error.code === "forbidden",
      canRetry: error.retryable || error.status >= 500,
      waitMs: error.retryable ? (error.retryAfter ?? 0) : 0,
    };
  }
  if (error instanceof TimedOut) {
    return retriable("The service took too long", error.message, LATER);
  }
  if (error instanceof ConnectionFailed) {
    const advice = "Check that it runs and that you are connected, then try again.";
    return retriable("The service cannot be reached", "No answer came.", advice);
  }
  return retriable("The page failed", String(error), "Reload it, then try again.");
}

/** In words for people: the service's own tell programs which header to send. */
function askForKey(hasKey) {
  const [title, advice] = FAULTS.unauthenticated;
  const detail = hasKey ? "The key that you entered is not among its keys." : "";
  return { title, detail, advice, needsKey: true, canRetry: false, waitMs: 0 };
}

function retriable(title, detail, advice) {
  return { title, detail, advice, needsKey: false, canRetry: true, waitMs: 0 };
}
