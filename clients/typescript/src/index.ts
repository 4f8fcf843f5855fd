export { Boxport } from "./client.js";
export type { CallOptions, Options } from "./client.js";
export { ApiError, BoxportError, ConnectionFailed, TimedOut } from "./errors.js";
export type { Refusal } from "./errors.js";
export type { Photo } from "./photos.js";
export type {
  Classification,
  ClassificationResult,
  ClassifyParameters,
  DetectParameters,
  Detection,
  DetectionResult,
  ErrorCode,
  ModelDescription,
  ModelReference,
  Timing,
  UnreadableModel,
} from "./shapes.js";
