// Every entry loads where there is no browser, does nothing there, and says that it cannot open.

import assert from 'node:assert/strict';

const before = new Set(Object.getOwnPropertyNames(globalThis));
for (const entry of ['pumice', 'pumice/inline', 'pumice/react', 'pumice/worker']) await import(entry);
assert.deepEqual(Object.getOwnPropertyNames(globalThis).filter(name => !before.has(name)), []);

for (const entry of ['pumice', 'pumice/inline']) {
  const { open, deleteDatabase, listDatabases, PumiceError } = await import(entry);
  for (const call of [() => open('a'), () => deleteDatabase('a'), () => listDatabases()]) {
    const error = await call().then(() => assert.fail('resolved'), error => error);
    assert.ok(error instanceof PumiceError, String(error));
    assert.equal(error.code, 'unsupported');
  }
}
assert.ok(import.meta.resolve('pumice/pumice.wasm').endsWith('.wasm'));
