/** Encrypted databases in the page: what opens them and what does not, in one tab and in many, that nothing of them can be read on the
 *  disk, and that their snapshot files are encrypted too. */

import { after, before, describe, test } from 'node:test';
import { deepStrictEqual as equal, ok } from 'node:assert';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { newProfile, startChromium } from './harness/chromium.mjs';
import { PATIENCE } from './harness/patience.mjs';
import { serve } from './harness/server.mjs';
import { endWorkers, openTab } from './harness/tab.mjs';

const PUMICE = process.env.PUMICE_BIN ?? fileURLToPath(new URL('../../target/release/pumice', import.meta.url));
const run = promisify(execFile);
/** What nobody shall read, and what shows that the search finds what can be read. */
const SECRET = 'xq7-nobody-shall-read-this';
const OPEN = 'xq7-everybody-may-read-this';

let server;
let browser;
let folder;
before(async () => {
  [server, browser, folder] = await Promise.all([serve(), startChromium(), mkdtemp(join(tmpdir(), 'pumice-encryption-'))]);
});
after(async () => {
  await browser?.close();
  await server?.close();
  await rm(folder, { recursive: true, force: true });
});

/** Opens a database as `window.db`, with the encryption that `kind` names; gives `done`, or the code of the error. */
const open = (page, name, kind, options = {}) => page.evaluate(async ([name, kind, options]) => {
  const bytes = seed => Uint8Array.from({ length: 32 }, (_, place) => (place * 7 + seed) % 256);
  const imported = (seed, algorithm, usage) => crypto.subtle.importKey('raw', bytes(seed), algorithm, false, [usage]);
  const encryptions = {
    none: async () => undefined,
    key: async () => ({ key: bytes(1) }),
    'other key': async () => ({ key: bytes(2) }),
    hkdf: async () => ({ key: await imported(1, 'HKDF', 'deriveBits') }),
    'other hkdf': async () => ({ key: await imported(2, 'HKDF', 'deriveBits') }),
    hmac: async () => ({ key: await imported(1, { name: 'HMAC', hash: 'SHA-256' }, 'sign') }),
    'long hmac': async () => ({ key: await imported(1, { name: 'HMAC', hash: 'SHA-512' }, 'sign') }),
    passphrase: async () => ({ passphrase: 'correct horse' }),
    'other passphrase': async () => ({ passphrase: 'wrong horse' }),
  };
  window.encryptionOf = kind => encryptions[kind]();
  const encryption = await encryptions[kind]();
  return pumice.open(name, { ...options, ...(encryption && { encryption }) }).then(db => { window.db = db; return 'done'; }, error => error.code);
}, [name, kind, options]);
const close = page => page.evaluate(() => window.db.close());
const put = (page, key, value) => page.evaluate(args => window.db.collection('notes').put(...args).then(() => 'done', error => error.code), [key, value]);
const get = (page, key) => page.evaluate(key => window.db.collection('notes').get(key), key);
const changeKey = (page, kind) => page.evaluate(kind => window.encryptionOf(kind).then(encryption => window.db.changeKey(encryption)).then(() => 'done', error => error.code), kind);
const leads = page => page.evaluate(async () => (await window.db.status()).leader);

/** Whether a file below `folder` has `text` in it. */
async function shows(folder, text) {
  for (const file of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (file.isFile() && (await readFile(join(file.parentPath, file.name))).includes(text)) return true;
  }
  return false;
}

for (const storage of ['opfs', 'indexeddb']) {
  describe(storage, () => {
    for (const [kind, others] of Object.entries({
      key: ['none', 'other key', 'hkdf', 'passphrase'], hkdf: ['none', 'other hkdf', 'key', 'hmac'], hmac: ['none', 'long hmac'],
      'long hmac': ['hmac'], passphrase: ['none', 'other passphrase', 'key'],
    })) {
      test(`a database under a ${kind} opens with that alone`, { timeout: PATIENCE * 2 }, async () => {
        const page = await openTab(browser, server);
        const name = `${kind} ${storage}`;
        equal(await open(page, name, kind, { storage }), 'done');
        equal((await page.evaluate(() => db.status())).storage, storage);
        await put(page, 'a', SECRET);
        await page.evaluate(() => db.compact());
        await put(page, 'b', 2);
        await close(page);
        for (const other of others) equal(await open(page, name, other, { storage }), 'invalid-argument', other);
        equal(await open(page, name, kind, { storage }), 'done');
        equal([await get(page, 'a'), await get(page, 'b')], [SECRET, 2]);
        await page.close();
      });
    }

    test('one that is not encrypted takes no key', { timeout: PATIENCE }, async () => {
      const page = await openTab(browser, server);
      const name = `plain ${storage}`;
      equal(await open(page, name, 'none', { storage }), 'done');
      await put(page, 'a', 1);
      equal(await changeKey(page, 'key'), 'invalid-argument');
      await close(page);
      equal(await open(page, name, 'key', { storage }), 'invalid-argument');
      equal(await open(page, name, 'none', { storage }), 'done');
      equal(await get(page, 'a'), 1);
      await page.close();
    });

    test('no file of the browser shows what is in it, and a kill loses nothing', { timeout: PATIENCE * 2 }, async t => {
      const profile = await newProfile();
      t.after(() => rm(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 }));
      let apart = await startChromium({ profile });
      t.after(() => apart.close());
      let page = await openTab(apart, server);
      for (const [kind, text] of [['none', OPEN], ['key', SECRET]]) {
        equal(await open(page, `read ${kind}`, kind, { storage }), 'done');
        for (let number = 0; number < 20; number += 1) equal(await put(page, `${text} ${number}`, { text, number }), 'done');
        await page.evaluate(() => db.compact());
        for (let number = 20; number < 40; number += 1) equal(await put(page, `${text} ${number}`, { text, number }), 'done');
      }
      await apart.kill();
      equal([await shows(profile, OPEN), await shows(profile, SECRET)], [true, false]);
      apart = await startChromium({ profile });
      page = await openTab(apart, server);
      equal(await open(page, 'read key', 'key', { storage }), 'done');
      equal(await page.evaluate(() => db.collection('notes').count()), 40);
    });

    test('every tab needs the key, whoever leads', { timeout: PATIENCE * 2 }, async () => {
      const name = `tabs ${storage}`;
      const [leader, second, third] = await Promise.all([1, 2, 3].map(() => openTab(browser, server)));
      equal(await open(leader, name, 'key', { storage }), 'done');
      await put(leader, 'a', 1);
      equal(await open(second, name, 'key', { storage }), 'done');
      for (const other of ['none', 'other key', 'passphrase']) equal(await open(third, name, other, { storage }), 'invalid-argument', other);
      // The same page may have it open once more, with the same key.
      equal(await open(second, name, 'none', { storage }), 'invalid-argument');
      equal(await open(second, name, 'key', { storage }), 'done');
      equal([await leads(leader), await leads(second), await get(second, 'a')], [true, false, 1]);
      await endWorkers(leader);
      equal(await put(second, 'b', 2), 'done');
      await leader.close();
      equal([await get(second, 'b'), await leads(second)], [2, true]);
      equal(await open(third, name, 'other key', { storage }), 'invalid-argument');
      equal(await open(third, name, 'key', { storage }), 'done');
      equal(await get(third, 'a'), 1);
      await second.close();
      await third.close();
    });

    test('another key takes the place of the first', { timeout: PATIENCE * 2 }, async () => {
      const name = `rotated ${storage}`;
      const [leader, second, third] = await Promise.all([1, 2, 3].map(() => openTab(browser, server)));
      equal(await open(leader, name, 'key', { storage }), 'done');
      await put(leader, 'a', 1);
      equal(await open(second, name, 'key', { storage }), 'done');
      // Asked by a tab that does not lead.
      equal(await changeKey(second, 'passphrase'), 'done');
      equal([await put(leader, 'b', 2), await get(second, 'b')], ['done', 2]);
      equal(await open(third, name, 'key', { storage }), 'invalid-argument');
      equal(await open(third, name, 'passphrase', { storage }), 'done');
      equal(await get(third, 'b'), 2);
      // The leader's page has the old key: its next worker cannot open the database, so another tab leads.
      await endWorkers(leader);
      equal(await put(second, 'c', 3), 'done');
      equal(await get(third, 'c'), 3);
      // It is told so for as long as it asks, and takes the place of nobody, as one would that hears nothing for 10 s.
      const led = [await leads(second), await leads(third)];
      const until = Date.now() + (storage === 'opfs' ? 15_000 : 0);
      do equal(await put(leader, 'd', 4), 'invalid-argument'); while (Date.now() < until);
      equal([await leads(second), await leads(third)], led);
      equal(await get(third, 'd') ?? null, null);
      for (const page of [leader, second, third]) await page.close();
      const page = await openTab(browser, server);
      equal(await open(page, name, 'key', { storage }), 'invalid-argument');
      equal(await open(page, name, 'passphrase', { storage }), 'done');
      equal(await get(page, 'c'), 3);
      await page.close();
    });

    test('its snapshot file is encrypted, and its key opens that here and natively', { timeout: PATIENCE * 2 }, async () => {
      const page = await openTab(browser, server);
      const name = `exported ${storage}`;
      const [file, keyFile, otherKey, database] = ['snapshot', 'key', 'other', 'restored'].map(what => join(folder, `${storage}-${what}`));
      equal(await open(page, name, 'key', { storage }), 'done');
      const expected = await page.evaluate(async secret => {
        await db.collection('notes').putMany(Array.from({ length: 3000 }, (_, number) => [`k${String(number).padStart(4, '0')}`, { number, text: `${secret} ${'ü'.repeat(number % 400)}` }]));
        await db.compact();
        await db.collection('notes').delete('k0007');
        return (await db.collection('notes').getAll()).map(([key, value]) => `${JSON.stringify({ collection: 'notes', key, value })}\n`).join('');
      }, SECRET);
      await page.evaluate(async name => { await fetch(`/file/${name}`, { method: 'POST', body: await db.exportSnapshot() }); }, storage);
      const snapshot = server.files.get(storage);
      ok(snapshot.length > 100_000 && !snapshot.includes(SECRET), 'nothing to read');
      const hex = seed => Array.from({ length: 32 }, (_, place) => ((place * 7 + seed) % 256).toString(16).padStart(2, '0')).join('');
      await Promise.all([writeFile(file, snapshot), writeFile(keyFile, hex(1)), writeFile(otherKey, hex(2))]);
      for (const key of [[], ['--key-file', otherKey]]) {
        ok((await run(PUMICE, ['restore', file, database, ...key]).catch(error => error)).code > 0, 'refused without the key');
      }
      await run(PUMICE, ['restore', file, database, '--key-file', keyFile]);
      ok((await run(PUMICE, ['scan', database, '--key-file', keyFile], { maxBuffer: 1 << 26 })).stdout === expected, 'the same lines');

      const importFrom = name => page.evaluate(async name => {
        const file = await (await fetch(`/file/${name}`)).blob();
        return db.importSnapshot(file).then(() => 'done', error => error.code);
      }, name);
      await put(page, 'k0007', 'back');
      equal(await importFrom(storage), 'done');
      equal([await get(page, 'k0007') ?? null, await page.evaluate(() => db.collection('notes').count())], [null, 2999]);
      for (let part = 0; part < 40; part += 1) {
        const damaged = Buffer.from(snapshot);
        damaged[Math.floor((snapshot.length - 1) * part / 39)] ^= 1 << (part % 8);
        server.files.set('damaged', damaged);
        // The line of the key is what it begins with; without that it is no snapshot.
        ok(['corrupt', 'invalid-argument'].includes(await importFrom('damaged')), `a flipped bit ${part}`);
        equal(await page.evaluate(() => db.collection('notes').count()), 2999);
      }
      await close(page);
      for (const kind of ['none', 'other key']) {
        equal(await open(page, `${kind} takes ${name}`, kind, { storage }), 'done');
        await put(page, 'a', 1);
        equal(await importFrom(storage), 'invalid-argument', kind);
        equal([await get(page, 'a'), await page.evaluate(() => db.collection('notes').count())], [1, 1]);
        await page.evaluate(async name => { await fetch(`/file/${name}`, { method: 'POST', body: await db.exportSnapshot() }); }, `of ${kind}`);
        await close(page);
      }
      // Any database under its key takes it, also under that of its time.
      equal(await open(page, `under the key of ${name}`, 'key', { storage }), 'done');
      equal(await importFrom(storage), 'done');
      equal(await page.evaluate(() => db.collection('notes').count()), 2999);
      equal(await changeKey(page, 'passphrase'), 'done');
      equal(await importFrom(storage), 'invalid-argument');
      await close(page);
      equal(await open(page, name, 'key', { storage }), 'done');
      equal([await changeKey(page, 'passphrase'), await importFrom(storage)], ['done', 'done']);
      equal(await changeKey(page, 'key'), 'done');
      await close(page);
      // A plain one is taken, and is plain no more.
      equal(await open(page, name, 'key', { storage }), 'done');
      equal(await importFrom('of none'), 'done');
      equal(await page.evaluate(async () => JSON.stringify(await db.collection('notes').getAll())), '[["a",1]]');
      await page.close();
    });
  });
}

test('what is no key is refused, and nothing is written plainly instead', { timeout: PATIENCE }, async () => {
  const page = await openTab(browser, server);
  const codes = await page.evaluate(async () => {
    const aes = await crypto.subtle.generateKey({ name: 'AES-GCM', length: 256 }, false, ['encrypt']);
    const sha1 = await crypto.subtle.generateKey({ name: 'HMAC', hash: 'SHA-1' }, false, ['sign']);
    const verifies = await crypto.subtle.importKey('raw', new Uint8Array(32), { name: 'HMAC', hash: 'SHA-256' }, false, ['verify']);
    const bad = [
      null, 1, 'text', {}, { key: undefined }, { key: 'text' }, { key: new Uint8Array(31) }, { key: new Uint8Array(33) }, { key: [1] },
      { key: aes }, { key: sha1 }, { key: verifies }, { passphrase: '' }, { passphrase: 1 }, { passphrase: 'a', key: new Uint8Array(32) },
    ];
    const code = error => error.code ?? String(error);
    return Promise.all(bad.map(encryption => pumice.open('bad keys', { encryption }).then(() => 'done', code)));
  });
  equal([...new Set(codes)], ['invalid-argument']);
  // Places of the worker that knows none, and the module that has none inside.
  equal(await open(page, 'bad places', 'key', { workerUrl: '/pkg/worker.js', wasmUrl: '/pkg/pumice_bg.wasm' }), 'unsupported');
  equal(await page.evaluate(async () => {
    const inline = await import('/entry/inline');
    return inline.open('bad places', { encryption: { passphrase: 'a' } }).then(() => 'done', error => error.code);
  }), 'unsupported');
  equal(await page.evaluate(() => pumice.listDatabases()).then(names => names.filter(name => name.startsWith('bad'))), []);
  equal(await open(page, 'good places', 'key', { workerUrl: '/pkg/worker-encrypted.js', wasmUrl: '/pkg/pumice_encrypted_bg.wasm' }), 'done');
  await page.close();
});

test('a key that nobody can take out of the browser is kept in the browser', { timeout: PATIENCE }, async () => {
  const page = await openTab(browser, server);
  // As docs/browser.md shows it.
  const opened = () => page.evaluate(async () => {
    const keys = await new Promise((resolve, reject) => {
      const request = indexedDB.open('keys');
      request.onupgradeneeded = () => request.result.createObjectStore('keys');
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
    const done = request => new Promise((resolve, reject) => {
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
    let key = await done(keys.transaction('keys').objectStore('keys').get('notes'));
    if (key === undefined) {
      key = await crypto.subtle.generateKey({ name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
      await done(keys.transaction('keys', 'readwrite', { durability: 'strict' }).objectStore('keys').put(key, 'notes'));
    }
    keys.close();
    window.db = await pumice.open('kept key', { encryption: { key } });
    return db.collection('notes').get('a').then(value => value ?? null);
  });
  equal(await opened(), null);
  await put(page, 'a', SECRET);
  await page.reload();
  await page.waitForFunction(() => window.ready === true);
  equal(await opened(), SECRET);
  await page.close();
});
