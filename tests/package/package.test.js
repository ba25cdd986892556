// The packed tarball, as an application gets it: what is in it, that every entry loads in plain Node.js, and that fresh
// applications of three bundlers, built for production, keep a note over a reload.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { hooks } from './hooks.js';
import { application, run } from './support/application.js';
import { launch, newPage } from './support/browser.js';
import { pack, root } from './support/packed.js';
import { serve } from './support/server.js';

/** Has an application open an encrypted database, for which the bundler must find the other worker and the other wasm. */
const ENCRYPTED = '?passphrase=correct%20horse';

let packed;
let browser;
before(async () => {
  [packed, browser] = await Promise.all([pack(), launch()]);
});
after(() => browser?.close());

test('the tarball has what the manifest promises and nothing else', () => {
  const shipped = packed.files.filter(path => !path.startsWith('types/'));
  assert.deepEqual(shipped, [
    'LICENSE-APACHE', 'LICENSE-MIT', 'README.md', 'index.js', 'inline.js', 'package.json', 'pumice_bg.wasm', 'pumice_encrypted_bg.wasm', 'react.js', 'worker-encrypted.js', 'worker.js',
  ]);
  const types = packed.files.filter(path => path.startsWith('types/'));
  assert.ok(types.every(path => path.endsWith('.d.ts')), String(types));
});

describe('applications', { concurrency: true }, () => {
  test('plain Node.js, and the types', async () => {
    const dir = await application('plain', packed.tarball);
    await run('node', ['import.js'], dir);
    await cp(join(root, 'examples/js'), dir, { recursive: true });
    const tsc = join(root, 'tests/node_modules/.bin/tsc');
    await run(tsc, [], dir);
    await run(tsc, ['--module', 'nodenext', '--moduleResolution', 'nodenext'], dir);
  });

  test('webpack', async t => {
    const dir = await application('webpack', packed.tarball);
    await run(join(dir, 'node_modules/.bin/webpack'), [], dir);
    const { url, stop } = await serve(dir);
    t.after(stop);
    await keepsNotes(`${url}/index.html`);
    await keepsNotes(`${url}/index.html${ENCRYPTED}`);
    await keepsNotes(`${url}/inline.html`, 0);
  });

  test('Vite, with React', async t => {
    const dir = await application('vite', packed.tarball);
    await run(join(dir, 'node_modules/.bin/vite'), ['build'], dir);
    const { url, stop } = await serve(join(dir, 'dist'));
    t.after(stop);
    await keepsNotes(`${url}/`);
    await keepsNotes(`${url}/${ENCRYPTED}`);
    await hooks(t, browser, `${url}/hooks.html`);
  });

  test('Next.js', async t => {
    const dir = await application('next', packed.tarball);
    await run(join(dir, 'node_modules/.bin/next'), ['build'], dir);
    const { url, stop } = await serveNext(dir);
    t.after(stop);
    const rendered = await (await fetch(url)).text();
    assert.match(rendered, /<p>Loading<\/p>/, 'rendered on the server, the hooks are loading');
    assert.match(await (await fetch(`${url}/server`)).text(), /<output>unsupported<\/output>/);
    await keepsNotes(url);
    await keepsNotes(`${url}/${ENCRYPTED}`);
  });
});

/** Adds two notes through the application's page, reloads, closes it: they must still be there, in OPFS. The page compiles the wasm
 *  for its worker, so a bundler must lead both to the same file: each load takes it `times`. */
async function keepsNotes(url, times = 1) {
  const context = await browser.newContext();
  const { page, check } = await newPage(context);
  const loaded = [];
  page.on('request', request => { if (request.url().includes('.wasm')) loaded.push(request.url()); });
  await page.goto(url);
  await page.getByText('opfs', { exact: true }).waitFor();
  for (const title of ['bread', 'milk']) {
    await page.getByLabel('Title').fill(title);
    await page.getByRole('button', { name: 'Add' }).click();
    await page.getByRole('listitem').filter({ hasText: title }).waitFor();
  }
  await page.reload();
  await page.getByText('opfs', { exact: true }).waitFor();
  await page.getByRole('listitem').nth(1).waitFor();
  assert.deepEqual(await page.getByRole('listitem').allTextContents(), ['bread', 'milk']);
  assert.equal(loaded.length, 2 * times, `the page and its reload took ${loaded}`);
  check();
  await context.close();
}

async function serveNext(dir) {
  const server = spawn(join(dir, 'node_modules/.bin/next'), ['start', '--port', '0', '--hostname', 'localhost'], {
    cwd: dir,
    env: { ...process.env, NEXT_TELEMETRY_DISABLED: '1' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const line of createInterface(server.stdout)) {
    const address = line.match(/http:\/\/localhost:\d+/);
    if (!address) continue;
    return {
      url: address[0],
      stop: async () => {
        const exited = once(server, 'exit');
        server.kill();
        await exited;
      },
    };
  }
  throw new Error('next start ended before it served');
}
