// What the React hooks promise, in a real page with real React under StrictMode: `hooks(newContext, url)` adds its tests.
// They guard against what such hooks are known for: a change missed between first read and subscription, a subscription
// leaked or doubled, a render for nothing, an array that drifts from what the database holds.

import assert from 'node:assert/strict';
import { newPage } from './support/browser.js';

export async function hooks(t, browser, url) {
  const each = (name, run) => t.test(name, async () => {
    const context = await browser.newContext();
    const tab = async () => {
      const { page, check } = await newPage(context);
      await page.goto(url);
      await page.waitForFunction(() => window.ready);
      await page.evaluate(() => openNotes('hooks').then(() => undefined));
      return { page, check };
    };
    const { page, check } = await tab();
    await run(page, tab);
    check();
    await context.close();
  });
  const until = (page, name, predicate, argument) =>
    page.waitForFunction(
      ([name, source, argument]) => seen[name] && new Function('s', 'a', `return (${source})(s, a)`)(seen[name], argument),
      [name, String(predicate), argument],
    );

  await each('are loading, then show what is there, and follow writes of every tab', async (page, tab) => {
    await page.evaluate(() => notes.put('a', { n: 1 }));
    await page.evaluate(() => {
      mount('all', 'range');
      mount('a', 'document', 'a');
      mount('none', 'document', 'missing');
    });
    await until(page, 'all', s => s.data?.length === 1);
    await until(page, 'a', s => s.data?.n === 1);
    await until(page, 'none', s => !s.loading && s.data === undefined && s.error === undefined);

    const other = await tab();
    await other.page.evaluate(() => notes.put('b', { n: 2 }));
    await until(page, 'all', s => s.data.map(([key]) => key).join() === 'a,b');
    await other.page.evaluate(() => notes.delete('a'));
    await until(page, 'all', s => s.data.map(([key]) => key).join() === 'b');
    await until(page, 'a', s => s.data === undefined && !s.loading);
    await page.evaluate(() => notes.drop());
    await until(page, 'all', s => s.data.length === 0);
    other.check();
  });

  await each('share one subscription, and end it when the last component goes', async page => {
    await page.evaluate(() => {
      counting(notes);
      for (const name of ['one', 'two', 'three']) mount(name, 'range', { prefix: 'x' });
    });
    await until(page, 'three', s => !s.loading);
    assert.deepEqual(await page.evaluate(() => subscriptions), { now: 1, ever: 1 });
    assert.ok(await page.evaluate(() => seen.one.data === seen.three.data));
    await page.evaluate(() => { unmount('one'); unmount('two'); });
    await page.evaluate(() => notes.put('x1', 1));
    await until(page, 'three', s => s.data.length === 1);
    await page.evaluate(() => unmount('three'));
    await page.waitForFunction(() => subscriptions.now === 0);
    await page.evaluate(() => mount('three', 'range', { prefix: 'x' }));
    await page.waitForFunction(() => subscriptions.now === 1 && subscriptions.ever === 2);
  });

  await each('give the same object until something in it changes', async page => {
    await page.evaluate(() => notes.putMany([['a', 1], ['b', 2], ['c', 3]]));
    await page.evaluate(() => mount('first', 'range', { limit: 2 }));
    await until(page, 'first', s => s.data?.length === 2);
    const before = await page.evaluate(() => ({ versions: seen.first.versions, renders: seen.first.renders }));
    // Rendered again for another reason, with a range that only says the same.
    await page.evaluate(() => mount('first', 'range', { limit: 2 }));
    await page.waitForFunction(renders => seen.first.renders > renders, before.renders);
    // Behind the window, and of another collection.
    await page.evaluate(() => notes.put('d', 4).then(() => db.collection('other').put('a', 9)));
    await page.evaluate(() => notes.put('a', 5));
    await until(page, 'first', s => s.data[0][1] === 5);
    assert.equal(await page.evaluate(() => seen.first.versions), before.versions + 1);
  });

  await each('show another document at once when the key changes, never the former one', async page => {
    await page.evaluate(() => notes.putMany([['a', 'A'], ['b', 'B']]));
    await page.evaluate(() => mount('it', 'document', 'a'));
    await until(page, 'it', s => s.data === 'A');
    const shown = await page.evaluate(async () => {
      const shown = [];
      for (let i = 0; i < 20; i++) {
        const key = i % 2 ? 'a' : 'b';
        mount('it', 'document', key);
        while (seen.it.data !== key.toUpperCase()) {
          shown.push(seen.it.data ?? null);
          await new Promise(resolve => setTimeout(resolve));
        }
      }
      return shown;
    });
    assert.ok(shown.length > 0);
    await until(page, 'it', s => s.data === 'A');
  });

  await each('miss no change while they mount', async (page, tab) => {
    const writer = await tab();
    const writing = writer.page.evaluate(async () => {
      for (let i = 1; i <= 300; i++) await notes.put(`k${i % 7}`, i);
    });
    for (let i = 0; i < 30; i++) {
      await page.evaluate(i => {
        mount(`d${i}`, 'document', `k${i % 7}`);
        mount(`r${i}`, 'range', i % 3 ? { prefix: `k${i % 7}` } : undefined);
        if (i % 4 === 3) unmount(`d${i - 1}`);
      }, i);
    }
    await writing;
    await page.waitForFunction(async () => {
      const all = new Map(await notes.getAll());
      return Object.entries(seen).every(([name, s]) => {
        const i = Number(name.slice(1));
        if (name.startsWith('d')) return i % 4 === 2 || s.data === all.get(`k${i % 7}`);
        const expected = [...all].filter(([key]) => i % 3 === 0 || key === `k${i % 7}`);
        return JSON.stringify(s.data) === JSON.stringify(expected);
      });
    });
    writer.check();
  });

  await each('hold just what the range holds after random writes', async page => {
    const ranges = [
      {}, { limit: 3 }, { reverse: true }, { reverse: true, limit: 3 }, { prefix: 'b' }, { from: 'b' }, { to: 'b', limit: 2 },
      { from: 'a', to: 'c', reverse: true, limit: 4 }, { limit: 0 },
    ];
    await page.evaluate(ranges => ranges.forEach((range, i) => mount(`r${i}`, 'range', range)), ranges);
    // Keys whose order by UTF-16 is not that of the database are among them.
    const keys = ['a', 'a1', 'aa', 'b', 'b\u{1f600}', 'b\uffee', 'bé', 'c', '\u{10000}', '\ue000'];
    let seed = 1;
    const random = below => (seed = (seed * 48271) % 2147483647) % below;
    for (let round = 0; round < 25; round++) {
      const writes = Array.from({ length: 1 + random(6) }, () => ({ key: keys[random(keys.length)], kind: random(10), n: random(1e6) }));
      await page.evaluate(writes => db.batch(batch => {
        for (const { key, kind, n } of writes) {
          if (kind < 5) batch.put('notes', key, n);
          else if (kind < 9) batch.delete('notes', key);
          else batch.drop('notes');
        }
      }), writes);
      await page.waitForFunction(async ranges => {
        for (const [i, range] of ranges.entries()) {
          if (JSON.stringify(await notes.getAll(range)) !== JSON.stringify(seen[`r${i}`].data)) return false;
        }
        return true;
      }, ranges);
    }
  });

  await each('tell what cannot be read, and wait for a collection that is not there yet', async page => {
    await page.evaluate(() => {
      mount('bad', 'document', '');
      mount('worse', 'range', { limit: -1 });
      mount('later', 'range', undefined, null);
    });
    await until(page, 'bad', s => s.error === 'invalid-argument' && !s.loading);
    await until(page, 'worse', s => s.error === 'invalid-argument');
    assert.ok(await page.evaluate(() => seen.later.loading));
    await page.evaluate(() => mount('later', 'range'));
    await until(page, 'later', s => s.data?.length === 0);
  });
}
