/** Many tabs on one database: one leads, and whatever becomes of it, no acknowledged write is lost, none is done twice, and no
 *  change is missed or told twice. */

import { after, before, describe, test } from 'node:test';
import { deepStrictEqual as equal, ok } from 'node:assert';
import { setTimeout as sleep } from 'node:timers/promises';
import { startChromium } from './harness/chromium.mjs';
import { PATIENCE } from './harness/patience.mjs';
import { keep, SOAK } from './harness/figures.mjs';
import { serve } from './harness/server.mjs';
import { crash, endWorkers, openTab } from './harness/tab.mjs';

const STORAGES = ['opfs', 'indexeddb'];
const ROUNDS = SOAK ? 400 : 25;

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

/** A new tab with `window.db` open. */
const join = async (name, storage) => {
  const page = await openTab(browser, server);
  await page.evaluate(async ([name, storage]) => { window.db = await pumice.open(name, { storage }); }, [name, storage]);
  return page;
};
const leads = page => page.evaluate(async () => (await window.db.status()).leader);
const put = (page, key, value) => page.evaluate(args => window.db.collection('notes').put(...args), [key, value]);
const get = (page, key) => page.evaluate(key => window.db.collection('notes').get(key), key);
const leave = pages => Promise.all(pages.map(page => page.close()));
const leaderOf = async pages => {
  const flags = await Promise.all(pages.map(leads));
  equal(flags.filter(Boolean).length, 1, 'one leads');
  return flags.indexOf(true);
};

/** Keeps the tab's worker from ever doing anything else. Not within the call: what a debugger runs cannot be terminated. */
const loop = async page => {
  await page.workers()[0].evaluate(() => { setTimeout(() => { for (;;); }); });
  await sleep(300);
};

/** Begins to write in a tab. */
const work = (page, tab, channel) => page.evaluate(async ([tab, channel]) => {
  const { write } = await import('/tests/page/tabs.mjs');
  window.working = write(window.db, tab, window.teller(channel));
}, [tab, channel]);
const finish = page => page.evaluate(() => { window.enough = true; return window.working; });
const watch = page => page.evaluate(async () => (await import('/tests/page/tabs.mjs')).watch(window.db));
const history = page => page.evaluate(async () => (await import('/tests/page/tabs.mjs')).history(window.db));

/** Compares what was acknowledged on `channel`, what a watching tab saw and what is there. Returns how much was acknowledged. */
const judge = async (page, channel) => {
  const { error, found, keys } = await history(page);
  equal(error, undefined, 'the feed');
  const told = server.told(channel);
  equal(told.filter(thing => thing.failed), [], 'no write failed');
  const puts = found.filter(line => line.includes(' put '));
  const byKey = new Map();
  for (const line of puts) {
    const [sequence, , , key] = line.split(' ');
    ok(!byKey.has(key), `${key} was written once`);
    byKey.set(key, Number(sequence));
  }
  for (const [key, sequence] of told) {
    ok(byKey.has(key), `${key} was acknowledged`);
    // A write of several resolves to its last number; its first key is the one that is told.
    ok(byKey.get(key) <= sequence && sequence <= byKey.get(key) + 3, `${key} has the number ${sequence}: ${byKey.get(key)}`);
  }
  const there = new Set();
  for (const line of found) {
    const [, type, collection, key] = line.split(' ');
    there[type === 'put' ? 'add' : 'delete'](`${collection} ${key}`);
  }
  equal(keys.toSorted(), [...there].toSorted(), 'what is there is what was told');
  const notes = found.filter(line => line.split(' ')[2] === 'notes');
  await page.waitForFunction(last => window.seen.includes(last), notes.at(-1));
  equal(await page.evaluate(() => window.seen), notes, 'the subscription');
  return told.length;
};

for (const storage of STORAGES) {
  describe(storage, { timeout: PATIENCE * 10 }, () => {
    test('one leads, and all see what any writes', { timeout: PATIENCE }, async () => {
      const name = `share-${storage}`;
      const pages = [];
      for (let number = 0; number < 4; number += 1) pages.push(await join(name, storage));
      equal(await leaderOf(pages), 0);
      for (const [number, page] of pages.entries()) {
        await put(page, `n${number}`, { number });
        for (const other of pages) equal(await get(other, `n${number}`), { number });
      }
      const batches = await pages[2].evaluate(async () => {
        const notes = window.db.collection('notes');
        const entries = [];
        for await (const [key] of notes.entries({ reverse: true })) entries.push(key);
        return [entries, await notes.getAll({ from: 'n1', limit: 2 }), await notes.count(), await window.db.collections()];
      });
      equal(batches, [['n3', 'n2', 'n1', 'n0'], [['n1', { number: 1 }], ['n2', { number: 2 }]], 4, ['notes']]);
      await leave(pages);
    });

    test('a subscription is in effect at once, for writes of all tabs', { timeout: PATIENCE }, async () => {
      const name = `subscribe-${storage}`;
      const [one, two, three] = [await join(name, storage), await join(name, storage), await join(name, storage)];
      await put(one, 'before', 0);
      for (const [number, page] of [one, two, three].entries()) {
        await page.evaluate(() => {
          window.keys = [];
          window.db.collection('notes').subscribe(changes => window.keys.push(...changes.map(({ key }) => key)));
        });
        await put([two, three, one][number], `after ${number}`, number);
        await page.waitForFunction(() => window.keys.length > 0);
        equal((await page.evaluate(() => window.keys))[0], `after ${number}`);
      }
      await leave([one, two, three]);
    });

    const ends = {
      'is closed': async page => { await page.evaluate(() => { void window.db.close(); }); },
      'goes away': page => page.close(),
      'crashes': page => crash(page),
      'loses its worker': page => endWorkers(page),
    };
    for (const [end, act] of Object.entries(ends)) {
      test(`nothing is lost or done twice when the leader ${end}`, { timeout: PATIENCE }, async () => {
        const name = `${end.replaceAll(' ', '-')}-${storage}`;
        const pages = [await join(name, storage), await join(name, storage), await join(name, storage)];
        const leader = pages[await leaderOf(pages)];
        const others = pages.filter(page => page !== leader);
        await watch(others[1]);
        for (const [number, page] of others.entries()) await work(page, `tab${number}`, name);
        await sleep(300);
        const begun = Date.now();
        await act(leader);
        const heard = server.told(name).length;
        while (server.told(name).length < heard + 20) await sleep(5);
        const took = Date.now() - begun;
        await sleep(300);
        await Promise.all(others.map(finish));
        const acknowledged = await judge(others[1], name);
        keep(`tabs-leader-${name}`, { acknowledged, took });
        ok(took < 10_000, `the next one led after ${took} ms`);
        await leave(pages);
      });
    }

    test('a leader that says nothing is deposed', { timeout: PATIENCE * 2 }, async () => {
      const name = `mute-${storage}`;
      const pages = [await join(name, storage), await join(name, storage), await join(name, storage)];
      await put(pages[1], 'before', 1);
      await loop(pages[0]);
      const begun = Date.now();
      const outcomes = await Promise.all([put(pages[1], 'during', 2), put(pages[2], 'meanwhile', 3)]);
      const took = Date.now() - begun;
      ok(outcomes.every(Number.isSafeInteger), String(outcomes));
      for (const page of pages) equal(await get(page, 'before'), 1);
      await put(pages[0], 'after', 4);
      ok(await leaderOf(pages) > 0, 'another one leads');
      keep(`tabs-mute-${storage}`, { took });
      ok(took > 8_000 && took < 50_000, `deposed after ${took} ms`);
      await leave(pages);
    });

    test('a leader whose own calls get no answer replaces its worker', { timeout: PATIENCE * 2 }, async () => {
      const name = `stuck-${storage}`;
      const page = await join(name, storage);
      await put(page, 'before', 1);
      await loop(page);
      await put(page, 'during', 2);
      equal([await get(page, 'before'), await get(page, 'during')], [1, 2]);
      await leave([page]);
    });

    test(`tabs come and go ${ROUNDS} times while all write`, { timeout: PATIENCE * 2 + ROUNDS * 5_000 }, async () => {
      const name = `random-${storage}`;
      const figures = { tabs: 0, closed: 0, gone: 0, crashed: 0, workers: 0, acknowledged: 0 };
      const observer = await join(name, storage);
      await watch(observer);
      let pages = [];
      for (let round = 0; round < ROUNDS; round += 1) {
        while (pages.length < 4) {
          const page = await join(name, storage);
          await work(page, `tab${figures.tabs}`, name);
          figures.tabs += 1;
          pages.push(page);
        }
        await sleep(Math.random() * 200);
        const page = pages[Math.floor(Math.random() * pages.length)];
        const chance = Math.random();
        if (chance < 0.25) {
          // The observer leads too, and then loses its worker like any other.
          const [leader = observer] = (await Promise.all(pages.map(async page => await leads(page) ? page : undefined))).filter(Boolean);
          figures.workers += await endWorkers(leader);
          continue;
        }
        pages = pages.filter(other => other !== page);
        if (chance < 0.5) {
          await finish(page);
          await page.evaluate(() => window.db.close());
          figures.closed += 1;
          await page.close();
        } else if (chance < 0.75) {
          figures.gone += 1;
          await page.close();
        } else {
          figures.crashed += 1;
          await crash(page);
          await page.close();
        }
      }
      await Promise.all(pages.map(finish));
      figures.acknowledged = await judge(observer, name);
      keep(`tabs-random-${storage}`, figures);
      await leave([...pages, observer]);
    });
  });
}
