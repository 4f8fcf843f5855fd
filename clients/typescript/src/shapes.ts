/** The types of answers, by the names in the service's OpenAPI description. */

import type { components } from "./schema.js";

type Shapes = components["schemas"];

export type DetectParameters = Given<Shapes["DetectParameters"]>;
export type ClassifyParameters = Given<Shapes["ClassifyParameters"]>;
export type Detection = Shapes["Detection"];
export type Classification = Shapes["Classification"];
export type ModelDescription = Shapes["ModelDescription"];
export type UnreadableModel = Shapes["UnreadableModel"];
export type ModelList = Shapes["ModelList"];
export type ModelReference = Shapes["ModelReference"];
export type Timing = Shapes["Timing"];
export type ErrorCode = Shapes["ErrorCode"];
export type DetectAnswer = Shapes["DetectAnswer"];
export type ClassifyAnswer = Shapes["ClassifyAnswer"];
export type ProblemDetails = Shapes["ProblemDetails"];

/** What an answer has beside its results. */
type Shared = Pick<DetectAnswer, "model" | "request_id" | "timing_ms">;

/** The objects of one photo, in pixels of the upright photo, best first. */
export type DetectionResult = Shapes["DetectedImage"] & Shared;

/** The classes of one photo, best first. */
export type ClassificationResult = Shapes["ClassifiedImage"] & Shared;

/** Optional parameters; the defaults are the service's or the model's. */
type Given<Parameters> = { [Name in keyof Parameters]?: NonNullable<Parameters[Name]> | undefined };
