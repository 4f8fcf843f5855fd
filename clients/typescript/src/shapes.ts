/** The types of answers, by the names in the service's OpenAPI description. */

import type { components } from "./schema.js";

type Shapes = components["schemas"];

export type DetectParameters = Given<Shapes["DetectParameters"]>;
/** Of a photo as a whole. */
export type ClassifyParameters = Given<Omit<Shapes["ClassifyParameters"], "regions">> & {
  regions?: undefined;
};
/** Of regions of a photo, not of the whole. */
export type RegionParameters = Given<Shapes["ClassifyParameters"]> & { regions: number[][] };
export type Detection = Shapes["Detection"];
export type Classification = Shapes["Classification"];
export type ClassifiedRegion = Shapes["ClassifiedRegion"];
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
export type DetectionResult = Shapes["DetectedImage"] & Shared & Pick<DetectAnswer, "then">;

/** The classes of one photo, best first. */
export type ClassificationResult = Shapes["ClassifiedImage"] & Shared;

/** The classes of each region of one photo, in the order that the regions were given in. */
export type RegionsResult = Shapes["ClassifiedRegions"] & Shared;

/** Optional parameters; the defaults are the service's or the model's. */
type Given<Parameters> = { [Name in keyof Parameters]?: NonNullable<Parameters[Name]> | undefined };
