import { ApiError, ConnectionFailed, TimedOut } from "./errors.js";
import { requestParts } from "./photos.js";
import { DEFAULT_RETRIES, pauseAfter, readRetryAfter, sleep } from "./retries.js";
const DEFAULT_TIMEOUT = 30_000;
/** A client of the Boxport service at `url`. Holds no connection: there is nothing to close. */
export class Boxport {
    #root;
    #apiKey;
    #timeout;
    #retries;
    #fetch;
    constructor(url, options = {}) {
        this.#root = new URL(String(url).replace(/\/*$/, "/"));
        this.#apiKey = options.apiKey;
        this.#timeout = options.timeout ?? DEFAULT_TIMEOUT;
        this.#retries = options.retries ?? DEFAULT_RETRIES;
        // browsers require that fetch is called as a method of the window
        this.#fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
    }
    /** Find objects in a photo. Throws a {@link BoxportError}. */
    async detect(photo, parameters = {}, options = {}) {
        return single(await this.#post("v1/detect", photo, parameters, options));
    }
    /** Classify a photo as a whole. Throws a {@link BoxportError}. */
    async classify(photo, parameters = {}, options = {}) {
        return single(await this.#post("v1/classify", photo, parameters, options));
    }
    /** Every model of the service, unloadable ones too. Throws a {@link BoxportError}. */
    async models(options = {}) {
        return (await this.#call("v1/models", {}, options)).models;
    }
    /** Whether the service takes requests now. Throws only the reason of an aborted signal. */
    async ready(options = {}) {
        const signal = withTimeout(options.signal, options.timeout ?? this.#timeout);
        try {
            const reply = await this.#fetch(new URL("readyz", this.#root), { signal });
            return reply.ok;
        }
        catch {
            options.signal?.throwIfAborted();
            return false;
        }
    }
    async #post(path, photo, parameters, options) {
        const { query, contentType, body } = requestParts(photo, parameters);
        const headers = { "Content-Type": contentType };
        const pathAndQuery = query.size ? `${path}?${query}` : path;
        return (await this.#call(pathAndQuery, { method: "POST", headers, body }, options));
    }
    /** The JSON answer of `path`, after as many tries as it takes and may have. */
    async #call(path, init, options) {
        const timeout = options.timeout ?? this.#timeout;
        const deadline = performance.now() + timeout;
        const id = newId();
        const signal = withTimeout(options.signal, timeout);
        for (let tries = 1;; tries++) {
            try {
                return await this.#try(path, init, id, deadline - performance.now(), signal);
            }
            catch (error) {
                options.signal?.throwIfAborted();
                if (signal.aborted)
                    throw timedOut(timeout, tries, id, error);
                const pause = tries > this.#retries ? null : pauseAfter(error, tries);
                if (pause === null || performance.now() + pause >= deadline)
                    throw error;
                await sleep(pause, signal);
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
        let reply, text;
        try {
            reply = await this.#fetch(new URL(path, this.#root), { ...init, headers, signal });
            text = await reply.text();
        }
        catch (error) {
            throw new ConnectionFailed(`No answer from ${this.#root}: ${causeOf(error)}`, id, error);
        }
        return readReply(reply, text, id);
    }
}
/** The JSON of a reply; throws ApiError if the service refused, or the reply is not JSON. */
function readReply(reply, text, id) {
    const content = parse(text);
    const requestId = reply.headers.get("X-Request-ID") ?? id;
    if (reply.ok && content !== undefined)
        return content;
    const retryAfter = readRetryAfter(reply.headers.get("Retry-After"));
    const problem = (content ?? {});
    if (!reply.ok && typeof problem.code === "string") {
        const { code, detail = code, retryable = false } = problem;
        throw new ApiError({ status: reply.status, code, detail, retryable, retryAfter }, requestId);
    }
    throw new ApiError(foreign(reply, retryAfter), requestId);
}
/** The refusal in a reply that is not a service's: a proxy's, or that of another server. */
function foreign(reply, retryAfter) {
    const { status } = reply;
    return {
        status,
        code: "unknown",
        detail: `The reply of ${reply.url} is not that of a Boxport service.`,
        retryable: [429, 502, 503, 504].includes(status),
        retryAfter,
    };
}
function parse(text) {
    try {
        return JSON.parse(text);
    }
    catch {
        return undefined;
    }
}
/** The result in the answer to a request with one photo. */
function single(answer) {
    const { results, ...shared } = answer;
    const result = results[0];
    if (result === undefined || "error" in result) {
        const fault = result?.error ?? { code: "internal_error", detail: "No result.", retryable: false };
        throw new ApiError({ status: 200, ...fault }, answer.request_id);
    }
    return { ...result, ...shared };
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
