/**
 * The errors that calls throw.
 *
 *     BoxportError
 *       ├── ApiError           the service refused the request
 *       ├── ConnectionFailed   no answer, or an incomplete one
 *       └── TimedOut           no answer within the call's timeout
 *
 * A call that is aborted by its signal throws the signal's reason, as fetch does.
 */

export abstract class BoxportError extends Error {
  /** The request's id in the service's logs. */
  readonly requestId: string;

  constructor(message: string, requestId: string, cause?: unknown) {
    super(message, { cause });
    this.name = new.target.name;
    this.requestId = requestId;
  }
}

/** The service's refusal of a request. */
export interface Refusal {
  /** The HTTP status; 200 if the answer has an error in place of the photo's result. */
  status: number;
  /** The error's stable name; `unknown` if the reply is not a Boxport service's. */
  code: string;
  /** One sentence for people. */
  detail: string;
  /** Whether the same request may succeed later. */
  retryable: boolean;
  /** Milliseconds to wait before the next try, if the service said so. */
  retryAfter?: number | undefined;
}

/** The service refused the request. */
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

/** The service could not be reached, or the connection broke before the answer was complete. */
export class ConnectionFailed extends BoxportError {}

/** No answer before the call's deadline. */
export class TimedOut extends BoxportError {}
