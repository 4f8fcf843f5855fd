/** From a photo and its parameters to the body and query of a request. */

/** A file's bytes; or a URL that the service fetches, if its operator allows it. */
export type Photo = Blob | ArrayBuffer | Uint8Array<ArrayBuffer> | string;

/** Parameters of any task, by name. */
export type Parameters = Record<string, string | number | boolean | string[] | number[][] | undefined>;

/** The parts of a request that depend on the photo and its parameters. */
export interface RequestParts {
  query: URLSearchParams;
  contentType: string;
  body: Blob | ArrayBuffer | Uint8Array<ArrayBuffer> | string;
}

const BYTES = "application/octet-stream"; // the service finds out the format by itself

/** The photo's bytes unchanged, with the parameters in the query; or JSON with the URL. */
export function requestParts(photo: Photo, parameters: Parameters): RequestParts {
  for (const [name, value] of Object.entries(parameters)) check(name, value);
  if (typeof photo === "string") {
    const body = JSON.stringify({ images: [{ url: photo }], ...parameters });
    return { query: new URLSearchParams(), contentType: "application/json", body };
  }
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value === undefined) continue;
    // of a region, its numbers with commas between them
    for (const one of Array.isArray(value) ? value : [value]) query.append(name, String(one));
  }
  return { query, contentType: BYTES, body: photo };
}

/** What the query or JSON could not say, and the service would take for a parameter not given. */
function check(name: string, value: Parameters[string]): void {
  if (Array.isArray(value) && value.length === 0) {
    throw new RangeError(`${name} is empty: give at least one, or leave it out for all`);
  }
  if (typeof value === "number" && !Number.isFinite(value)) {
    throw new RangeError(`${name} must be a number, not ${value}`);
  }
}
