/** Tabs that sleep and wake, and tabs of another version: a sleeping tab keeps nothing from the others, and versions that do not
 *  understand each other say so. */

import { after, before, describe, test } from 'node:test';
import { deepStrictEqual as equal, ok } from 'node:assert';
import { startChromium } from './harness/chromium.mjs';
import { PATIENCE } from './harness/patience.mjs';
import { serve } from './harness/server.mjs';
import { openTab } from './harness/tab.mjs';

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

const join = async (name, storage) => {
  const page = await openTab(browser, server);
  await page.evaluate(async ([name, storage]) => { window.db = await pumice.open(name, { storage }); }, [name, storage]);
  return page;
};
const leads = page => page.evaluate(async () => (await window.db.status()).leader);
const put = (page, key, value, options) =>
  page.evaluate(args => window.db.collection('notes').put(...args), [key, value, options]);
const all = page => page.evaluate(() => window.db.collection('notes').getAll());
const visitOther = async page => {
  await page.evaluate(() => { location.href = '/other'; });
  await page.waitForFunction(() => document.title === 'Other');
};
const subscribe = page => page.evaluate(() => {
  window.keys = [];
  window.db.collection('notes').subscribe(changes => window.keys.push(...changes.map(({ key }) => key)));
});

for (const storage of ['opfs', 'indexeddb']) {
  describe(storage, () => {
    test('a page in the back/forward cache misses nothing', { timeout: PATIENCE }, async () => {
      const [two, one] = [await join(`cached-${storage}`, storage), await join(`cached-${storage}`, storage)];
      await subscribe(one);
      await put(one, 'a', 1);
      await one.waitForFunction(() => window.keys.length === 1);
      await one.evaluate(() => {
        addEventListener('pageshow', event => { window.wasCached = event.persisted; });
        // Neither is waited for: what was asked before the page went away is done, now or when it is back.
        window.buffered = window.db.collection('notes').put('b', 2, { durability: 'buffered' });
        window.awaited = window.db.collection('notes').put('c', 3);
      });
      await visitOther(one);
      await put(two, 'd', 4);
      await one.evaluate(() => { history.back(); });
      await one.waitForFunction(() => window.wasCached !== undefined);
      ok(await one.evaluate(() => window.wasCached), 'it was kept');
      equal(await one.evaluate(async () => [await window.buffered > 0, await window.awaited > 0]), [true, true]);
      await put(one, 'e', 5);
      const notes = [['a', 1], ['b', 2], ['c', 3], ['d', 4], ['e', 5]];
      for (const page of [one, two]) equal(await all(page), notes);
      await one.waitForFunction(() => window.keys.length >= 5);
      equal((await one.evaluate(() => window.keys)).toSorted(), ['a', 'b', 'c', 'd', 'e'], 'nothing was missed, or told twice');
      await two.close();
      await put(one, 'f', 6);
      ok(await leads(one), 'it leads when the other one is gone');
      await one.close();
    });

    test('a leader whose page is left gives the database to the others', { timeout: PATIENCE }, async () => {
      const [one, two] = [await join(`left-${storage}`, storage), await join(`left-${storage}`, storage)];
      ok(await leads(one));
      await put(one, 'a', 1);
      await one.evaluate(() => {
        addEventListener('pageshow', event => { window.wasCached = event.persisted; });
        window.leaving = Promise.all([1, 2, 3].map(n => window.db.collection('notes').put(`left ${n}`, n, { durability: 'buffered' })));
      });
      await visitOther(one);
      await put(two, 'b', 2);
      ok(await leads(two), 'the other one has taken over');
      await one.evaluate(() => { history.back(); });
      await one.waitForFunction(() => window.wasCached !== undefined);
      ok(await one.evaluate(() => window.wasCached), 'it was kept');
      await one.evaluate(() => window.leaving);
      await one.evaluate(() => window.db.sync());
      await put(one, 'c', 3);
      for (const page of [one, two]) {
        equal(await all(page), [['a', 1], ['b', 2], ['c', 3], ['left 1', 1], ['left 2', 2], ['left 3', 3]]);
      }
      await Promise.all([one.close(), two.close()]);
    });

    test('a leader that is about to be frozen lets go, and comes back', { timeout: PATIENCE }, async () => {
      const [one, two] = [await join(`frozen-${storage}`, storage), await join(`frozen-${storage}`, storage)];
      await put(one, 'a', 1);
      await subscribe(one);
      // A visible page cannot be frozen, and a page without a screen is always visible: this is what it would be told.
      await one.evaluate(() => document.dispatchEvent(new Event('freeze')));
      await put(two, 'b', 2);
      ok(await leads(two));
      await one.evaluate(() => document.dispatchEvent(new Event('resume')));
      await put(one, 'c', 3);
      equal(await all(one), [['a', 1], ['b', 2], ['c', 3]]);
      await one.waitForFunction(() => window.keys.length >= 2);
      equal(await one.evaluate(() => window.keys), ['b', 'c']);
      await Promise.all([one.close(), two.close()]);
    });

    test('a subscription without news outlives a compaction and a change of leader', { timeout: PATIENCE }, async () => {
      const [one, two] = [await join(`quiet-${storage}`, storage), await join(`quiet-${storage}`, storage)];
      ok(await leads(one));
      const failures = [];
      two.on('pageerror', error => failures.push(error.message));
      await subscribe(two);
      await one.evaluate(async () => {
        for (let number = 0; number < 3; number += 1) {
          await window.db.collection('others').put(`k${number}`, { number });
          await window.db.compact();
        }
      });
      await one.close();
      await put(two, 'a', 1);
      ok(await leads(two));
      await two.waitForFunction(() => window.keys.length > 0);
      equal(await two.evaluate(() => window.keys), ['a']);
      equal(failures, []);
      await two.close();
    });

    test('what was buffered when the page went away is there', { timeout: PATIENCE }, async () => {
      let page = await join(`away-${storage}`, storage);
      await page.evaluate(async () => {
        await window.db.collection('notes').put('a', 1, { durability: 'buffered' });
        location.href = '/other';
      });
      await page.waitForFunction(() => document.title === 'Other');
      await page.close();
      page = await join(`away-${storage}`, storage);
      equal(await all(page), [['a', 1]]);
      await page.close();
    });
  });
}

test('a page that opens while it is being loaded joins once, and closing leaves nothing behind', { timeout: PATIENCE }, async () => {
  const page = await openTab(browser, server);
  const left = await page.evaluate(async () => {
    const opening = pumice.open('loading', { storage: 'memory' });
    // As it comes when loading ends, before or after the database is open.
    for (const wait of [0, 0, 20, 200]) {
      dispatchEvent(new PageTransitionEvent('pageshow', { persisted: false }));
      await new Promise(resolve => { setTimeout(resolve, wait); });
    }
    const db = await opening;
    const sleeping = db.collection('c').put('a', 1);
    document.dispatchEvent(new Event('freeze'));
    document.dispatchEvent(new Event('resume'));
    document.dispatchEvent(new Event('freeze'));
    dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }));
    await sleeping;
    await db.close();
    for (;;) {
      // A worker that was ended lets its locks go a moment later.
      const { held, pending } = await navigator.locks.query();
      if (![...held, ...pending].some(({ name }) => name.startsWith('pumice:loading'))) return 'nothing';
      await new Promise(resolve => { setTimeout(resolve, 20); });
    }
  });
  equal(left, 'nothing');
  await page.close();
});

describe('versions', () => {
  /** A leader of a version to come, as far as other tabs can tell. */
  const leadAsNewer = (page, name) => page.evaluate(name => new Promise(resolve => {
    navigator.locks.request(`pumice:${name}`, () => {
      const channel = new BroadcastChannel(`pumice:${name}`);
      const say = () => channel.postMessage({ type: 'leader', protocol: 1_000_000, version: '99.0.0', term: 'newer' });
      channel.onmessage = ({ data }) => { if (data.type === 'hello') say(); };
      say();
      resolve();
      return new Promise(release => { window.giveWay = () => { channel.close(); release(); }; });
    });
  }), name);

  test('a tab does not take part under a leader of another version', { timeout: PATIENCE }, async () => {
    const [newer, older] = [await openTab(browser, server), await openTab(browser, server)];
    await leadAsNewer(newer, 'versions');
    const opening = () => older.evaluate(() => pumice.open('versions', { storage: 'memory' })
      .then(db => db.close(), error => `${error.code}: ${error.message}`));
    const refused = await opening();
    ok(/^version: .*reload/.test(refused), refused);
    await newer.evaluate(() => window.giveWay());
    equal(await opening(), undefined, 'and opens when it is gone');
    await Promise.all([newer.close(), older.close()]);
  });

  test('calls are refused when such a one takes over', { timeout: PATIENCE }, async () => {
    const [first, second, newer] = [await join('taken', 'memory'), await join('taken', 'memory'), await openTab(browser, server)];
    const leading = leadAsNewer(newer, 'taken');
    // So that the newer one comes next.
    await second.evaluate(() => window.db.close());
    await newer.evaluate(async () => {
      while (!(await navigator.locks.query()).pending.some(({ name }) => name === 'pumice:taken')) await new Promise(setTimeout);
    });
    await second.evaluate(async () => { window.db = await pumice.open('taken', { storage: 'memory' }); });
    await first.close();
    await leading;
    const outcome = await second.evaluate(() => window.db.collection('c').put('a', 1).then(String, error => error.code));
    equal(outcome, 'version');
    await newer.close();
    equal(await second.evaluate(() => window.db.collection('c').put('a', 1)), 1, 'and goes on when it is gone');
    await second.close();
  });

  test('a leader answers tabs of other versions, so that they know', { timeout: PATIENCE }, async () => {
    const page = await join('answers', 'memory');
    const other = await openTab(browser, server);
    const told = await other.evaluate(() => new Promise(resolve => {
      const channel = new BroadcastChannel('pumice:answers');
      channel.onmessage = ({ data }) => resolve(data);
      channel.postMessage({ type: 'hello', protocol: 1_000_000, client: 'newer' });
    }));
    equal([told.type, typeof told.version], ['leader', 'string']);
    ok(told.protocol < 1_000_000);
    await Promise.all([page.close(), other.close()]);
  });
});
