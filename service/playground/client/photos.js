/** From a photo and its parameters to the body and query of a request. */
const BYTES = "application/octet-stream"; // the service finds out the format by itself
/** The photo's bytes unchanged, with the parameters in the query; or JSON with the URL. */
export function requestParts(photo, parameters) {
    if (typeof photo === "string") {
        const body = JSON.stringify({ images: [{ url: photo }], ...parameters });
        return { query: new URLSearchParams(), contentType: "application/json", body };
    }
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(parameters)) {
        if (value === undefined)
            continue;
        for (const one of Array.isArray(value) ? value : [value])
            query.append(name, String(one));
    }
    return { query, contentType: BYTES, body: photo };
}
