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
export class BoxportError extends Error {
    /** The request's id in the service's logs. */
    requestId;
    constructor(message, requestId, cause) {
        super(message, { cause });
        this.name = new.target.name;
        this.requestId = requestId;
    }
}
/** The service refused the request. */
export class ApiError extends BoxportError {
    status;
    code;
    detail;
    retryable;
    retryAfter;
    constructor(refusal, requestId) {
        super(`${refusal.detail} (${refusal.status} ${refusal.code})`, requestId);
        this.status = refusal.status;
        this.code = refusal.code;
        this.detail = refusal.detail;
        this.retryable = refusal.retryable;
        this.retryAfter = refusal.retryAfter;
    }
}
/** The service could not be reached, or the connection broke before the answer was complete. */
export class ConnectionFailed extends BoxportError {
}
/** No answer before the call's deadline. */
export class TimedOut extends BoxportError {
}
