/** What a test does to a tab with the blank page in it. */

import { within } from './patience.mjs';

/** Opens the blank page, with the package as `pumice` and everything of page/tools.mjs as globals. */
export async function openTab(browser, server) {
  const page = await browser.tab(server.origin);
  await ready(page);
  return page;
}

/** Waits until the package is loaded, after a navigation. */
export const ready = page => page.waitForFunction(() => {
  if (window.failed) throw new Error(`the blank page fails: ${window.failed}`);
  return window.ready === true;
});

/** Kills the tab's process, as a crash does. The page stays as a crashed one. */
export async function crash(page) {
  const session = await page.context().newCDPSession(page);
  const crashed = page.waitForEvent('crash');
  session.send('Page.crash').catch(() => {});
  await crashed;
}

/** Stops all of the tab's timers, events and workers, as a browser does to tabs in the background; or lets it go on. */
export async function freeze(page, frozen = true) {
  const session = await page.context().newCDPSession(page);
  await session.send('Page.setWebLifecycleState', { state: frozen ? 'frozen' : 'active' });
  await session.detach();
}

/** Ends the tab's workers without a word to them or to the page's code. Returns how many there were. */
export async function endWorkers(page) {
  const workers = page.workers();
  for (const worker of workers) {
    const closed = worker.waitForEvent('close');
    worker.evaluate(() => self.close()).catch(() => {});
    await closed;
  }
  return workers.length;
}

/** Gives the origin `bytes` of storage in all, or what the browser would give. */
export async function setQuota(page, bytes) {
  const session = await page.context().newCDPSession(page);
  await session.send('Storage.overrideQuotaForOrigin', { origin: new URL(page.url()).origin, quotaSize: bytes });
  return session;
}

/** As `page.evaluate`, which waits for ever, with an end to that. */
export const evaluateWithin = (page, what, use, argument, patience) => within(what, page.evaluate(use, argument), patience);
