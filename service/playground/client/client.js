import { ConnectionFailed, TimedOut } from "./errors.js";
import { requestParts } from "./photos.js";
import { readModels, readReply, readResult } from "./replies.js";
import { DEFAULT_RETRIES, pauseAfter, sleep } from "./retries.js";
const DEFAULT_TIMEOUT = 30_000;
const LONGEST_TIMEOUT = 2 ** 31 - 1; // a longer one ends at once: timers count in 32 bits
/**
 * A client of the Boxport service at `url`. Holds no connection: there is nothing to close.
 *
 * Calls throw a {@link BoxportError} whatever the service does. Arguments that are wrong whatever
 * it says, such as a timeout of 0, are a RangeError or, of a URL, a TypeError.
 */
export class Boxport {
    #root;
    #apiKey;
    #timeout;
    #retries;
    #fetch;
    constructor(url, options = {}) {
        this.#root = checkedRoot(url);
        this.#apiKey = options.apiKey;
        this.#timeout = checkedTimeout(options.timeout ?? DEFAULT_TIMEOUT);
        this.#retries = options.retries ?? DEFAULT_RETRIES;
        if (!(this.#retries >= 0))
            throw new RangeError(`retries must be 0 or more, not ${this.#retries}`);
        // browsers require that fetch is called as a method of the window
        this.#fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
    }
    /** Find objects in a photo. Throws a {@link BoxportError}. */
    async detect(photo, parameters = {}, options = {}) {
        return this.#post("v1/detect", photo, parameters, options, readResult("detections"));
    }
    async classify(photo, parameters = {}, options = {}) {
        const rows = parameters.regions === undefined ? "classifications" : "regions";
        const read = readResult(rows);
        return this.#post("v1/classify", photo, parameters, options, read);
    }
    /** Every model of the service, unloadable ones too. Throws a {@link BoxportError}. */
    async models(options = {}) {
        return this.#call("v1/models", {}, options, readModels);
    }
    /** Whether the service takes requests now. Throws only the reason of an aborted signal. */
    async ready(options = {}) {
        const signal = withTimeout(options.signal, checkedTimeout(options.timeout ?? this.#timeout));
        try {
            const reply = await this.#fetch(new URL("readyz", this.#root), { signal });
            return reply.ok;
        }
        catch {
            options.signal?.throwIfAborted();
            return false;
        }
    }
    async #post(path, photo, parameters, options, read) {
        const { query, contentType, body } = requestParts(photo, parameters);
        const headers = { "Content-Type": contentType };
        const pathAndQuery = query.size ? `${path}?${query}` : path;
        return this.#call(pathAndQuery, { method: "POST", headers, body }, options, read);
    }
    /** What `read` makes of the JSON at `path`, after as many tries as it takes and may have. */
    async #call(path, init, options, read) {
        const timeout = checkedTimeout(options.timeout ?? this.#timeout);
        const deadline = performance.now() + timeout;
        const id = newId();
        const signal = withTimeout(options.signal, timeout);
        for (let tries = 1;; tries++) {
            try {
                const { reply, text } = await this.#try(path, init, id, deadline - performance.now(), signal);
                return readReply(reply, text, id, read);
            }
            catch (error) {
                options.signal?.throwIfAborted();
                if (signal.aborted)
                    throw timedOut(timeout, tries, id, error);
                const pause = tries > this.#retries ? null : pauseAfter(error, tries);
                if (pause === null || performance.now() + pause >= deadline)
                    throw error;
                await sleep(pause, signal);
                options.signal?.throwIfAborted();
                if (performance.now() >= deadline)
                    throw error; // the pause was longer than it should be
            }
        }
    }
    async #try(path, init, id, remaining, signal) {
        const headers = new Headers(init.headers);
        headers.set("Accept", "application/json");
        headers.set("X-Request-ID", id);
        headers.set("X-Request-Timeout-Ms", String(Math.max(1, Math.floor(remaining))));
        if (this.#apiKey !== undefined)
            headers.set("Authorization", `Bearer ${this.#apiKey}`);
        try {
            const reply = await this.#fetch(new URL(path, this.#root), { ...init, headers, signal });
            return { reply, text: await reply.text() };
        }
        catch (error) {
            throw new ConnectionFailed(`No answer from ${this.#root}: ${causeOf(error)}`, id, error);
        }
    }
}
function checkedRoot(url) {
    const root = new URL(url);
    if (!["http:", "https:"].includes(root.protocol) || root.search || root.hash) {
        throw new TypeError(`${url} is not the URL of a service: http(s), without query and fragment`);
    }
    root.pathname = root.pathname.replace(/\/*$/, "/");
    return root;
}
function checkedTimeout(timeout) {
    if (timeout > 0 && timeout <= LONGEST_TIMEOUT)
        return timeout;
    throw new RangeError(`timeout must be above 0 and at most ${LONGEST_TIMEOUT} ms, not ${timeout}`);
}
/** A signal that aborts when `signal` does, or after `timeout` milliseconds. */
function withTimeout(signal, timeout) {
    const own = AbortSignal.timeout(timeout);
    return signal ? AbortSignal.any([signal, own]) : own;
}
function timedOut(timeout, tries, id, cause) {
    const after = tries === 1 ? "" : ` after ${tries} tries`;
    return new TimedOut(`No answer within ${timeout} ms${after}.`, id, cause);
}
/** 128 random bits in hex. crypto.randomUUID is missing on pages without https. */
function newId() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
/** Why a fetch failed: Node has it in the cause of the error, browsers do not say it. */
function causeOf(error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    return cause instanceof Error ? cause.message : String(cause);
}
