/** A user's code, which the compiler takes; and what it must not take. */

import { readFile } from "node:fs/promises";
import { ApiError, Boxport, BoxportError } from "boxport-client";
import type { DetectionResult, ErrorCode, ModelDescription } from "boxport-client";
import type { components } from "./node_modules/boxport-client/dist/schema.js";

const boxport = new Boxport("http://localhost:3000", { apiKey: undefined, timeout: 5_000 });

export async function labels(path: string): Promise<string[]> {
  const threshold: number | undefined = undefined;
  const result: DetectionResult = await boxport.detect(await readFile(path), {
    score_threshold: threshold,
    class_agnostic: true,
    labels: ["cat"],
  });
  const [left, , right]: [number, number, number, number] = result.detections[0]!.box;
  const milliseconds: number = result.timing_ms.total + right - left;
  return result.detections.map(({ label, score }) => `${label} ${score.toFixed(2)} ${milliseconds}`);
}

export async function best(photo: Blob, signal: AbortSignal): Promise<string> {
  const { classifications } = await boxport.classify(photo, { top_k: 1 }, { signal });
  return classifications[0]?.label ?? "nothing";
}

export async function makes(photo: Blob): Promise<string[]> {
  const { detections, then } = await boxport.detect(photo, { then: "makes", region_padding: 0.1 });
  const { regions } = await boxport.classify(photo, { regions: detections.map(({ box }) => box) });
  const first = regions[0]!.classifications[0]?.label ?? then?.name ?? "";
  return [first, ...detections.flatMap(({ classifications }) => classifications?.[0]?.label ?? [])];
}

export async function readable(): Promise<ModelDescription[]> {
  const models = await boxport.models();
  return models.filter((model) => "labels" in model);
}

export function explain(error: unknown): string {
  const code: ErrorCode = "overloaded";
  if (error instanceof ApiError && error.code === code) return `${error.retryAfter ?? 0} ms`;
  return error instanceof BoxportError ? error.requestId : String(error);
}

// What has a default need not be written: openapi-typescript by itself takes it for always there.
export const least: components["schemas"]["DetectRequest"] = { images: [{ base64: "aGk=" }] };

// @ts-expect-error: classify has no threshold
void boxport.classify(new Blob(), { score_threshold: 0.5 });
// @ts-expect-error: a number, not a text
void boxport.detect(new Blob(), { score_threshold: "0.5" });
// @ts-expect-error: a list
void boxport.detect(new Blob(), { labels: "cat" });
// @ts-expect-error: the regions' classes, not the photo's
void boxport.classify(new Blob(), { regions: [[0, 0, 1, 1]] }).then((one) => one.classifications);
// @ts-expect-error: no photo
void boxport.detect(42);
// @ts-expect-error: no such code
export const wrong: ErrorCode = "no_such_code";
