/** From a reply to the answer that it has, or to the error that it stands for. */
import { ApiError } from "./errors.js";
import { RETRYABLE_STATUSES, readRetryAfter } from "./retries.js";
/** An error in the place of an image's result, in a reply that is none itself. */
class Fault {
    problem;
    constructor(problem) {
        this.problem = problem;
    }
}
/** What `read` makes of a reply; throws ApiError if it is a refusal, or not that of a service. */
export function readReply(reply, text, id, read) {
    const requestId = reply.headers.get("X-Request-ID") ?? id;
    const content = parse(text);
    try {
        const answer = reply.ok ? read(content) : undefined;
        if (answer !== undefined)
            return answer;
    }
    catch (fault) {
        if (!(fault instanceof Fault))
            throw fault;
        throw refusal(reply, fault.problem, requestId);
    }
    const isProblem = !reply.ok && isFields(content) && typeof content["code"] === "string";
    throw refusal(reply, isProblem ? content : foreign(reply), requestId);
}
/** Reads the one result of an answer, which has `rows`: detections, classifications or regions. */
export function readResult(rows) {
    return (content) => {
        if (!isFields(content) || !Array.isArray(content["results"]))
            return undefined;
        const { results, ...shared } = content;
        const [result, ...more] = results;
        if (!isFields(result) || more.length > 0)
            return undefined;
        if (isFields(result["error"]))
            throw new Fault(result["error"]);
        return Array.isArray(result[rows]) ? { ...result, ...shared } : undefined;
    };
}
export const readModels = (content) => isFields(content) && Array.isArray(content["models"])
    ? content["models"]
    : undefined;
function refusal(reply, problem, requestId) {
    const { status } = reply;
    const { code = "unknown", detail = code, retryable = RETRYABLE_STATUSES.includes(status) } = problem;
    const retryAfter = readRetryAfter(reply.headers.get("Retry-After"));
    return new ApiError({ status, code, detail, retryable, retryAfter }, requestId);
}
/** What is told of a reply that is not a service's: a proxy's, or that of another server. */
function foreign(reply) {
    return { detail: `The reply of ${reply.url} is not that of a Boxport service.` };
}
function parse(text) {
    try {
        return JSON.parse(text);
    }
    catch {
        return undefined;
    }
}
function isFields(content) {
    return typeof content === "object" && content !== null && !Array.isArray(content);
}
