/** When a request is tried again, and after which pause. All times are milliseconds. */

import { ApiError, ConnectionFailed } from "./errors.js";

export const DEFAULT_RETRIES = 3;
/** The longest first pause; each later one may be twice as long as the one before. */
export const FIRST_PAUSE = 250;
export const LONGEST_PAUSE = 8_000;
/** A service that asks for a longer pause is not waited for. */
export const LONGEST_RETRY_AFTER = 60_000;

/** Of replies that do not say whether they may pass, because they are a proxy's. */
export const RETRYABLE_STATUSES = [408, 429, 502, 503, 504];

/** The pause after `tries` tries, or null if there should be no other. */
export function pauseAfter(error: unknown, tries: number): number | null {
  if (error instanceof ConnectionFailed) return jittered(tries);
  if (!(error instanceof ApiError) || !error.retryable) return null;
  if (error.retryAfter === undefined) return jittered(tries);
  if (error.retryAfter > LONGEST_RETRY_AFTER) return null;
  // not earlier than the service asked for, and not all callers at once
  return error.retryAfter + Math.random() * FIRST_PAUSE;
}

/** Exponential backoff with full jitter, so that callers who failed together do not return
 * together: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ */
function jittered(tries: number): number {
  return Math.random() * Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (tries - 1));
}

/** The milliseconds of a Retry-After header: of seconds or a date, else undefined. */
export function readRetryAfter(header: string | null): number | undefined {
  if (header === null) return undefined;
  if (/^\d+(\.\d+)?$/.test(header)) return Number(header) * 1000;
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now());
}

/** Wait, but not beyond the moment in which `signal` is aborted. */
export function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const wake = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", wake);
      resolve();
    };
    const timer = setTimeout(wake, milliseconds);
    signal.addEventListener("abort", wake);
    if (signal.aborted) wake();
  });
}
