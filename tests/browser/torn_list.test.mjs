/** Chromium goes on behind what a power cut or a kill tore off in its list of the files in OPFS, and does not find again what it
 *  writes there (harness/leveldb.mjs). Databases and files that are made then must outlive that, once they have aged: it is the
 *  next start of the browser that would miss them. */

import { after, before, describe, test } from 'node:test';
import { deepStrictEqual as same, ok, strictEqual as equal } from 'node:assert';
import { rm } from 'node:fs/promises';
import { killAll, newProfile, startChromium } from './harness/chromium.mjs';
import { tearIndex, tornIndex } from './harness/leveldb.mjs';
import { PATIENCE } from './harness/patience.mjs';
import { serve } from './harness/server.mjs';
import { evaluateWithin, openTab } from './harness/tab.mjs';

const MAKE_FILES = 14;

/** What is found at the end of the list: a record's place that was never written, and a header without its record. */
const TEARS = {
  'zeros': Buffer.alloc(300),
  'a header of a record': Buffer.from([1, 2, 3, 4, 250, 0, 1]),
};

let server;
before(async () => { server = await serve(); });
after(async () => {
  await killAll();
  await server?.close();
});

/** Writes `documents` to databases in OPFS until all of their files have aged. A feed that does not go on keeps every segment, so
 *  that compactions make `files` more files. */
const write = (page, names, documents, files = 0) => evaluateWithin(page, 'writing and ageing', async ([names, documents, files]) => {
  const { age, filesOf } = await import('/tests/page/opfs.mjs');
  await Promise.all(names.map(async name => {
    const db = await pumice.open(name, { storage: 'opfs', workerUrl: '/tests/page/hasty_worker.mjs' });
    const wanted = (await filesOf(name)).length + files;
    const feed = db.changes()[Symbol.asyncIterator]();
    feed.next();
    for (const key of documents) await db.collection('notes').put(key, key);
    while ((await filesOf(name)).length < wanted) {
      await db.collection('clock').put('round', wanted);
      await db.compact();
    }
    await age(db, 'clock');
    await db.close();
  }));
}, [names, documents, files]);

const read = (page, name) => evaluateWithin(page, `reading ${name}`, async name => {
  const db = await pumice.open(name, { storage: 'opfs' });
  return (await db.collection('notes').getAll()).map(([key]) => key);
}, name).catch(error => error.message);

describe('a list of files that ends in', { concurrency: true }, () => {
  for (const [what, tear] of Object.entries(TEARS)) {
    test(`${what} costs no file that is made behind it`, { timeout: PATIENCE * 4 }, async () => {
      const profile = await newProfile();
      let browser = await startChromium({ profile });
      await write(await openTab(browser, server), ['old'], ['a']);
      await browser.close();
      await tearIndex(profile, tear);
      equal(await tornIndex(profile), what === 'zeros');
      browser = await startChromium({ profile });
      await write(await openTab(browser, server), ['old', 'new'], ['b'], MAKE_FILES);
      await browser.close();
      browser = await startChromium({ profile });
      const page = await openTab(browser, server);
      same([await read(page, 'old'), await read(page, 'new')], [['a', 'b'], ['b']]);
      const left = await page.evaluate(async () => Array.fromAsync((await navigator.storage.getDirectory()).keys()));
      same(left.sort(), ['new', 'old'], 'nothing else is left there');
      await browser.close();
      await rm(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
    });
  }
});
