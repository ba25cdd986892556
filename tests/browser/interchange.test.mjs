/** Snapshots between the page and the native command: the same documents to the byte, either way, and all or nothing. */

import { after, before, describe, test } from 'node:test';
import { ok, strictEqual as equal } from 'node:assert';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { startChromium } from './harness/chromium.mjs';
import { PATIENCE } from './harness/patience.mjs';
import { keep, SOAK } from './harness/figures.mjs';
import { serve } from './harness/server.mjs';
import { crash, openTab } from './harness/tab.mjs';

const PUMICE = process.env.PUMICE_BIN ?? fileURLToPath(new URL('../../target/release/pumice', import.meta.url));
const run = promisify(execFile);
const CRASHES = SOAK ? 60 : 6;

/** Lines that no JavaScript object gives back as they are: digits, member order, repeated members, escapes. */
const LINES = [
  '{"collection":"digits","key":"a","value":1.0}', '{"collection":"digits","key":"b","value":123456789012345678901234567890.5}',
  '{"collection":"digits","key":"c","value":1E+2}', '{"collection":"digits","key":"d","value":-0.0}', '{"collection":"digits","key":"e","value":1e999}',
  '{"collection":"order","key":"a","value":{"b":1,"a":2,"b":3}}', '{"collection":"order","key":"b","value":{"2":1,"1":2}}',
  '{"collection":"text","key":"a","value":"\\u00e9\\ud800\\/"}',
  ...Array.from({ length: 300 }, (_, number) => `{"collection":"text","key":"k${String(number).padStart(4, '0')}","value":{"number":${number},"text":"${'x'.repeat(number)}"}}`),
  '{"collection":"text","key":"ключ \u{1F600}","value":"値"}',
];

let server;
let browser;
let folder;
before(async () => {
  [server, browser, folder] = await Promise.all([serve(), startChromium(), mkdtemp(join(tmpdir(), 'pumice-interchange-'))]);
});
after(async () => {
  await browser?.close();
  await server?.close();
  await rm(folder, { recursive: true, force: true });
});

const pumice = async (...args) => (await run(PUMICE, args, { maxBuffer: 1 << 28 })).stdout;

/** Loads lines into a database on disk and compacts it; returns its one snapshot. */
async function nativeSnapshot(name, lines) {
  const [input, database] = [join(folder, `${name}.jsonl`), join(folder, name)];
  await writeFile(input, `${lines.join('\n')}\n`);
  await pumice('load', database, input);
  await pumice('compact', database);
  const snapshots = (await readdir(database)).filter(file => file.endsWith('.snapshot'));
  equal(snapshots.length, 1);
  return readFile(join(database, snapshots[0]));
}

/** What the native command finds in a snapshot. */
async function scanned(name, snapshot) {
  const [file, database] = [join(folder, `${name}.snapshot`), join(folder, `${name} restored`)];
  await writeFile(file, snapshot);
  await pumice('restore', file, database);
  await pumice('verify', database);
  return pumice('scan', database);
}

const exportTo = (page, name) => page.evaluate(async name => {
  await fetch(`/file/${name}`, { method: 'POST', body: await window.db.exportSnapshot() });
}, name);

/** Imports a file that the server keeps; gives the error's code, or `done`. */
const importFrom = (page, name) => page.evaluate(async name => {
  const file = await (await fetch(`/file/${name}`)).blob();
  return window.db.importSnapshot(file).then(() => 'done', error => error.code ?? String(error));
}, name);

for (const storage of ['opfs', 'indexeddb']) {
  describe(storage, () => {
    let page;
    const openPage = async name => {
      page = await openTab(browser, server);
      await page.evaluate(async ([name, storage]) => { window.db = await pumice.open(name, { storage }); }, [`${name} ${storage}`, storage]);
    };

    test('what the page exports, the command restores', { timeout: PATIENCE }, async () => {
      await openPage('exported');
      const expected = await page.evaluate(async () => {
        const notes = db.collection('notes');
        await notes.putMany(Array.from({ length: 2000 }, (_, number) => [`k${String(number).padStart(4, '0')}`, { number, text: 'ü\n'.repeat(number % 40) }]));
        await db.compact();
        await notes.delete('k0007');
        await notes.put('\u{1F600}', ['\uD800', 1e21, 0.1, null]);
        await db.collection('a').put('one', '');
        const lines = [];
        for (const collection of ['a', 'notes']) {
          for (const [key, value] of await db.collection(collection).getAll()) lines.push(`${JSON.stringify({ collection, key, value })}\n`);
        }
        return lines.join('');
      });
      await exportTo(page, `${storage}-exported`);
      ok(await scanned(`${storage}-exported`, server.files.get(`${storage}-exported`)) === expected, 'the same lines');
      await page.close();
    });

    test('what the command writes, the page imports, to the byte', { timeout: PATIENCE }, async () => {
      server.files.set('native', await nativeSnapshot(`${storage}-native`, LINES));
      const expected = await pumice('scan', join(folder, `${storage}-native`));
      ok(expected === `${LINES.join('\n')}\n`, 'the lines as they were loaded');
      await openPage('imported');
      await page.evaluate(() => db.collection('gone').put('a', 1));
      equal(await importFrom(page, 'native'), 'done');
      equal(await page.evaluate(async () => JSON.stringify([await db.collection('order').get('a'), await db.collection('text').count()])), '[{"b":3,"a":2},302]');
      await exportTo(page, 'again');
      ok(await scanned(`${storage}-again`, server.files.get('again')) === expected, 'the same lines');
      // Once more from what is on the disk: a tab of its own after this one.
      await page.close();
      await openPage('imported');
      equal(await page.evaluate(() => db.collections().then(String)), 'digits,order,text');
      await exportTo(page, 'later');
      ok(await scanned(`${storage}-later`, server.files.get('later')) === expected, 'the same lines, later');
      await page.close();
    });

    test('what is damaged, foreign, newer or no full snapshot is refused', { timeout: PATIENCE }, async () => {
      const good = await nativeSnapshot(`${storage}-good`, LINES);
      await openPage('refusing');
      await page.evaluate(() => db.collection('kept').put('a', 1));
      const flipped = at => {
        const bytes = Buffer.from(good);
        bytes[at] ^= 1 << (at % 8);
        return bytes;
      };
      // The header of the example in docs/format.md, of version 3, with its checksum.
      const newer = Buffer.from('50554d494345534e0300000000000000303132333435363738396162636465660100000000000000'
        + '000000000000000005000000000000003bc00d95aa3c3d57', 'hex');
      const fixtures = new URL('../fixtures/v1/compacted/', import.meta.url);
      const files = [
        ...Array.from({ length: 40 }, (_, part) => ['corrupt', `a flipped bit ${part}`, flipped(8 + Math.floor((good.length - 9) * part / 40))]),
        ...[1, 9, 160, good.length - 65].map(less => ['corrupt', `cut by ${less}`, good.subarray(0, good.length - less)]),
        ['invalid-argument', 'another program\'s', Buffer.from(`SQLite format 3\0${'x'.repeat(8000)}`)],
        ['invalid-argument', 'empty', Buffer.alloc(0)],
        ['invalid-argument', 'a log', await readFile(new URL('00000000000000000079.log', fixtures))],
        ['invalid-argument', 'one that needs a base', await readFile(new URL('00000000000000000078-00000000000000000073.snapshot', fixtures))],
        ['version', 'of a newer version', Buffer.concat([newer, good.subarray(64)])],
      ];
      for (const [code, what, bytes] of files) {
        server.files.set('bad', bytes);
        equal(await importFrom(page, 'bad'), code, what);
      }
      equal(await page.evaluate(async () => JSON.stringify([await db.collections(), await db.collection('kept').getAll(), (await db.status()).healthy])), '[["kept"],[["a",1]],true]');
      await page.evaluate(() => db.collection('kept').put('b', 2));
      await page.close();
    });

    test('an import is done wholly or not at all when the tab dies', { timeout: PATIENCE * 2 }, async () => {
      const count = 20_000;
      const lines = Array.from({ length: count }, (_, number) => `{"collection":"imported","key":"k${String(number).padStart(5, '0')}","value":"${'x'.repeat(600)}"}`);
      server.files.set('large', await nativeSnapshot(`${storage}-large`, lines));
      const outcomes = { crashes: 0, before: 0, after: 0, mixtures: 0 };
      await openPage('dying');
      const began = Date.now();
      await page.evaluate(() => db.collection('kept').put('a', 1));
      equal(await importFrom(page, 'large'), 'done');
      const takes = Date.now() - began;
      for (let number = 0; number < CRASHES; number += 1) {
        await page.evaluate(() => db.batch(batch => batch.drop('imported').put('kept', 'a', 1)));
        await page.evaluate(async () => {
          const file = await (await fetch('/file/large')).blob();
          window.importing = db.importSnapshot(file);
        });
        await sleep(takes * (number + 0.5) / CRASHES);
        await crash(page);
        await page.close();
        await openPage('dying');
        const left = await page.evaluate(async () => JSON.stringify([await db.collection('kept').count(), await db.collection('imported').count()]));
        outcomes.crashes += 1;
        if (left === '[1,0]') outcomes.before += 1;
        else if (left === `[0,${count}]`) outcomes.after += 1;
        else outcomes.mixtures += 1;
      }
      await page.close();
      keep(`browser-imports-${storage}`, outcomes);
      ok(outcomes.before > 0, 'some died in its midst');
      equal(outcomes.mixtures, 0);
    });
  });
}
