/** What is under way when the leader changes: iterations, buffered writes; and leaders that are hard to find. */

import { after, before, describe, test } from 'node:test';
import { deepStrictEqual as equal, ok } from 'node:assert';
import { startChromium } from './harness/chromium.mjs';
import { PATIENCE } from './harness/patience.mjs';
import { serve } from './harness/server.mjs';
import { crash, endWorkers, openTab } from './harness/tab.mjs';

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

const join = async (name, options) => {
  const page = await openTab(browser, server);
  await page.evaluate(async args => { window.db = await pumice.open(...args); }, [name, options]);
  return page;
};
const leads = page => page.evaluate(async () => (await window.db.status()).leader);
const put = (page, key, value) => page.evaluate(args => window.db.collection('notes').put(...args), [key, value]);

for (const storage of ['opfs', 'indexeddb']) {
  describe(storage, () => {
    test('buffered writes of a tab outlive the leader', { timeout: PATIENCE }, async () => {
      const name = `buffered-${storage}`;
      // Nothing becomes durable by itself.
      const leader = await join(name, { storage, flushInterval: 3_600_000 });
      const page = await join(name, { storage, durability: 'buffered', flushInterval: 3_600_000 });
      const count = await page.evaluate(async () => {
        const notes = window.db.collection('notes');
        window.numbers = [];
        for (let number = 0; number < 200; number += 1) window.numbers.push(await notes.put(`k${String(number).padStart(3, '0')}`, number));
        await notes.delete('k000');
        return window.numbers.length;
      });
      await crash(leader);
      await page.evaluate(() => window.db.sync());
      ok(await leads(page));
      // Whatever had become durable before and whatever is written again: each once, in order.
      const changes = await page.evaluate(() => take(window.db.changes({ after: 0 }), 201));
      equal(changes.map(({ type, key }) => `${type} ${key}`), [
        ...Array.from({ length: count }, (_, number) => `put k${String(number).padStart(3, '0')}`), 'delete k000',
      ]);
      await page.close();
      await leader.close();
    });

    test('getAll over changes of leader gives all of one moment', { timeout: PATIENCE }, async () => {
      const name = `all-${storage}`;
      const page = await join(name, { storage });
      await page.evaluate(async () => {
        const entries = Array.from({ length: 20_000 }, (_, number) => [`k${String(number).padStart(5, '0')}`, { number, text: 'x'.repeat(400) }]);
        await window.db.collection('many').putMany(entries);
        window.expected = JSON.stringify(entries);
        window.rounds = { done: 0, same: 0 };
        window.stop = false;
        window.running = (async () => {
          while (!window.stop) {
            const found = JSON.stringify(await window.db.collection('many').getAll());
            window.rounds.done += 1;
            window.rounds.same += found === window.expected ? 1 : 0;
          }
        })();
      });
      for (let times = 0; times < 4; times += 1) {
        await page.waitForTimeout(150);
        equal(await endWorkers(page), 1);
        await page.waitForFunction(seen => window.rounds.done > seen, await page.evaluate(() => window.rounds.done));
      }
      await page.evaluate(() => { window.stop = true; return window.running; });
      const { done, same } = await page.evaluate(() => window.rounds);
      ok(done >= 4);
      equal(same, done);
      await page.close();
    });

    for (const [what, wrote] of [['goes on when nothing was written', false], ['is told that its view is gone otherwise', true]]) {
      test(`an iteration over a change of leader ${what}`, { timeout: PATIENCE }, async () => {
        const name = `iterate-${storage}-${wrote}`;
        const [leader, page] = [await join(name, { storage }), await join(name, { storage })];
        await page.evaluate(() => window.db.collection('many').putMany(
          Array.from({ length: 5000 }, (_, number) => [`k${String(number).padStart(5, '0')}`, { number, text: 'x'.repeat(200) }])));
        for (const reverse of [false, true]) {
          await page.evaluate(async reverse => {
            window.iterator = window.db.collection('many').entries({ reverse, limit: 4990 })[Symbol.asyncIterator]();
            window.found = [(await window.iterator.next()).value];
          }, reverse);
          if (reverse) await endWorkers(page);
          else await leader.close();
          if (wrote) await put(page, `k${reverse}`, 1);
          const outcome = await page.evaluate(async () => {
            try {
              for (;;) {
                const { value, done } = await window.iterator.next();
                if (done) return 'done';
                window.found.push(value);
              }
            } catch (error) {
              return error.code;
            }
          });
          const numbers = await page.evaluate(() => window.found.map(([, { number }]) => number));
          const place = index => (reverse ? 4999 - index : index);
          ok(numbers.every((number, index) => number === place(index)), 'in order, each once');
          if (wrote) equal(outcome, 'not-found');
          else equal([outcome, numbers.length], ['done', 4990]);
        }
        await page.close();
      });
    }

    test('a subscription is told all that is there after an import', { timeout: PATIENCE }, async () => {
      const name = `import-${storage}`;
      const [leader, page] = [await join(name, { storage }), await join(name, { storage })];
      await page.evaluate(async storage => {
        const other = await pumice.open(`imported ${storage}`, { storage });
        await other.collection('notes').putMany([['a1', 'new'], ['a2', 'new'], ['b1', 'new']]);
        window.file = await other.exportSnapshot();
        await other.close();
        const notes = window.db.collection('notes');
        await notes.putMany([['a1', 'old'], ['a9', 'old']]);
        window.told = [[], []];
        const into = list => changes => list.push(...changes.map(({ type, key, document }) => [type, key, document]));
        notes.subscribe(into(window.told[0]));
        notes.subscribe({ prefix: 'a', limit: 1 }, into(window.told[1]));
        await notes.put('a3', 'old');
      }, storage);
      await page.waitForFunction(() => window.told.every(list => list.length === 1));
      await page.evaluate(() => window.db.importSnapshot(window.file));
      await page.waitForFunction(() => window.told.every(list => list.length > 2));
      await put(leader, 'a4', 'newer');
      await page.waitForFunction(() => window.told.every(list => list.at(-1)[1] === 'a4'));
      const there = [['drop', null, null], ['put', 'a1', 'new'], ['put', 'a2', 'new'], ['put', 'b1', 'new']];
      const told = list => [['put', 'a3', 'old'], ...list, ['put', 'a4', 'newer']];
      const heard = await page.evaluate(() => window.told.map(list => list.map(change => change.map(part => part ?? null))));
      equal(heard, [told(there), told(there.slice(0, 3))]);
      await Promise.all([leader.close(), page.close()]);
    });

    test('tabs that open at the same moment agree on one leader', { timeout: PATIENCE }, async () => {
      const name = `together-${storage}`;
      const pages = await Promise.all(Array.from({ length: 6 }, () => openTab(browser, server)));
      await Promise.all(pages.map((page, number) => page.evaluate(async ([name, storage, number]) => {
        window.db = await pumice.open(name, { storage });
        await window.db.collection('notes').put(`n${number}`, number);
      }, [name, storage, number])));
      equal((await Promise.all(pages.map(leads))).filter(Boolean).length, 1);
      for (const page of pages) equal(await page.evaluate(() => window.db.collection('notes').count()), 6);
      await Promise.all(pages.map(page => page.close()));
    });
  });
}

test('a leader whose page is busy serves the others', { timeout: PATIENCE }, async () => {
  const [leader, page] = [await join('busy', { storage: 'opfs' }), await join('busy', { storage: 'opfs' })];
  const blocked = leader.evaluate(() => {
    const end = performance.now() + 8_000;
    while (performance.now() < end);
    return performance.now();
  });
  const begun = Date.now();
  for (let number = 0; number < 10; number += 1) await put(page, `n${number}`, number);
  ok(Date.now() - begun < 6_000, 'while it was busy');
  await blocked;
  ok(await leads(leader));
  await Promise.all([leader.close(), page.close()]);
});

test('a lock whose holder never answers is taken', { timeout: PATIENCE * 2 }, async () => {
  const [holder, page] = [await openTab(browser, server), await openTab(browser, server)];
  await holder.evaluate(() => new Promise(resolve => {
    navigator.locks.request('pumice:silent', () => { resolve(); return new Promise(() => {}); }).catch(error => { window.stolen = error.name; });
  }));
  const took = await page.evaluate(async () => {
    const begun = performance.now();
    window.db = await pumice.open('silent', { storage: 'memory' });
    await window.db.collection('c').put('a', 1);
    return performance.now() - begun;
  });
  ok(took > 5_000 && took < 50_000, `${took} ms`);
  equal(await holder.evaluate(() => window.stolen), 'AbortError');
  await Promise.all([holder.close(), page.close()]);
});

test('a database can be deleted as soon as its last tab is gone', { timeout: PATIENCE }, async () => {
  const page = await openTab(browser, server);
  for (const end of ['close', 'leave']) {
    const other = await join('deleted', { storage: 'opfs' });
    await put(other, 'a', 1);
    equal(await page.evaluate(() => pumice.deleteDatabase('deleted').catch(error => error.code)), 'busy');
    if (end === 'close') await other.close();
    else {
      await other.evaluate(() => { location.href = '/other'; });
      await other.waitForFunction(() => document.title === 'Other');
    }
    await page.evaluate(() => pumice.deleteDatabase('deleted'));
    equal(await page.evaluate(async () => (await pumice.listDatabases()).includes('deleted')), false);
  }
  const again = page.evaluate(async () => {
    const db = await pumice.open('deleted', { storage: 'opfs' });
    const empty = await db.collections();
    void db.close();
    await pumice.deleteDatabase('deleted');
    return empty;
  });
  equal(await again, [], 'also while it is being closed');
  await page.close();
});
