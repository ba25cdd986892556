/** What may go wrong below a database in a browser: files that others hold, openings that fail half-way, full disks, dropped
 *  connections, workers that end in the midst. (Damage is in damage.test.mjs; tabs, sleeping pages and versions in tabs*.test.mjs.) */

import { after, before, describe, test } from 'node:test';
import { deepStrictEqual as same, ok, strictEqual as equal } from 'node:assert';
import { startChromium } from './harness/chromium.mjs';
import { PATIENCE } from './harness/patience.mjs';
import { serve } from './harness/server.mjs';
import { endWorkers, openTab, setQuota } from './harness/tab.mjs';

const BOTH = ['opfs', 'indexeddb'];
const MEGABYTE = 1_000_000;

let server;
let browser;
before(async () => { [server, browser] = await Promise.all([serve(), startChromium()]); });
after(async () => {
  await browser?.close();
  await server?.close();
});

/** Opens a database in a tab as `window.db`; gives the error's code, or `done`. */
const open = (page, name, options) => page.evaluate(async ([name, options]) => {
  const began = performance.now();
  try {
    window.db = await pumice.open(name, options);
    return 'done';
  } catch (error) {
    window.tookTo = performance.now() - began;
    return error.code ?? String(error);
  }
}, [name, options]);

/** A tab of an origin of its own, whose quota is nobody else's. */
async function openApart(t) {
  const own = await serve();
  t.after(() => own.close());
  return openTab(browser, own);
}

const put = (page, key) => page.evaluate(key => db.collection('notes').put(key, key).then(() => 'done', error => error.code), key);
const keys = page => page.evaluate(async () => (await db.collection('notes').getAll()).map(([key]) => key));

describe('a file or place that another has open', { concurrency: true }, () => {
  /** Holds everything of the database in a worker, or a connection, of a page that is none of its tabs. */
  const hold = (page, name, storage) => page.evaluate(async ([name, storage]) => {
    if (storage === 'indexeddb') {
      const request = indexedDB.open(`pumice:${name}`);
      window.held = await new Promise((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
      });
      window.letGo = () => window.held.close();
      return 1;
    }
    const { filesOf } = await import('/tests/page/opfs.mjs');
    const files = await filesOf(name);
    const worker = new Worker('/tests/page/holder.mjs', { type: 'module' });
    const answered = () => new Promise(resolve => { worker.onmessage = ({ data }) => resolve(data); });
    worker.postMessage(files.map(({ handle }) => handle));
    window.letGo = () => worker.terminate();
    return answered();
  }, [name, storage]);

  for (const storage of BOTH) {
    test(`is waited for, ${storage}`, { timeout: PATIENCE * 2 }, async () => {
      const [page, other] = [await openTab(browser, server), await openTab(browser, server)];
      const name = `waited ${storage}`;
      equal(await open(page, name, { storage }), 'done');
      equal(await put(page, 'a'), 'done');
      await page.evaluate(() => db.close());
      ok(await hold(other, name, storage) > 0, 'something is held');
      const opening = open(page, name, { storage });
      // Longer than one attempt, and much shorter than the patience of an opening.
      await page.waitForTimeout(3000);
      await other.evaluate(() => letGo());
      equal(await opening, 'done');
      same(await keys(page), ['a']);
      await page.close();
      await other.close();
    });

    test(`is busy in the end, and nothing else is opened, ${storage}`, { timeout: PATIENCE * 3 }, async () => {
      const [page, other] = [await openTab(browser, server), await openTab(browser, server)];
      const name = `busy ${storage}`;
      equal(await open(page, name, { storage }), 'done');
      equal(await put(page, 'a'), 'done');
      await page.evaluate(() => db.close());
      await hold(other, name, storage);
      equal(await open(page, name, { storage: 'auto' }), 'busy');
      const took = await page.evaluate(() => window.tookTo);
      ok(took > 10_000 && took < 62_000, `after ${took} ms`);
      await other.evaluate(() => letGo());
      equal(await open(page, name, { storage: 'auto' }), 'done');
      same(await keys(page), ['a']);
      equal((await page.evaluate(() => db.status())).storage, storage);
      await page.close();
      await other.close();
    });
  }
});

describe('an opening that fails', () => {
  for (const [what, options] of Object.entries({
    'no worker': { workerUrl: '/nowhere/worker.js' }, 'a worker that is none': { workerUrl: '/other' },
    'no wasm': { wasmUrl: '/nowhere/pumice.wasm' }, 'wasm that is none': { wasmUrl: '/other' },
  })) {
    test(`for ${what} says so, and the next one is free`, { timeout: PATIENCE }, async () => {
      const page = await openTab(browser, server);
      const code = await open(page, `failing for ${what}`, { ...options });
      ok(['io', 'unsupported', 'invalid-argument', 'version', 'timeout'].includes(code), code);
      ok(await page.evaluate(() => window.tookTo) < 30_000, 'at once');
      equal(await open(page, `failing for ${what}`), 'done');
      equal(await put(page, 'a'), 'done');
      await page.close();
    });
  }

  for (const storage of BOTH) {
    test(`for want of room lets everything go, ${storage}`, { timeout: PATIENCE }, async t => {
      const page = await openApart(t);
      const name = `no room ${storage}`;
      await setQuota(page, 1);
      equal(await open(page, name, { storage }), 'quota');
      await setQuota(page, 1000 * MEGABYTE);
      equal(await open(page, name, { storage }), 'done');
      equal(await put(page, 'a'), 'done');
      same(await keys(page), ['a']);
      await page.close();
    });
  }
});

test('spare slots that are not there yet when a database is opened again end no worker', { timeout: PATIENCE }, async () => {
  const page = await openTab(browser, server);
  const errors = [];
  page.on('pageerror', error => errors.push(error.message));
  equal(await open(page, 'without spares', { storage: 'opfs' }), 'done');
  equal(await put(page, 'a'), 'done');
  await page.evaluate(() => db.close());
  equal(await open(page, 'without spares', { storage: 'opfs' }), 'done');
  const worker = page.workers().at(-1);
  // They are made a second after the opening.
  await page.evaluate(async () => {
    const { filesOf } = await import('/tests/page/opfs.mjs');
    while ((await filesOf('without spares')).length < 7) await new Promise(resolve => { setTimeout(resolve, 50); });
  });
  equal(await put(page, 'b'), 'done');
  same([errors, page.workers().at(-1) === worker], [[], true]);
  await page.close();
});

describe('a full disk', () => {
  for (const storage of BOTH) {
    test(`refuses writes until the database is opened again, and reads go on, ${storage}`, { timeout: PATIENCE * 2 }, async t => {
      const page = await openApart(t);
      const name = `full ${storage}`;
      equal(await open(page, name, { storage }), 'done');
      const usage = (await page.evaluate(() => db.status())).usage;
      await setQuota(page, usage + 6 * MEGABYTE);
      const { written, code } = await page.evaluate(async pause => {
        // What does not shrink when it is stored.
        const text = () => Array.from(crypto.getRandomValues(new Uint8Array(60_000)), byte => byte.toString(36)).join('');
        const written = {};
        for (let number = 0; number < 1000; number += 1) {
          const document = text();
          const code = await db.collection('notes').put(`k${String(number).padStart(3, '0')}`, document).then(() => undefined, error => error.code);
          if (code !== undefined) return { written, code };
          written[`k${String(number).padStart(3, '0')}`] = document.length;
          // Chromium looks only now and then at how much there is in IndexedDB.
          await new Promise(resolve => { setTimeout(resolve, pause); });
        }
        return { written, code: 'none' };
      }, storage === 'indexeddb' ? 80 : 0);
      equal(code, 'quota');
      ok(Object.keys(written).length > 3, 'some fit');
      const lengths = () => page.evaluate(async () => Object.fromEntries((await db.collection('notes').getAll()).map(([key, value]) => [key, value.length])));
      same(await lengths(), written, 'reads go on');
      for (const refused of [await put(page, 'small'), await page.evaluate(() => db.collection('notes').delete('k000').then(String, error => error.code))]) {
        ok(['quota', 'poisoned'].includes(refused), refused);
      }
      equal((await page.evaluate(() => db.status())).healthy, false);
      same(await lengths(), written, 'and nothing was written');
      await setQuota(page, 1000 * MEGABYTE);
      ok(await put(page, 'small') !== 'done', 'also when there is room again');
      await page.evaluate(() => db.close());
      equal(await open(page, name, { storage }), 'done');
      same(await lengths(), written, 'opened again');
      equal(await put(page, 'small'), 'done');
      equal((await page.evaluate(() => db.status())).healthy, true);
      await page.close();
    });
  }
});

test('a connection to IndexedDB that the browser drops is made again', { timeout: PATIENCE }, async () => {
  const page = await openTab(browser, server);
  equal(await open(page, 'dropped', { storage: 'indexeddb' }), 'done');
  equal(await put(page, 'a'), 'done');
  for (let round = 0; round < 3; round += 1) {
    ok(await dropConnections() > 0, 'something was dropped');
    equal(await put(page, `b${round}`), 'done');
    same(await keys(page), ['a', ...Array.from({ length: round + 1 }, (_, number) => `b${number}`)]);
  }
  equal((await page.evaluate(() => db.status())).healthy, true);
  await page.close();
});

/** Has Chromium close all connections of our origin; returns of how many places. */
async function dropConnections() {
  const page = await browser.tab('chrome://indexeddb-internals');
  const links = page.locator('.force-close');
  await links.first().waitFor();
  const count = await links.count();
  for (let place = 0; place < count; place += 1) {
    await links.nth(place).click();
    await page.locator('indexeddb-bucket > div > .connection-count').nth(place).filter({ hasText: /^\s*0\s*$/ }).waitFor();
  }
  await page.close();
  return count;
}

describe('a worker that ends', () => {
  for (const storage of BOTH) {
    test(`in the midst of writes and compactions costs nothing, ${storage}`, { timeout: PATIENCE * 2 }, async () => {
      const page = await openTab(browser, server);
      equal(await open(page, `ending ${storage}`, { storage }), 'done');
      for (let round = 0; round < 8; round += 1) {
        await page.evaluate(round => {
          const notes = db.collection('notes');
          window.writes = Array.from({ length: 200 }, (_, number) => notes.put(`r${round}-${String(number).padStart(3, '0')}`, 'x'.repeat(2000)));
          window.compaction = db.compact().then(() => 'done', error => error.code);
        }, round);
        await page.waitForTimeout(round * 7);
        ok(await endWorkers(page) > 0, 'a worker was ended');
        const outcomes = await page.evaluate(async () => (await Promise.allSettled(window.writes)).map(({ status, reason }) => reason?.code ?? status));
        same([...new Set(outcomes)], ['fulfilled'], `round ${round}: writes are asked again`);
        const compaction = await page.evaluate(() => window.compaction);
        ok(typeof compaction === 'string', 'the compaction settles');
        equal((await keys(page)).length, 200 * (round + 1));
      }
      await page.evaluate(() => db.compact());
      equal((await keys(page)).length, 1600);
      await page.close();
    });
  }

  test('at a trap in the engine is told with its place, and costs nothing', { timeout: PATIENCE * 2 }, async () => {
    const page = await openTab(browser, server);
    const trapped = await page.evaluate(async () => {
      window.db = await pumice.open('trapped', { workerUrl: '/tests/page/trapping_worker.mjs' });
      await db.collection('notes').put('a', 1);
      return db.stats().then(() => 'done', error => ({ typed: error instanceof pumice.PumiceError, code: error.code, message: error.message }));
    });
    equal(trapped.code, 'io', trapped);
    ok(trapped.typed && /worker was lost 5 times .*crashed: RuntimeError: unreachable at wasm-function\[\d+\]:0x/.test(trapped.message), trapped.message);
    await page.close();
    const other = await openTab(browser, server);
    equal(await other.evaluate(async () => (await pumice.open('trapped')).collection('notes').get('a')), 1);
    await other.close();
  });
});
