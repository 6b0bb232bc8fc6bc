// The official Node SDK, unmodified, calls a mock that validates each request by
// OpenAI's description of its API: once directly and once through the gateway.
// A call conforms when the mock takes it through the gateway exactly as it takes
// it directly, and the SDK gets the same answer.

import assert from 'node:assert/strict';
import test from 'node:test';
import OpenAI from 'openai';

import { models, refusals, relayed } from './calls.mjs';

const { DIRECT_URL, GATEWAY_URL } = process.env;

function client(baseURL) {
  const options = { apiKey: 'sk-of-the-client', adminAPIKey: 'sk-of-the-admin', maxRetries: 0, timeout: 20_000 };
  return new OpenAI({ ...options, baseURL });
}

const direct = client(DIRECT_URL);
const gateway = client(GATEWAY_URL);

// outcome is what the mock thought of the call and what it answered. The model's
// name in the answer is made up by the mock and the gateway's to rewrite.
async function outcome(call, c, model) {
  try {
    const response = await call(c, model).asResponse();
    const body = await response.text();
    return { status: response.status, valid: response.headers.get('x-steady-request-valid'), body: withoutModel(body) };
  } catch (err) {
    if (!(err instanceof OpenAI.APIError)) throw err;
    return { status: err.status, error: err.error, kind: err.constructor.name };
  }
}

function withoutModel(body) {
  try {
    return { ...JSON.parse(body), model: undefined };
  } catch {
    return body;
  }
}

for (const [resource, calls] of Object.entries(relayed)) {
  for (const [name, call] of calls) {
    test(`${resource}: ${name}`, async (t) => {
      const want = await outcome(call, direct, (m) => m);
      const got = await outcome(call, gateway, (m) => `up/${m}`);
      if (want.status !== 200) {
        // The SDK is newer than the description; the gateway can still be compared.
        t.diagnostic(`the mock itself refuses this call: ${JSON.stringify(want.error ?? want.status)}`);
      }
      assert.deepEqual(got, want);
    });
  }
}

for (const [name, call] of refusals) {
  test(`refused alike: ${name}`, async () => {
    const want = await outcome(call, direct);
    assert.ok(want.status >= 400, `the mock takes it: ${want.status}`);
    assert.deepEqual(await outcome(call, gateway), want);
  });
}

for (const [name, call] of models) {
  test(`models: ${name}`, async () => {
    const got = await call(gateway);
    for (const m of got.data ?? [got]) {
      assert.equal(m.object, 'model');
      assert.equal(typeof m.id, 'string');
      assert.equal(typeof m.created, 'number');
      assert.equal(typeof m.owned_by, 'string');
    }
  });
}
