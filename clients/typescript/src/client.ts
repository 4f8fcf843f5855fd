import { ApiError, ConnectionFailed, TimedOut } from "./errors.js";
import { requestParts } from "./photos.js";
import type { Parameters, Photo } from "./photos.js";
import { DEFAULT_RETRIES, pauseAfter, readRetryAfter, sleep } from "./retries.js";
import type {
  ClassificationResult,
  ClassifyAnswer,
  ClassifyParameters,
  DetectAnswer,
  DetectionResult,
  DetectParameters,
  ModelList,
  ProblemDetails,
} from "./shapes.js";

export interface Options {
  /** Sent with every request, for services that need one. */
  apiKey?: string | undefined;
  /** Milliseconds for a call, all its tries included. Default: 30,000. */
  timeout?: number | undefined;
  /** More tries after errors that may pass. Default: 3. */
  retries?: number | undefined;
  /** Used instead of the global fetch. */
  fetch?: typeof globalThis.fetch | undefined;
}

export interface CallOptions {
  /** Ends the call, which then throws the signal's reason. */
  signal?: AbortSignal | undefined;
  /** Milliseconds, instead of the client's. */
  timeout?: number | undefined;
}

const DEFAULT_TIMEOUT = 30_000;

/** A client of the Boxport service at `url`. Holds no connection: there is nothing to close. */
export class Boxport {
  readonly #root: URL;
  readonly #apiKey: string | undefined;
  readonly #timeout: number;
  readonly #retries: number;
  readonly #fetch: typeof globalThis.fetch;

  constructor(url: string | URL, options: Options = {}) {
    this.#root = new URL(String(url).replace(/\/*$/, "/"));
    this.#apiKey = options.apiKey;
    this.#timeout = options.timeout ?? DEFAULT_TIMEOUT;
    this.#retries = options.retries ?? DEFAULT_RETRIES;
    // browsers require that fetch is called as a method of the window
    this.#fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
  }

  /** Find objects in a photo. Throws a {@link BoxportError}. */
  async detect(
    photo: Photo,
    parameters: DetectParameters = {},
    options: CallOptions = {},
  ): Promise<DetectionResult> {
    return single(await this.#post<DetectAnswer>("v1/detect", photo, parameters, options));
  }

  /** Classify a photo as a whole. Throws a {@link BoxportError}. */
  async classify(
    photo: Photo,
    parameters: ClassifyParameters = {},
    options: CallOptions = {},
  ): Promise<ClassificationResult> {
    return single(await this.#post<ClassifyAnswer>("v1/classify", photo, parameters, options));
  }

  /** Every model of the service, unloadable ones too. Throws a {@link BoxportError}. */
  async models(options: CallOptions = {}): Promise<ModelList["models"]> {
    return ((await this.#call("v1/models", {}, options)) as ModelList).models;
  }

  /** Whether the service takes requests now. Throws only the reason of an aborted signal. */
  async ready(options: CallOptions = {}): Promise<boolean> {
    const signal = withTimeout(options.signal, options.timeout ?? this.#timeout);
    try {
      const reply = await this.#fetch(new URL("readyz", this.#root), { signal });
      return reply.ok;
    } catch {
      options.signal?.throwIfAborted();
      return false;
    }
  }

  async #post<Answer>(
    path: string,
    photo: Photo,
    parameters: Parameters,
    options: CallOptions,
  ): Promise<Answer> {
    const { query, contentType, body } = requestParts(photo, parameters);
    const headers = { "Content-Type": contentType };
    const pathAndQuery = query.size ? `${path}?${query}` : path;
    return (await this.#call(pathAndQuery, { method: "POST", headers, body }, options)) as Answer;
  }

  /** The JSON answer of `path`, after as many tries as it takes and may have. */
  async #call(path: string, init: RequestInit, options: CallOptions): Promise<unknown> {
    const timeout = options.timeout ?? this.#timeout;
    const deadline = performance.now() + timeout;
    const id = newId();
    const signal = withTimeout(options.signal, timeout);
    for (let tries = 1; ; tries++) {
      try {
        return await this.#try(path, init, id, deadline - performance.now(), signal);
      } catch (error) {
        options.signal?.throwIfAborted();
        if (signal.aborted) throw timedOut(timeout, tries, id, error);
        const pause = tries > this.#retries ? null : pauseAfter(error, tries);
        if (pause === null || performance.now() + pause >= deadline) throw error;
        await sleep(pause, signal);
      }
    }
  }

  async #try(
    path: string,
    init: RequestInit,
    id: string,
    remaining: number,
    signal: AbortSignal,
  ): Promise<unknown> {
    const headers = new Headers(init.headers);
    headers.set("Accept", "application/json");
    headers.set("X-Request-ID", id);
    headers.set("X-Request-Timeout-Ms", String(Math.max(1, Math.floor(remaining))));
    if (this.#apiKey !== undefined) headers.set("Authorization", `Bearer ${this.#apiKey}`);
    let reply: Response, text: string;
    try {
      reply = await this.#fetch(new URL(path, this.#root), { ...init, headers, signal });
      text = await reply.text();
    } catch (error) {
      throw new ConnectionFailed(`No answer from ${this.#root}: ${causeOf(error)}`, id, error);
    }
    return readReply(reply, text, id);
  }
}

/** The JSON of a reply; throws ApiError if the service refused, or the reply is not JSON. */
function readReply(reply: Response, text: string, id: string): unknown {
  const content = parse(text);
  const requestId = reply.headers.get("X-Request-ID") ?? id;
  if (reply.ok && content !== undefined) return content;
  const retryAfter = readRetryAfter(reply.headers.get("Retry-After"));
  const problem = (content ?? {}) as Partial<ProblemDetails>;
  if (!reply.ok && typeof problem.code === "string") {
    const { code, detail = code, retryable = false } = problem;
    throw new ApiError({ status: reply.status, code, detail, retryable, retryAfter }, requestId);
  }
  throw new ApiError(foreign(reply, retryAfter), requestId);
}

/** The refusal in a reply that is not a service's: a proxy's, or that of another server. */
function foreign(reply: Response, retryAfter: number | undefined) {
  const { status } = reply;
  return {
    status,
    code: "unknown",
    detail: `The reply of ${reply.url} is not that of a Boxport service.`,
    retryable: [429, 502, 503, 504].includes(status),
    retryAfter,
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** The result in the answer to a request with one photo. */
function single<Result extends object>(
  answer: Omit<DetectAnswer, "results"> & { results: (Result | { error: Fault })[] },
): Result & Omit<DetectAnswer, "results"> {
  const { results, ...shared } = answer;
  const result = results[0];
  if (result === undefined || "error" in result) {
    const fault = result?.error ?? { code: "internal_error", detail: "No result.", retryable: false };
    throw new ApiError({ status: 200, ...fault }, answer.request_id);
  }
  return { ...result, ...shared };
}

type Fault = Pick<ProblemDetails, "code" | "detail" | "retryable">;

/** A signal that aborts when `signal` does, or after `timeout` milliseconds. */
function withTimeout(signal: AbortSignal | undefined, timeout: number): AbortSignal {
  const own = AbortSignal.timeout(timeout);
  return signal ? AbortSignal.any([signal, own]) : own;
}

function timedOut(timeout: number, tries: number, id: string, cause: unknown): TimedOut {
  const after = tries === 1 ? "" : ` after ${tries} tries`;
  return new TimedOut(`No answer within ${timeout} ms${after}.`, id, cause);
}

/** 128 random bits in hex. crypto.randomUUID is missing on pages without https. */
function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Why a fetch failed: Node has it in the cause of the error, browsers do not say it. */
function causeOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return cause instanceof Error ? cause.message : String(cause);
}
