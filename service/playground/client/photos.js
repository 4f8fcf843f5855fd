/** From what a caller calls a photo to the body of a request. */
const BYTES = "application/octet-stream"; // the service looks at them, not at what they are called
/** The question about `photo`: its bytes as they are, with the parameters in the query; or JSON. */
export function ask(photo, parameters) {
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
