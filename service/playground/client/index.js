export { Boxport } from "./client.js";
export { ApiError, BoxportError, ConnectionFailed, TimedOut } from "./errors.js";
