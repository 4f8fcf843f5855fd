/** What the page says about each error: a title, and what to do about it. */

import { ApiError, ConnectionFailed, TimedOut } from "./client/index.js";

const PHOTO = "Choose another photo.";
const KEY = "Enter an API key; the operator of this service issues them.";
const LATER = "Nothing is wrong with your photo: try again in a moment.";
const OPERATOR = "The service's log has details under the request id.";

/** By the service's error codes. */
export const FAULTS = {
  empty_body: ["There was no photo", PHOTO],
  malformed_body: ["The request could not be read", "Reload the page, then try again."],
  unauthenticated: ["This service needs a key", KEY],
  forbidden: ["This key does not allow that", "Enter a key with the scope infer."],
  url_not_allowed: ["This address is not allowed", "Save the photo, then drop the file here."],
  model_not_found: ["This model has been removed", "Reload the page and choose another model."],
  not_found: ["There is nothing at that address", "Reload the page, then try again."],
  method_not_allowed: ["The request could not be read", "Reload the page, then try again."],
  model_unloaded: ["This model has been unloaded", "Choose another model."],
  model_unfit: ["This model cannot be loaded", "Choose another model."],
  head_too_large: ["The request could not be read", "Reload the page, then try again."],
  request_too_slow: ["The photo came too slowly", "Choose a smaller photo, or a faster network."],
  body_too_large: ["The file is too large", "Choose a smaller photo, or save it with less quality."],
  image_too_large: ["The photo has too many pixels", "Make it smaller, then try again."],
  too_many_images: ["Too many photos at once", "Send one photo at a time."],
  too_many_regions: ["Too many boxes in one photo", "Lower Objects at most, or mark fewer regions."],
  url_too_large: ["The file at that address is too large", PHOTO],
  unsupported_media_type: ["This type of file is not supported", PHOTO],
  invalid_parameter: ["A setting is out of range", "Press Reset under Adjust, then try again."],
  unknown_parameter: ["This service lacks a setting", "Reload the page, then try again."],
  wrong_task: ["This model is for another task", "Choose another model."],
  empty_image: ["The file is empty", PHOTO],
  invalid_image: ["This is not a photo that can be read", PHOTO],
  region_outside: ["A region is not in the photo", "Correct it under Adjust, or press Reset there."],
  url_unreachable: ["The address has no photo", "Save the photo, then drop the file here."],
  rate_limited: ["Too many requests", "Wait a moment: requests per second are limited."],
  internal_error: ["The service failed", OPERATOR],
  overloaded: ["The service is busy", LATER],
  not_ready: ["The service is starting or stopping", LATER],
  unknown: ["The reply is not the service's", "A proxy may have answered in its place."],
  deadline_exceeded: ["The service took too long", LATER],
};

/**
 * What to show about an error.
 *
 * @param hasKey whether the request had a key
 * @returns {{title, detail, advice, needsKey, canRetry, waitMs}} waitMs: the pause before the
 *   next try, if the service asked for one
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
    return retriable("The service cannot be reached", "There was no answer.", advice);
  }
  return retriable("The page failed", String(error), "Reload it, then try again.");
}

/** In words for people: the service's own are for programs, and name the header to send. */
function askForKey(hasKey) {
  const [title, advice] = FAULTS.unauthenticated;
  const detail = hasKey ? "The service does not know the key that you entered." : "";
  return { title, detail, advice, needsKey: true, canRetry: false, waitMs: 0 };
}

function retriable(title, detail, advice) {
  return { title, detail, advice, needsKey: false, canRetry: true, waitMs: 0 };
}
