/** The contract of the public API, each case on each storage, in a real page. */

import { after, before, describe, test } from 'node:test';
import { readdir } from 'node:fs/promises';
import { startChromium } from './harness/chromium.mjs';
import { PATIENCE } from './harness/patience.mjs';
import { serve } from './harness/server.mjs';
import { openTab } from './harness/tab.mjs';

const STORAGES = ['opfs', 'indexeddb', 'memory'];
const folder = new URL('cases/', import.meta.url);

/** Each case on each storage runs in a page of the same browser. */
let server;
let browser;

before(async () => {
  server = await serve();
  browser = await startChromium();
});

after(async () => {
  await browser?.close();
  await server?.close();
});

for (const module of (await readdir(folder)).sort()) {
  const cases = Object.keys(await import(new URL(module, folder)));
  for (const storage of STORAGES) {
    describe(`${module.replace('.mjs', '')}, ${storage}`, () => {
      let page;
      before(async () => { page = await openTab(browser, server); });
      after(async () => { await page?.close(); });
      for (const name of cases) {
        test(name, { timeout: PATIENCE }, () => page.evaluate(args => window.runCase(...args), [module, name, storage]));
      }
    });
  }
}
