/** Damage in the files of a database: a torn tail and trailing zeros cost nothing, anything else is reported and never guessed
 *  around. The files are edited where a browser keeps them. */

import { after, before, describe, test } from 'node:test';
import { deepStrictEqual as same, ok, strictEqual as equal } from 'node:assert';
import { startChromium } from './harness/chromium.mjs';
import { PATIENCE } from './harness/patience.mjs';
import { serve } from './harness/server.mjs';
import { crash, openTab } from './harness/tab.mjs';

const COUNT = 20;

let server;
let browser;
before(async () => { [server, browser] = await Promise.all([serve(), startChromium()]); });
after(async () => {
  await browser?.close();
  await server?.close();
});

/** Opens a database; gives what it holds and how its status is, or the error's code and message. */
const look = (page, name, storage) => page.evaluate(async ([name, storage]) => {
  try {
    window.db = await pumice.open(name, { storage });
    const status = await db.status();
    return { keys: (await db.collection('notes').getAll()).map(([key]) => key), recovered: status.recovered, healthy: status.healthy };
  } catch (error) {
    return { code: error.code ?? String(error), message: error.message };
  }
}, [name, storage]);

const written = Array.from({ length: COUNT }, (_, number) => `k${String(number).padStart(2, '0')}`);

/** A database whose files count as they are, left as a crash of its tab leaves it. */
async function crashed(name) {
  const page = await openTab(browser, server);
  await page.evaluate(async ([name, keys]) => {
    const { age } = await import('/tests/page/opfs.mjs');
    const db = await pumice.open(name, { storage: 'opfs', workerUrl: '/tests/page/hasty_worker.mjs' });
    await age(db, 'clock');
    for (const key of keys) await db.collection('notes').put(key, `text of ${key}`);
  }, [name, written]);
  await crash(page);
  await page.close();
  return openTab(browser, server);
}

/** Runs `edit` on the file of `name` that holds the last document, with page/opfs.mjs. */
const edit = (page, name, edit) => page.evaluate(async ([name, edit]) => {
  const opfs = await import('/tests/page/opfs.mjs');
  const found = await opfs.logWith(name, 'text of k19');
  await new Function('opfs', 'found', `return (${edit})(opfs, found)`)(opfs, found);
}, [name, String(edit)]);

describe('in OPFS', { concurrency: true }, () => {
  test('nothing is wrong after a crash', { timeout: PATIENCE }, async () => {
    const page = await crashed('sound');
    const found = await look(page, 'sound', 'opfs');
    same(found, { keys: written, recovered: undefined, healthy: true });
    await page.close();
  });

  test('a torn tail is set aside, told once, and costs no document', { timeout: PATIENCE }, async () => {
    const page = await crashed('torn');
    await edit(page, 'torn', async (opfs, { file, bytes }) => {
      await opfs.put(file, bytes.length, new TextEncoder().encode('{"_s":9999,"_p":"00000000","_t":17'));
    });
    const { keys, recovered } = await look(page, 'torn', 'opfs');
    same(keys, written);
    equal(recovered.tornBytes, 34);
    ok(recovered.quarantined.length > 0, 'where it is kept');
    await page.evaluate(() => db.collection('notes').put('later', 1));
    const closed = await page.evaluate(async () => { await db.close(); });
    equal(closed, undefined);
    const again = await look(page, 'torn', 'opfs');
    same(again, { keys: [...written, 'later'], recovered: undefined, healthy: true });
    await page.close();
  });

  test('trailing zeros are no news', { timeout: PATIENCE }, async () => {
    const page = await crashed('zeros');
    await edit(page, 'zeros', (opfs, { file, bytes }) => opfs.put(file, bytes.length, new Uint8Array(5000)));
    same(await look(page, 'zeros', 'opfs'), { keys: written, recovered: undefined, healthy: true });
    await page.evaluate(() => db.collection('notes').put('later', 1));
    await page.evaluate(() => db.close());
    same((await look(page, 'zeros', 'opfs')).keys, [...written, 'later']);
    await page.close();
  });

  test('a flipped bit in the middle is corruption, told with its place, until it is repaired', { timeout: PATIENCE }, async () => {
    const page = await crashed('flipped');
    const flip = async (opfs, { file, bytes }) => {
      const at = opfs.lastIndexOf(bytes, 'text of k05') + 8;
      await opfs.put(file, at, Uint8Array.of(bytes[at] ^ 2));
    };
    await edit(page, 'flipped', flip);
    for (let round = 0; round < 2; round += 1) {
      const { code, message } = await look(page, 'flipped', 'opfs');
      equal(code, 'corrupt');
      ok(/\.log/.test(message) && /\d/.test(message), message);
    }
    ok((await page.evaluate(() => pumice.listDatabases())).includes('flipped'), 'it is still there');
    await edit(page, 'flipped', async (opfs, { file, bytes }) => {
      const at = opfs.lastIndexOf(bytes, 'text of i05') + 8;
      await opfs.put(file, at, Uint8Array.of(bytes[at] ^ 2));
    });
    same((await look(page, 'flipped', 'opfs')).keys, written, 'nothing was lost');
    await page.close();
  });

  test('a file that is cut to nothing, or removed, is corruption', { timeout: PATIENCE }, async () => {
    const page = await crashed('cut');
    for (const removed of [false, true]) {
      await page.evaluate(async removed => {
        const opfs = await import('/tests/page/opfs.mjs');
        window.kept ??= await opfs.logWith('cut', 'text of k19');
        if (!removed) return opfs.resize(kept.file, 0);
        const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle('cut');
        return folder.removeEntry(kept.file.handle.name);
      }, removed);
      const { code, message } = await look(page, 'cut', 'opfs');
      equal(code, 'corrupt');
      ok(/slot \d/.test(message), message);
    }
    await page.evaluate(async () => {
      const opfs = await import('/tests/page/opfs.mjs');
      const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle('cut');
      const handle = await folder.getFileHandle(kept.file.handle.name, { create: true });
      await opfs.resize({ handle }, 0);
      await opfs.put({ handle }, 0, kept.bytes);
    });
    same((await look(page, 'cut', 'opfs')).keys, written, 'nothing was lost');
    await page.close();
  });

  test('a young database is whole whatever becomes of its files', { timeout: PATIENCE }, async () => {
    let page = await openTab(browser, server);
    await page.evaluate(async keys => {
      const db = await pumice.open('young', { storage: 'opfs' });
      for (const key of keys) await db.collection('notes').put(key, `text of ${key}`);
    }, written);
    await crash(page);
    await page.close();
    page = await openTab(browser, server);
    await page.evaluate(async () => {
      const opfs = await import('/tests/page/opfs.mjs');
      for (const file of await opfs.filesOf('young')) await opfs.resize(file, 0);
    });
    same((await look(page, 'young', 'opfs')).keys, written);
    await page.close();
  });
});

test('a flipped bit in IndexedDB is corruption', { timeout: PATIENCE }, async () => {
  const page = await openTab(browser, server);
  await page.evaluate(async keys => {
    const db = await pumice.open('flipped pieces', { storage: 'indexeddb' });
    for (const key of keys) await db.collection('notes').put(key, `text of ${key}`);
    await db.close();
  }, written);
  const flip = text => page.evaluate(async text => {
    const { lastIndexOf } = await import('/tests/page/opfs.mjs');
    const done = request => new Promise((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
    const database = await done(indexedDB.open('pumice:flipped pieces'));
    let flipped = 0;
    for (const name of database.objectStoreNames) {
      const store = database.transaction(name, 'readwrite').objectStore(name);
      for (const key of await done(store.getAllKeys())) {
        const value = await done(store.get(key));
        const buffer = value instanceof ArrayBuffer ? value : value?.buffer;
        if (!(buffer instanceof ArrayBuffer)) continue;
        const at = lastIndexOf(new Uint8Array(buffer), text);
        if (at < 0) continue;
        new Uint8Array(buffer)[at + 8] ^= 2;
        await done(store.keyPath === null ? store.put(value, key) : store.put(value));
        flipped += 1;
      }
    }
    database.close();
    return flipped;
  }, text);
  equal(await flip('text of k05'), 1);
  const { code, message } = await look(page, 'flipped pieces', 'indexeddb');
  equal(code, 'corrupt');
  ok(/\.log/.test(message) && /\d/.test(message), message);
  equal(await flip('text of i05'), 1);
  same((await look(page, 'flipped pieces', 'indexeddb')).keys, written);
  await page.close();
});
