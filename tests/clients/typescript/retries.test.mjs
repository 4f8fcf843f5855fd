/** What the client does when the first try fails, against servers that fail as they are told. */

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, test } from "node:test";
import { ApiError, Boxport, BoxportError, ConnectionFailed, TimedOut } from "boxport-client";

const PHOTO = new Uint8Array([1, 2, 3]);
const ANSWER = {
  model: { name: "m", version: "1", sha256: "" },
  request_id: "r",
  results: [{ width: 1, height: 1, detections: [] }],
  timing_ms: { decode: 0, queue: 0, inference: 0, total: 0 },
};
const OVERLOADED = { code: "overloaded", detail: "Try again in a moment.", retryable: true };
const servers = [];
after(() => servers.forEach((server) => server.closeAllConnections() ?? server.close()));

const good = (_, reply) => reply.setHeader("Content-Type", "application/json").end(JSON.stringify(ANSWER));
const refuse = (status, code, retryable, headers = {}) => (_, reply) =>
  reply
    .writeHead(status, { "Content-Type": "application/problem+json", ...headers })
    .end(JSON.stringify({ status, code, detail: "No.", retryable, request_id: "r" }));
const busy = (seconds) => refuse(503, "overloaded", true, { "Retry-After": seconds });
const hangUp = (request) => request.socket.destroy();
const breakOff = (_, reply) => {
  reply.writeHead(200, { "Content-Type": "application/json", "Content-Length": 1000 });
  reply.write('{"model":', () => reply.destroy());
};
const hang = () => {};

/** A server whose replies are these, the last again and again; and what it was asked. */
async function serve(...replies) {
  const asked = [];
  const server = createServer((request, reply) => {
    asked.push({ ...request.headers, at: performance.now() });
    request.resume().on("end", () => replies[Math.min(asked.length, replies.length) - 1](request, reply));
  }).listen(0, "127.0.0.1");
  servers.push(server);
  await once(server, "listening");
  return { url: `http://127.0.0.1:${server.address().port}`, asked };
}

for (const [name, reply] of Object.entries({
  "a busy service": busy(0),
  "a connection that is closed": hangUp,
  "an answer that breaks off": breakOff,
  "a proxy that finds the service down": (_, answer) => answer.writeHead(502).end("<h1>Bad Gateway</h1>"),
  "a proxy that waited for the request": (_, answer) => answer.writeHead(408).end(),
  "an image that a busy service refuses": (_, answer) =>
    answer.end(JSON.stringify({ ...ANSWER, results: [{ error: OVERLOADED }] })),
})) {
  test(`${name} is tried again`, async () => {
    const { url, asked } = await serve(reply, reply, good);
    await new Boxport(url).detect(PHOTO);
    assert.equal(asked.length, 3);
  });
}

test("all tries have one id, the key, and less and less time", async () => {
  const { url, asked } = await serve(busy(0), busy(0), good);
  await new Boxport(url, { apiKey: "bxp_a" }).detect(PHOTO, {}, { timeout: 5000 });
  assert.equal(new Set(asked.map((one) => one["x-request-id"])).size, 1);
  assert.deepEqual(asked.map(({ authorization }) => authorization), Array(3).fill("Bearer bxp_a"));
  const left = asked.map((one) => Number(one["x-request-timeout-ms"]));
  assert.ok(left[0] <= 5000 && left[0] > left[1] && left[1] > left[2] && left[2] > 3000, left.join());
});

test("no try comes before Retry-After is over", async () => {
  const { url, asked } = await serve(busy(1), good);
  await new Boxport(url).detect(PHOTO);
  assert.ok(asked[1].at - asked[0].at >= 995);
});

test("Retry-After may be a date", async () => {
  const date = new Date(Date.now() + 3_600_000).toUTCString();
  const { url } = await serve(busy(date));
  await assert.rejects(new Boxport(url).detect(PHOTO), (error) => {
    assert.ok(Math.abs(error.retryAfter - 3_600_000) < 5000);
    return true;
  });
});

test("a wait past the deadline is not begun", async () => {
  const { url, asked } = await serve(refuse(429, "rate_limited", true, { "Retry-After": "5" }));
  const begun = performance.now();
  await assert.rejects(new Boxport(url, { timeout: 2000 }).detect(PHOTO), {
    name: "ApiError",
    code: "rate_limited",
    retryAfter: 5000,
  });
  assert.ok(performance.now() - begun < 1000);
  assert.equal(asked.length, 1);
});

test("so many tries are made, and the last failure is told", async () => {
  const { url, asked } = await serve(busy(0));
  await assert.rejects(new Boxport(url, { retries: 2 }).detect(PHOTO), ApiError);
  assert.equal(asked.length, 3);
  const gone = await serve(hangUp);
  await assert.rejects(new Boxport(gone.url, { retries: 1 }).detect(PHOTO), ConnectionFailed);
  assert.equal(gone.asked.length, 2);
});

test("what will not change is asked once", async () => {
  for (const [status, code] of [[422, "invalid_image"], [500, "internal_error"]]) {
    const { url, asked } = await serve(refuse(status, code, false));
    await assert.rejects(new Boxport(url).detect(PHOTO), { status, code });
    assert.equal(asked.length, 1);
  }
});

test("a service that hangs is given up at the deadline", async () => {
  const { url, asked } = await serve(hang);
  const begun = performance.now();
  await assert.rejects(new Boxport(url, { timeout: 300 }).detect(PHOTO), (error) => {
    assert.ok(error instanceof TimedOut && error instanceof BoxportError);
    assert.equal(error.name, "TimedOut");
    assert.equal(error.requestId, asked[0]["x-request-id"]);
    return true;
  });
  const took = performance.now() - begun;
  assert.ok(took >= 290 && took < 1500, String(took));
  assert.equal(await new Boxport(url).ready({ timeout: 100 }), false);
});

for (const [where, reply] of [["while it is asked", hang], ["between two tries", busy(3)]]) {
  test(`a call that is aborted ${where} throws the signal's reason at once`, async () => {
    const { url, asked } = await serve(reply);
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 200);
    const begun = performance.now();
    const call = new Boxport(url).detect(PHOTO, {}, { signal: stop.signal });
    await assert.rejects(call, { name: "AbortError" });
    assert.ok(performance.now() - begun < 1500);
    assert.equal(asked.length, 1);
  });
}

test("an image that failed alone is a refusal", async () => {
  const error = { code: "invalid_image", detail: "No.", retryable: false };
  const { url } = await serve((_, reply) => reply.end(JSON.stringify({ ...ANSWER, results: [{ error }] })));
  await assert.rejects(new Boxport(url).detect(PHOTO), { name: "ApiError", code: "invalid_image" });
});

for (const body of [
  "",
  "<html>",
  "null",
  "[]",
  '"hi"',
  '{"status":"ok"}',
  '{"results":null}',
  '{"results":[]}',
  '{"results":[null]}',
  '{"results":[{"width":1}]}',
  '{"results":[{"detections":[]},{"detections":[]}]}',
]) {
  test(`a reply that is no service's is a refusal: ${body}`, async () => {
    const { url, asked } = await serve((_, reply) => reply.end(body));
    const boxport = new Boxport(url);
    for (const call of [() => boxport.detect(PHOTO), () => boxport.classify(PHOTO), () => boxport.models()]) {
      await assert.rejects(call(), (error) => {
        assert.ok(error instanceof ApiError, String(error));
        assert.deepEqual([error.status, error.code, error.retryable], [200, "unknown", false]);
        return true;
      });
    }
    assert.equal(asked.length, 3);
  });
}

test("a refusal without a problem is told by its status", async () => {
  for (const [status, body, retryable] of [[503, "null", true], [500, '"hi"', false], [403, '{"code":1}', false]]) {
    const { url } = await serve((_, reply) => reply.writeHead(status).end(body));
    await assert.rejects(new Boxport(url, { retries: 0 }).detect(PHOTO), { status, code: "unknown", retryable });
  }
});

test("a pause that outlasts the deadline ends the call with what was met", async () => {
  const fetch = async () => {
    throw new TypeError("fetch failed");
  };
  const random = Math.random;
  Math.random = () => 0.999; // the first pause is 250 ms
  try {
    const call = new Boxport("http://example.org", { fetch, timeout: 300, retries: 50 }).detect(PHOTO);
    setTimeout(() => {
      for (const end = performance.now() + 200; performance.now() < end; );
    }, 200);
    await assert.rejects(call, ConnectionFailed);
  } finally {
    Math.random = random;
  }
});

test("arguments that cannot be are refused before anything is sent", async () => {
  for (const timeout of [0, -1, NaN, Infinity, 2 ** 31]) {
    assert.throws(() => new Boxport("http://example.org", { timeout }), RangeError);
    const boxport = new Boxport("http://example.org");
    await assert.rejects(boxport.models({ timeout }), RangeError);
    await assert.rejects(boxport.ready({ timeout }), RangeError);
  }
  for (const url of ["http://example.org/?a=b", "http://example.org/#a", "ftp://example.org", "example"]) {
    assert.throws(() => new Boxport(url), TypeError);
  }
  assert.throws(() => new Boxport("http://example.org", { retries: NaN }), RangeError);
});

test("a parameter that would not arrive is refused", async () => {
  const { url, asked } = await serve(good);
  const boxport = new Boxport(url);
  for (const photo of [PHOTO, "https://example.org/photo.jpg"]) {
    await assert.rejects(boxport.detect(photo, { labels: [] }), /labels is empty/);
    await assert.rejects(boxport.detect(photo, { score_threshold: NaN }), RangeError);
  }
  assert.equal(asked.length, 0);
});

test("another fetch is used where one is given", async () => {
  const urls = [];
  const fetch = async (url) => {
    urls.push(String(url));
    return Response.json(ANSWER);
  };
  const boxport = new Boxport("https://example.org/boxport", { fetch });
  await boxport.detect(PHOTO, { labels: ["a b", "ü&"], class_agnostic: false });
  assert.deepEqual(urls, [
    "https://example.org/boxport/v1/detect?labels=a+b&labels=%C3%BC%26&class_agnostic=false",
  ]);
});
