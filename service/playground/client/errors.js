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
export class BoxportError extends Error {
    /** The request's id, as the service's log names it. */
    requestId;
    constructor(message, requestId, cause) {
        super(message, { cause });
        this.name = new.target.name;
        this.requestId = requestId;
    }
}
/** The service refused. */
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
/** The service could not be reached, or the connection broke before all of the answer had come. */
export class ConnectionFailed extends BoxportError {
}
/** No answer came before the call's deadline. */
export class TimedOut extends BoxportError {
}
