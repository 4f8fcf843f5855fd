export { Boxport } from "./client.js";
export type { CallOptions, Options } from "./client.js";
export { ApiError, BoxportError, ConnectionFailed, TimedOut } from "./errors.js";
export type { Refusal } from "./errors.js";
export type { Photo } from "./photos.js";
export type {
  Classification,
  ClassificationResult,
  ClassifiedRegion,
  ClassifyParameters,
  DetectParameters,
  Detection,
  DetectionResult,
  ErrorCode,
  ModelDescription,
  ModelReference,
  RegionParameters,
  RegionsResult,
  Timing,
  UnreadableModel,
} from "./shapes.js";
