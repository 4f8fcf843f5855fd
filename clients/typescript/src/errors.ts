/**
 * What can go wrong.
 *
 *     BoxportError
 *       ├── ApiError           the service answered, and refused
 *       ├── ConnectionFailed   no answer came, or not a whole one
 *       └── TimedOut           none came in the time that was given
 *
 * A call that is aborted by its signal throws the signal's reason, as fetch does.
 */

export abstract class BoxportError extends Error {
  /** The request's id, as the service's log names it. */
  readonly requestId: string;

  constructor(message: string, requestId: string, cause?: unknown) {
    super(message, { cause });
    this.name = new.target.name;
    this.requestId = requestId;
  }
}

/** What a refusal says of itself. */
export interface Refusal {
  /** Of HTTP. */
  status: number;
  /** Stable: programs may rely on it. `unknown` where it was no Boxport that answered. */
  code: string;
  /** One sentence for people. */
  detail: string;
  /** Whether the same request may succeed later. */
  retryable: boolean;
  /** Milliseconds to wait before another try, where the service said so. */
  retryAfter?: number | undefined;
}

/** The service refused. */
export class ApiError extends BoxportError implements Refusal {
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly retryable: boolean;
  readonly retryAfter: number | undefined;

  constructor(refusal: Refusal, requestId: string) {
    super(`${refusal.detail} (${refusal.status} ${refusal.code})`, requestId);
    this.status = refusal.status;
    this.code = refusal.code;
    this.detail = refusal.detail;
    this.retryable = refusal.retryable;
    this.retryAfter = refusal.retryAfter;
  }
}

/** The service could not be reached, or the connection broke before all of the answer had come. */
export class ConnectionFailed extends BoxportError {}

/** No answer came before the call's deadline. */
export class TimedOut extends BoxportError {}
