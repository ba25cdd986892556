/** A real Chromium in a process group of its own, so that it can be killed with everything that belongs to it.
 *
 *  Playwright drives it but does not start it: a context that Playwright starts has no process to send a signal to. */

import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';
import { PATIENCE, within } from './patience.mjs';

const ARGS = [
  '--headless=new', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--disable-breakpad', '--password-store=basic', '--remote-debugging-port=0',
];

/** A new folder for a profile. */
export const newProfile = () => mkdtemp(join(tmpdir(), 'pumice-chromium-'));

/** None must outlive the tests, whatever becomes of them. */
const running = new Set();
process.on('exit', () => { for (const child of running) killGroup(child); });
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

function killGroup(child) {
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}

/** Kills those that a failed test has left. */
export async function killAll() {
  for (const child of running) killGroup(child);
  await Promise.all([...running].map(child => child.exitCode ?? child.signalCode ?? once(child, 'exit')));
}

/** Starts Chromium with `profile`, or with one that goes away when it is closed. */
export async function startChromium({ profile, args = [] } = {}) {
  const own = profile === undefined;
  const folder = profile ?? await newProfile();
  const child = spawn(process.env.PUMICE_CHROMIUM ?? '/usr/bin/chromium',
    [...ARGS, ...args, `--user-data-dir=${folder}`, 'about:blank'], { detached: true, stdio: ['ignore', 'ignore', 'pipe'] });
  running.add(child);
  const ended = once(child, 'exit').then(() => running.delete(child));
  const browser = await chromium.connectOverCDP(await within('the start of Chromium', address(child)), { timeout: PATIENCE });
  const context = browser.contexts()[0];
  context.setDefaultTimeout(PATIENCE);

  /** SIGKILL to every process of it, at once. */
  async function kill() {
    killGroup(child);
    await release();
  }

  /** Once it is dead, or dies. */
  async function release() {
    await within('the end of Chromium, killed,', ended);
    await within('the end of a connection', browser.close()).catch(() => {});
    if (own) await remove(folder);
  }

  return {
    context,
    profile: folder,
    pid: child.pid,
    kill,
    /** Opens a tab at `url`. */
    async tab(url) {
      const page = await context.newPage();
      await page.goto(url);
      return page;
    },
    /** Closes it as a user would, who kills it when it does not close. */
    async close() {
      const closed = async () => {
        const session = await browser.newBrowserCDPSession().catch(() => undefined);
        await session?.send('Browser.close').catch(() => {});
        await ended;
      };
      await within('the end of Chromium', closed()).catch(error => {
        console.error(`${error.message}, so it is killed`);
        killGroup(child);
      });
      await release();
    },
  };
}

/** Reads where DevTools listen, which is all that Chromium says on stderr before it is ready. */
function address(child) {
  return new Promise((resolve, reject) => {
    const said = [];
    const lines = createInterface({ input: child.stderr });
    lines.on('line', line => {
      said.push(line);
      const found = /DevTools listening on (ws:\S+)/.exec(line);
      if (found) resolve(found[1]);
    });
    lines.on('close', () => reject(new Error(`Chromium ended before it was ready:\n${said.join('\n')}`)));
    child.on('error', reject);
  });
}

/** Chromium's last processes may still write into the folder. */
const remove = folder => rm(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
