/** When a request is made again, and how long is waited before. All times are milliseconds. */
import { ApiError, ConnectionFailed } from "./errors.js";
export const DEFAULT_RETRIES = 3;
/** The longest first pause; each later one may be twice as long as the one before. */
export const FIRST_PAUSE = 250;
export const LONGEST_PAUSE = 8_000;
/** A service that asks for more than this is not waited for. */
export const LONGEST_RETRY_AFTER = 60_000;
/** How long to wait before the try after `tries` others, or null if there should be none. */
export function pauseAfter(error, tries) {
    if (error instanceof ConnectionFailed)
        return jittered(tries);
    if (!(error instanceof ApiError) || !error.retryable)
        return null;
    if (error.retryAfter === undefined)
        return jittered(tries);
    if (error.retryAfter > LONGEST_RETRY_AFTER)
        return null;
    // not before it was asked for, and not all who were refused at once
    return error.retryAfter + Math.random() * FIRST_PAUSE;
}
/** Anything from nothing to the whole pause, so that callers who failed together do not return
 * together: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/ */
function jittered(tries) {
    return Math.random() * Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (tries - 1));
}
/** Milliseconds of a Retry-After header, which has seconds or a date; undefined if it has neither. */
export function readRetryAfter(header) {
    if (header === null)
        return undefined;
    if (/^\d+$/.test(header))
        return Number(header) * 1000;
    const date = Date.parse(header);
    return Number.isNaN(date) ? undefined : Math.max(0, date - Date.now());
}
/** Wait; rejects with the reason of `signal` once it is aborted. */
export function sleep(milliseconds, signal) {
    return new Promise((resolve, reject) => {
        signal.throwIfAborted();
        const stop = () => {
            clearTimeout(timer);
            reject(signal.reason);
        };
        const timer = setTimeout(() => {
            signal.removeEventListener("abort", stop);
            resolve();
        }, milliseconds);
        signal.addEventListener("abort", stop, { once: true });
    });
}
