/** From a reply to the answer that it has, or to the error that it stands for. */

import { ApiError } from "./errors.js";
import { RETRYABLE_STATUSES, readRetryAfter } from "./retries.js";
import type { ModelList, ProblemDetails } from "./shapes.js";

/** Makes an answer of a reply's JSON; undefined if that is not a service's. Throws Fault. */
export type Read<Answer> = (content: unknown) => Answer | undefined;

type Fields = Record<string, unknown>;

/** An error in the place of an image's result, in a reply that is none itself. */
class Fault {
  constructor(readonly problem: Partial<ProblemDetails>) {}
}

/** What `read` makes of a reply; throws ApiError if it is a refusal, or not that of a service. */
export function readReply<Answer>(reply: Response, text: string, id: string, read: Read<Answer>): Answer {
  const requestId = reply.headers.get("X-Request-ID") ?? id;
  const content = parse(text);
  try {
    const answer = reply.ok ? read(content) : undefined;
    if (answer !== undefined) return answer;
  } catch (fault) {
    if (!(fault instanceof Fault)) throw fault;
    throw refusal(reply, fault.problem, requestId);
  }
  const isProblem = !reply.ok && isFields(content) && typeof content["code"] === "string";
  throw refusal(reply, isProblem ? content : foreign(reply), requestId);
}

/** Reads the one result of an answer, which has `rows`: detections, classifications or regions. */
export function readResult<Result>(rows: string): Read<Result> {
  return (content) => {
    if (!isFields(content) || !Array.isArray(content["results"])) return undefined;
    const { results, ...shared } = content;
    const [result, ...more] = results as unknown[];
    if (!isFields(result) || more.length > 0) return undefined;
    if (isFields(result["error"])) throw new Fault(result["error"]);
    return Array.isArray(result[rows]) ? ({ ...result, ...shared } as Result) : undefined;
  };
}

export const readModels: Read<ModelList["models"]> = (content) =>
  isFields(content) && Array.isArray(content["models"])
    ? (content["models"] as ModelList["models"])
    : undefined;

function refusal(reply: Response, problem: Partial<ProblemDetails>, requestId: string): ApiError {
  const { status } = reply;
  const { code = "unknown", detail = code, retryable = RETRYABLE_STATUSES.includes(status) } = problem;
  const retryAfter = readRetryAfter(reply.headers.get("Retry-After"));
  return new ApiError({ status, code, detail, retryable, retryAfter }, requestId);
}

/** What is told of a reply that is not a service's: a proxy's, or that of another server. */
function foreign(reply: Response): Partial<ProblemDetails> {
  return { detail: `The reply of ${reply.url} is not that of a Boxport service.` };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

function isFields(content: unknown): content is Fields {
  return typeof content === "object" && content !== null && !Array.isArray(content);
}
