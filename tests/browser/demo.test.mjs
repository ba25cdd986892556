/** The demo page, used as a person would: notes in two tabs, offline, a crash, snapshots; by keyboard, in light and dark, on a phone.
 *
 *  With the variable PUMICE_SCREENSHOTS, pictures of it go into that folder. */

import { after, before, test } from 'node:test';
import { deepStrictEqual as same, match, ok, strictEqual as equal } from 'node:assert';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startChromium } from './harness/chromium.mjs';
import { PATIENCE } from './harness/patience.mjs';
import { PACKAGE, serve } from './harness/server.mjs';

const folders = { '/app/pkg/': PACKAGE, '/app/': fileURLToPath(new URL('../../www/', import.meta.url)) };

let server;
let browser;
before(async () => {
  server = await serve({ folders });
  browser = await startChromium();
});
after(async () => {
  await browser?.close();
  await server?.close();
});

/** Opens the page; whatever goes wrong in it fails the test that looks at `wrong`. */
async function openDemo(from = server) {
  const page = await browser.context.newPage();
  // Wide enough for the notes and the engine side by side.
  await page.setViewportSize({ width: 1280, height: 800 });
  page.wrong = [];
  page.on('pageerror', error => page.wrong.push(error.message));
  page.on('console', message => { if (['error', 'warning'].includes(message.type())) page.wrong.push(message.text()); });
  await page.goto(`${from.origin}/app/`);
  await page.locator('#state', { hasText: 'On this device' }).waitFor();
  return page;
}

const saved = page => page.locator('#saved', { hasText: /^Saved/ }).waitFor();
const titles = page => page.locator('#items .title').allTextContents();

async function write(page, text) {
  await page.getByRole('button', { name: /^New/ }).click();
  await page.locator('#body').fill(text);
  await saved(page);
}

async function picture(page, name) {
  if (process.env.PUMICE_SCREENSHOTS) await page.screenshot({ path: join(process.env.PUMICE_SCREENSHOTS, `${name}.png`) });
}

test('notes are made, found, edited, deleted, and live in every tab', { timeout: PATIENCE * 2 }, async () => {
  const [page, other] = [await openDemo(), await openDemo()];
  await write(page, 'Bread\nflour, water, salt');
  await write(page, 'Letters\nto write');
  await other.locator('#items .title', { hasText: 'Letters' }).waitFor();
  same(await titles(other), ['Letters', 'Bread']);
  await other.getByRole('searchbox').fill('flour');
  same(await titles(other), ['Bread']);
  await other.locator('#items button').first().click();
  await other.locator('#body').fill('Bread\nflour, water, salt, time');
  await saved(other);
  await page.locator('#items .title').first().filter({ hasText: 'Bread' }).waitFor();
  await page.reload();
  await page.locator('#items .title', { hasText: 'Letters' }).waitFor();
  same(await titles(page), ['Bread', 'Letters']);
  await page.locator('#items button').nth(1).click();
  await page.locator('#delete').click();
  await other.getByRole('searchbox').fill('');
  await other.locator('#found', { hasText: '1 note' }).waitFor();
  // The other tab leads once this one is gone.
  await page.close();
  await write(other, 'After the leader left');
  same(await titles(other), ['After the leader left', 'Bread']);
  same(other.wrong, []);
  await other.close();
});

test('it works without a network after the first visit', { timeout: PATIENCE * 2 }, async () => {
  const own = await serve({ folders });
  const page = await openDemo(own);
  await write(page, 'Written online');
  await page.evaluate(() => navigator.serviceWorker.ready);
  await own.close();
  await page.reload();
  await page.locator('#items .title', { hasText: 'Written online' }).waitFor();
  await write(page, 'Written offline');
  await page.reload();
  await page.locator('#items .title', { hasText: 'Written offline' }).waitFor();
  same(await titles(page), ['Written offline', 'Written online']);
  await page.close();
});

test('the engine is seen at work, and a crash loses nothing', { timeout: PATIENCE * 3 }, async () => {
  const page = await openDemo();
  match(await page.locator('#log').textContent(), /"cmd":"INSERT"/);
  match(await page.locator('#facts').textContent(), /OPFS/);
  await page.locator('#load').click();
  await page.locator('#load-text', { hasText: /^100,000 documents in [\d.]+ s: [\d,]+ a second/ }).waitFor();
  await page.locator('#facts', { hasText: /100,0\d\d/ }).waitFor();
  await picture(page, 'loaded');
  await page.locator('#crash').click();
  const verdict = page.locator('#crash-text', { hasText: / lost\./ });
  await verdict.waitFor();
  match(await verdict.textContent(), /2,000 of 2,000 acknowledged, 2,000 there, 0 lost/);
  await page.locator('#unload').click();
  await page.locator('#load-text', { hasText: 'Removed' }).waitFor();
  await page.locator('#compact').click();
  await page.locator('#compacted', { hasText: /^Done/ }).waitFor();
  equal(await page.locator('#files .snapshot').count(), 1);
  same(page.wrong, []);
  await page.close();
});

test('a snapshot goes out and comes in again, and the log is text', { timeout: PATIENCE * 2 }, async () => {
  const page = await openDemo();
  await write(page, 'Carried along');
  const before = await titles(page);
  await page.evaluate(() => {
    // What is offered for download, as the page made it.
    const make = URL.createObjectURL;
    URL.createObjectURL = blob => { window.offered = blob; return make.call(URL, blob); };
  });
  await page.locator('#export').click();
  await page.locator('#snapshot-text', { hasText: /^Exported/ }).waitFor();
  const snapshot = Buffer.from(await page.evaluate(async () => [...new Uint8Array(await window.offered.arrayBuffer())]));
  equal(snapshot.subarray(0, 8).toString(), 'PUMICESN');
  await page.locator('#download').click();
  await page.waitForFunction(() => window.offered.type.includes('json'));
  const log = await page.evaluate(() => window.offered.text());
  ok(log.split('\n').filter(Boolean).map(line => JSON.parse(line)).some(({ value }) => value?.text === 'Carried along'), 'the log');
  await page.locator('#items button').first().click();
  await page.locator('#delete').click();
  await page.locator('#saved', { hasText: 'Deleted' }).waitFor();
  page.on('dialog', dialog => dialog.accept());
  await page.locator('#import').setInputFiles({ name: 'damaged.snapshot', mimeType: '', buffer: snapshot.subarray(0, 100) });
  await page.locator('#snapshot-text', { hasText: /^Nothing was changed/ }).waitFor();
  await page.locator('#import').setInputFiles({ name: 'notes.snapshot', mimeType: '', buffer: snapshot });
  await page.locator('#snapshot-text', { hasText: /^Imported/ }).waitFor();
  await page.reload();
  await page.locator('#items .title', { hasText: 'Carried along' }).waitFor();
  same(await titles(page), before);
  await page.close();
});

test('everyone can use it', { timeout: PATIENCE * 2 }, async () => {
  const page = await openDemo();
  await write(page, 'For everyone\nto read');
  const look = name => page.evaluate(async name => (await import('/tests/page/accessible.mjs'))[name](), name);
  same(await look('nameless'), []);
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme });
    same(await look('faint'), [], colorScheme);
    await picture(page, colorScheme);
  }
  await page.evaluate(() => document.activeElement.blur());
  const wanted = await look('controls');
  const reached = [];
  for (let presses = 0; presses < wanted.length + 3; presses += 1) {
    await page.keyboard.press('Tab');
    const focus = await look('focused');
    if (focus === undefined) continue;
    ok(focus.seen, `one does not see that ${focus.control} has the focus`);
    reached.push(focus.control);
  }
  same(wanted.filter(control => !reached.includes(control)), [], 'controls that the keyboard does not reach');
  for (const width of [360, 800]) {
    await page.setViewportSize({ width, height: 720 });
    for (const view of await page.locator('nav [data-view]').all()) {
      if (await view.isVisible()) await view.click();
      same(await look('cramped'), [], `${width} pixels`);
      same(await look('faint'), [], `${width} pixels`);
      await picture(page, `${width}-${await view.getAttribute('data-view')}`);
    }
  }
  same(page.wrong, []);
  await page.close();
});

test('nothing comes from elsewhere', async () => {
  for (const file of ['index.html', 'style.css', 'app.js', 'sw.js']) {
    const text = await readFile(join(folders['/app/'], file), 'utf8');
    equal(/(?:src|href|url\(|import[^'"]*)\s*[=(]?\s*['"]?https?:/i.test(text), false, file);
  }
});
