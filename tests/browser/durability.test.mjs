/** What was acknowledged is there after a reload, a restart and SIGKILLs of the whole browser while it writes.
 *
 *  But for one thing: a kill may cut off a record in the log of Chromium's IndexedDB, which Chromium then writes on behind, and
 *  throws away with all that was committed. The log is read after every kill, and what a database in IndexedDB loses by such a
 *  record, and only by one, is counted apart. A database in OPFS must stand that. */

import { after, afterEach, before, describe, test } from 'node:test';
import { ok, strictEqual as equal } from 'node:assert';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { killAll, newProfile, startChromium } from './harness/chromium.mjs';
import { PATIENCE } from './harness/patience.mjs';
import { keep, SOAK } from './harness/figures.mjs';
import { cutLogs, goesOn } from './harness/leveldb.mjs';
import { serve } from './harness/server.mjs';
import { openTab, ready } from './harness/tab.mjs';
import { acknowledged, judgeIn, startWork } from './harness/workers.mjs';

const KILLS = SOAK ? 200 : 12;

let server;
before(async () => { server = await serve(); });
after(() => server?.close());
afterEach(killAll);

/** What Chromium throws away when it takes a log of its own for damaged, as a power cut may leave one. */
describe('a database in OPFS that is seconds old', () => {
  const folders = async profile => {
    const inDefault = join(profile, 'Default');
    const buckets = (await readdir(join(inDefault, 'WebStorage'), { withFileTypes: true })).filter(entry => entry.isDirectory());
    return {
      indexedDb: join(inDefault, 'IndexedDB'),
      opfs: join(inDefault, 'File System'),
      buckets: buckets.map(({ name }) => join(inDefault, 'WebStorage', name)),
    };
  };
  const losses = {
    'the IndexedDB of its origin': ({ indexedDb }) => [indexedDb],
    'one bucket, and the names of its files': ({ opfs, buckets }) => [opfs, buckets[0]],
    'the other one, the names of its files, and the IndexedDB of its origin': ({ indexedDb, opfs, buckets }) => [indexedDb, opfs, buckets[1]],
  };
  // Chromium deletes a store whose log is damaged, and does not open one whose files it cannot read.
  const remove = folder => rm(folder, { recursive: true });
  const lock = async folder => {
    const names = await readdir(folder, { recursive: true });
    const current = names.filter(name => basename(name) === 'CURRENT' && name.includes('.leveldb')).map(name => join(folder, name));
    ok(current.length > 0, `an IndexedDB in ${folder}`);
    for (const file of current) {
      await rm(file);
      await mkdir(file);
    }
  };
  const cases = [
    ...Object.entries(losses).map(([what, choose]) => [`is whole without ${what}`, choose, remove]),
    ['is whole where the IndexedDB of its origin cannot be opened', ({ indexedDb }) => [indexedDb], lock],
    ['is whole where one bucket cannot be opened', ({ buckets }) => [join(buckets[0], 'IndexedDB')], lock],
    ['is whole where neither the IndexedDB of its origin nor the other bucket can be opened',
      ({ indexedDb, buckets }) => [indexedDb, join(buckets[1], 'IndexedDB')], lock],
  ];
  for (const [what, choose, harm] of cases) {
    test(what, { timeout: PATIENCE * 2 }, async () => {
      const profile = await newProfile();
      let browser = await startChromium({ profile });
      const channel = encodeURIComponent(what);
      await startWork(await openTab(browser, server), { database: 'new', storage: 'opfs', channel });
      while (acknowledged(server, channel) < 120) await sleep(5);
      await browser.kill();
      const there = await folders(profile);
      equal(there.buckets.length, 2, 'the journal is in two buckets');
      for (const folder of choose(there)) await harm(folder);
      let heard = acknowledged(server, channel);
      for (let round = 0; round < 3; round += 1) {
        browser = await startChromium({ profile });
        const page = await openTab(browser, server);
        const { verdict, operations, error } = await judgeIn(page, { database: 'new', storage: 'opfs', acknowledged: heard });
        equal(verdict, 'intact', error);
        if (round === 1) {
          await startWork(page, { database: 'new', storage: 'opfs', channel: `${channel}-on`, from: operations });
          while (acknowledged(server, `${channel}-on`) < operations + 40) await sleep(5);
        }
        await browser.kill();
        heard = Math.max(operations, acknowledged(server, `${channel}-on`));
      }
      await rm(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
    });
  }
});

for (const storage of ['opfs', 'indexeddb']) {
  describe(storage, () => {
    let profile;
    before(async () => { profile = await newProfile(); });
    after(() => rm(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 }));

    test('documents are there after a reload and after a restart', { timeout: PATIENCE * 2 }, async () => {
      let browser = await startChromium({ profile });
      const count = page => page.evaluate(async storage => {
        window.db = await pumice.open('kept', { storage });
        return window.db.collection('notes').count();
      }, storage);
      const put = page => page.evaluate(async () => {
        const notes = window.db.collection('notes');
        await notes.put(`n${await notes.count()}`, 'text');
      });
      let page = await openTab(browser, server);
      for (let round = 0; round < 3; round += 1) {
        equal(await count(page), round);
        await put(page);
        await page.reload();
        await ready(page);
      }
      await browser.close();
      browser = await startChromium({ profile });
      page = await openTab(browser, server);
      equal(await count(page), 3);
      equal(await page.evaluate(async () => (await window.db.status()).recovered), undefined);
      await browser.close();
    });

    test(`${KILLS} kills of the browser lose nothing`, { timeout: PATIENCE * KILLS }, async () => {
      const database = 'killed';
      const figures = { kills: 0, acknowledged: 0, lost: 0, wrong: 0, refused: 0, lostByBrowser: 0 };
      let [operations, channel] = [0, undefined];
      let [cut, thrownAway] = [[], false];
      for (let number = 0; number <= KILLS; number += 1) {
        if (await goesOn(cut)) [cut, thrownAway] = [[], true];
        const browser = await startChromium({ profile });
        const page = await openTab(browser, server);
        const heard = Math.max(operations, acknowledged(server, channel));
        figures.acknowledged += heard - operations;
        // Every third time before anything is read, so that kills meet recovery too.
        if (number % 3 !== 1 || number === KILLS) {
          const { verdict, operations: found, error } = await judgeIn(page, { database, storage, acknowledged: heard });
          if (verdict !== 'intact') {
            const byBrowser = thrownAway && verdict === 'lost' && found === 0;
            figures[byBrowser ? 'lostByBrowser' : verdict] += 1;
            console.error(`kill ${number}: ${verdict}, ${heard} acknowledged, ${found} found${byBrowser ? ', thrown away by Chromium' : ''}: ${error ?? ''}`);
          }
          [operations, thrownAway] = [found, false];
          channel = `${storage}-${number}`;
          await startWork(page, { database, storage, channel, from: operations });
        } else {
          page.evaluate(args => pumice.open(...args), [database, { storage }]).catch(() => {});
        }
        if (number === KILLS) {
          await browser.close();
          break;
        }
        await sleep(Math.random() * 700);
        await browser.kill();
        figures.kills += 1;
        if (storage === 'indexeddb' && cut.length === 0) cut = await cutLogs(profile);
      }
      keep(`browser-kills-${storage}`, figures);
      ok(figures.acknowledged > KILLS * 20, `only ${figures.acknowledged} operations`);
      equal(figures.lost + figures.wrong + figures.refused, 0);
    });

    test('buffered writes are on disk within the interval, and after sync()', { timeout: PATIENCE }, async () => {
      let browser = await startChromium({ profile });
      let page = await openTab(browser, server);
      await page.evaluate(async ([storage, channel]) => {
        const db = await pumice.open('buffered', { storage, durability: 'buffered', flushInterval: 50 });
        const [timed, synced] = [db.collection('timed'), db.collection('synced')];
        window.told = window.teller(channel);
        for (let number = 0; number < 100; number += 1) await timed.put(`k${number}`, number);
        // A feed gives what is durable: long after the interval, that is the last one.
        for await (const { key } of db.changes({ after: 0 })) if (key === 'k99') break;
        const late = await pumice.open('late', { storage, durability: 'buffered', flushInterval: 3_600_000 });
        for (let number = 0; number < 100; number += 1) await late.collection('synced').put(`k${number}`, number);
        await late.sync();
        await synced.put('last', 1);
        window.told.tell('synced');
      }, [storage, `${storage}-buffered`]);
      while (server.told(`${storage}-buffered`).length === 0) await sleep(5);
      await browser.kill();
      browser = await startChromium({ profile });
      page = await openTab(browser, server);
      const counts = await page.evaluate(async storage => {
        const [buffered, late] = await Promise.all([pumice.open('buffered', { storage }), pumice.open('late', { storage })]);
        return [await buffered.collection('timed').count(), await late.collection('synced').count()];
      }, storage);
      equal(String(counts), '100,100');
      await browser.close();
    });
  });
}
