/** From what a caller calls a photo to the body of a request. */

/** A file's bytes; or a URL, which the service fetches, where its operator allows that. */
export type Photo = Blob | ArrayBuffer | Uint8Array<ArrayBuffer> | string;

/** Parameters of any task, by name. */
export type Parameters = Record<string, string | number | boolean | string[] | undefined>;

/** What a question consists of, beside the headers that all have. */
export interface Question {
  query: URLSearchParams;
  contentType: string;
  body: Blob | ArrayBuffer | Uint8Array<ArrayBuffer> | string;
}

const BYTES = "application/octet-stream"; // the service looks at them, not at what they are called

/** The question about `photo`: its bytes as they are, with the parameters in the query; or JSON. */
export function ask(photo: Photo, parameters: Parameters): Question {
  if (typeof photo === "string") {
    const body = JSON.stringify({ images: [{ url: photo }], ...parameters });
    return { query: new URLSearchParams(), contentType: "application/json", body };
  }
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value === undefined) continue;
    for (const one of Array.isArray(value) ? value : [value]) query.append(name, String(one));
  }
  return { query, contentType: BYTES, body: photo };
}
