/** Every golden pair of clients/contract, through the client, from the server at BOXPORT_REPLAY_URL. */

import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { test } from "node:test";
import { ApiError, Boxport } from "boxport-client";

const { BOXPORT_REPLAY_URL: REPLAY, BOXPORT_CONTRACT: CONTRACT, BOXPORT_PHOTOS: PHOTOS } = process.env;

const files = (await readdir(CONTRACT)).filter((name) => name.endsWith(".json"));
assert.ok(files.length > 20);

for (const file of files) {
  const { name, description, call, expect } = JSON.parse(await readFile(`${CONTRACT}/${file}`, "utf8"));
  test(`${name}: ${description}`, async () => {
    const boxport = new Boxport(`${REPLAY}/${name}`, { apiKey: call.api_key, retries: 0 });
    if (expect.error) {
      await assert.rejects(ask(boxport, call), (error) => {
        assert.ok(error instanceof ApiError, String(error));
        check(error, expect.error);
        return true;
      });
    } else {
      const result = await ask(boxport, call);
      assert.deepEqual(call.method === "models" ? result.map(rowOf) : result, expect.result);
    }
  });
}

/** Parameters of any kind: the service's refusal of an unknown one is JavaScript's to meet. */
async function ask(boxport, { method, photo, parameters }) {
  if (method === "models") return boxport.models();
  const given = photo.includes("://") ? photo : await readFile(`${PHOTOS}/${photo}`);
  return boxport[method](given, parameters);
}

/** Of a model whose package cannot be read nothing is known but its name. */
function rowOf({ name, version, task, labels, status }) {
  const row = { name, version, state: status.state };
  return labels ? { ...row, task, labels: labels.length } : row;
}

function check(error, { kind, request_id, retry_after, ...same }) {
  for (const [name, value] of Object.entries(same)) assert.deepEqual(error[name], value, name);
  if (request_id !== undefined) assert.equal(error.requestId, request_id);
  if (retry_after !== undefined) {
    assert.equal(error.retryAfter, retry_after === null ? undefined : retry_after * 1000);
  }
}
