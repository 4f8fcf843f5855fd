/** The client against the real service at BOXPORT_TEST_URL. */

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { once } from "node:events";
import { test } from "node:test";
import { ApiError, Boxport, ConnectionFailed } from "boxport-client";

const URL = process.env.BOXPORT_TEST_URL;
const PHOTOS = process.env.BOXPORT_PHOTOS;
const boxport = new Boxport(URL);
const cat = await readFile(`${PHOTOS}/cat.jpg`);

test("a cat is found", async () => {
  const result = await boxport.detect(cat);
  assert.deepEqual([result.width, result.height], [451, 300]);
  assert.equal(result.detections.length, 1);
  const [{ label, score, box }] = result.detections;
  assert.equal(label, "cat");
  assert.ok(score > 0.9 && score < 1);
  assert.ok(Math.abs(box[2] - 409) < 2);
  assert.equal(result.model.name, "retinanet_lite0_voc");
  assert.ok(result.timing_ms.total > 0);
  assert.match(result.request_id, /^[0-9a-f]{32}$/);
});

test("a photo is the same in any shape, and a part of a buffer is that part", async () => {
  const bytes = cat.buffer.slice(cat.byteOffset, cat.byteOffset + cat.length);
  const within = new Uint8Array(cat.length + 20);
  within.set(cat, 10);
  const shapes = [bytes, new Blob([cat]), new Uint8Array(bytes), within.subarray(10, -10)];
  const { detections } = await boxport.detect(cat);
  for (const shape of shapes) {
    assert.deepEqual((await boxport.detect(shape)).detections, detections);
  }
});

test("parameters reach the service, lists too", async () => {
  const astronaut = await readFile(`${PHOTOS}/astronaut.jpg`);
  const given = { score_threshold: 0.1, labels: ["person", "bottle"], max_detections: 3 };
  const { detections } = await boxport.detect(astronaut, given);
  assert.equal(detections.length, 3);
  assert.deepEqual(new Set(detections.map(({ label }) => label)), new Set(["person", "bottle"]));
});

test("what is undefined is left out", async () => {
  const { detections } = await boxport.detect(cat, { score_threshold: undefined, labels: undefined });
  assert.equal(detections.length, 1);
});

test("coffee is espresso", async () => {
  const coffee = await readFile(`${PHOTOS}/coffee.jpg`);
  const { classifications } = await boxport.classify(coffee, { top_k: 2 });
  assert.equal(classifications.length, 2);
  assert.equal(classifications[0].label, "espresso");
});

test("a refusal tells why, in the service's words", async () => {
  const asked = boxport.detect(cat, { model: "nothing" });
  await assert.rejects(asked, (error) => {
    assert.ok(error instanceof ApiError);
    const { name, status, code, retryable, retryAfter, requestId } = error;
    assert.deepEqual(
      { name, status, code, retryable, retryAfter },
      { name: "ApiError", status: 404, code: "model_not_found", retryable: false, retryAfter: undefined },
    );
    assert.match(error.detail, /There is no model 'nothing'/);
    assert.match(requestId, /^[0-9a-f]{32}$/);
    return true;
  });
});

test("a URL goes as JSON, and this service refuses it", async () => {
  const asked = boxport.detect("https://images.example.org/cat.jpg", { score_threshold: 0.2 });
  await assert.rejects(asked, { code: "url_not_allowed", status: 403 });
});

test("more time than the service grants is no fault", async () => {
  const { detections } = await boxport.detect(cat, {}, { timeout: 10_000_000 });
  assert.equal(detections[0].label, "cat");
});

test("models are listed, with their labels", async () => {
  const models = await boxport.models();
  const found = models.find(({ name }) => name === "efficientdet_lite0_voc");
  assert.equal(found.labels.length, 20);
  assert.equal(found.status.state, "ready");
});

test("a URL may have a path, with or without a slash", async () => {
  for (const url of [`${URL}/`, new globalThis.URL(URL)]) {
    assert.ok((await new Boxport(url).models()).length > 0);
  }
  await assert.rejects(new Boxport(`${URL}/beneath`).models(), { code: "not_found" });
});

test("ready says no where nobody listens, and a question fails", async () => {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address();
  probe.close();
  const nobody = new Boxport(`http://127.0.0.1:${port}`, { retries: 0 });
  assert.equal(await boxport.ready(), true);
  assert.equal(await nobody.ready(), false);
  await assert.rejects(nobody.detect(cat), (error) => {
    assert.ok(error instanceof ConnectionFailed);
    assert.match(error.message, /ECONNREFUSED/);
    return true;
  });
});
