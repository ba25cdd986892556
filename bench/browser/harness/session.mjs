/** A browser with a profile of its own, and a page with an engine in it. */

import { cp, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { startChromium } from '../../../tests/browser/harness/chromium.mjs';
import { evaluateWithin } from '../../../tests/browser/harness/tab.mjs';

/** What Chromium does right after its start is not to be measured. */
const SETTLING = 1000;
/** How long any piece of work may take, in ms. */
const PATIENCE = 180_000;

/** Runs `use` with a new profile below `folder`, a copy of `like` if given, which is removed behind it. */
export async function withProfile(folder, like, use) {
  const profile = await mkdtemp(join(folder, 'profile-'));
  try {
    if (like !== undefined) await cp(like, profile, { recursive: true });
    return await use(profile);
  } finally {
    await rm(profile, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  }
}

/** Runs `use` with the engine's page in a browser of its own, which is closed behind it. */
export async function withPage(profile, url, use) {
  const browser = await startChromium({ profile });
  try {
    await setTimeout(SETTLING);
    const page = await browser.context.newPage();
    page.setDefaultTimeout(PATIENCE);
    return await use(new EnginePage(page, url));
  } finally {
    await browser.close();
  }
}

class EnginePage {
  constructor(page, url) {
    this.page = page;
    this.url = url;
  }

  /** Loads the page, for the first time or again, which begins with `work` at once; returns what comes of that. */
  async visit(work, documents = 0) {
    await this.page.goto(`${this.url}?work=${work}&documents=${documents}`);
    await this.page.waitForFunction(() => window.first !== undefined);
    return evaluateWithin(this.page, work, () => window.first, undefined, PATIENCE);
  }

  work(name, options = {}, place = 'page') {
    const work = ([name, options, place]) => window.work(name, options, place);
    return evaluateWithin(this.page, `${name} in the ${place}`, work, [name, options, place], PATIENCE);
  }
}

/** What origins have stored in `profile`, whose browser has ended, in bytes. */
export async function stored(profile) {
  const folders = ['File System', 'IndexedDB', 'WebStorage'].map(name => join(profile, 'Default', name));
  const sizes = await Promise.all(folders.map(size));
  return sizes.reduce((sum, bytes) => sum + bytes, 0);
}

async function size(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(error => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const files = entries.filter(entry => entry.isFile());
  const sizes = await Promise.all(files.map(async file => (await stat(join(file.parentPath, file.name))).size));
  return sizes.reduce((sum, bytes) => sum + bytes, 0);
}
