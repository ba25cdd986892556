/** Power cuts under Chromium: its profile lies on a file system that is shut down while databases are written, mounted again,
 *  and opened by another Chromium. What was acknowledged before the cut must be there.
 *
 *  Some cuts tear the log of Chromium's IndexedDB, and Chromium then throws all of it away, whatever was acknowledged, by strict
 *  transactions too; or a transaction whose beginning is in the log before. A canary of the test's own tells the former, zeros in that
 *  log the latter, and what databases in IndexedDB have lost in such cuts, and only in these, is counted apart. A database in OPFS must
 *  stand that. For OPFS there is a canary too, a file more than a minute old.
 *
 *  A cut may tear Chromium's list of the files in OPFS as well, behind which Chromium then goes on. Nothing may be lost by that either, in
 *  this round or a later one (torn_list.test.mjs).
 *
 *  A round is one start of Chromium, with a tab for each database. The first goes on for longer than the 60 s after which
 *  the storage trusts the names of its files; the others are cut within seconds, some with databases that are new. */

import { after, before, test } from 'node:test';
import { ok, strictEqual as equal } from 'node:assert';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { killAll, startChromium } from './harness/chromium.mjs';
import { keep, SOAK } from './harness/figures.mjs';
import { makeImage } from './harness/image.mjs';
import { removeIndexedDb, tornIndex, tornLogs, tornOlderLog } from './harness/leveldb.mjs';
import { serve } from './harness/server.mjs';
import { evaluateWithin, openTab } from './harness/tab.mjs';
import { acknowledged, judgeIn, startWork } from './harness/workers.mjs';

const CUTS = SOAK ? 50 : Number(process.env.PUMICE_CUTS ?? 5);
const AGED = 66_000;
const STORAGES = ['opfs', 'indexeddb'];

/** How each is written. A database that is `fresh` is a new one in every round. */
const SCENARIOS = {
  fresh: { work: { pause: 5 }, fresh: true },
  steady: { work: { pause: 10, compactEvery: 1_000_000 } },
  // Above 16 MiB of log a database rotates and compacts by itself.
  rotation: { work: { pause: 20, bytes: 200_000, compactEvery: 1_000_000 } },
  compaction: { work: { pause: 5, compactEvery: 12 } },
  // A feed that does not go on keeps the segments it has yet to read, so every compaction takes more files.
  growth: { work: { pause: 5, compactEvery: 12 }, stalled: true },
};

let server;
let image;
before(async () => {
  server = await serve();
  image = await makeImage();
});
after(async () => {
  await killAll();
  await image?.remove();
  await server?.close();
});

test(`${CUTS} cuts of the power lose nothing`, { timeout: 120_000 + CUTS * 240_000 }, async ({ signal }) => {
  const profile = join(image.path, 'profile');
  const databases = STORAGES.flatMap(storage => Object.keys(SCENARIOS).map(scenario => (
    { storage, scenario, ...SCENARIOS[scenario], cuts: 0, acknowledged: 0, lost: 0, wrong: 0, refused: 0, lostByBrowser: 0, operations: 0 }
  )));
  const browserFigures = { cuts: CUTS, torn: 0, thrownAway: 0, tornIndex: 0 };
  for (let cut = 0; cut < CUTS; cut += 1) {
    // Out of time: the file system goes, and nothing may begin behind that.
    signal.throwIfAborted();
    const browser = await startChromium({ profile });
    await withCanary(browser, async (canary, cut) => {
      await canary.put(cut);
      if (cut === 0) await canary.putFile();
    }, cut);
    const begin = database => openAndWrite(browser, database, cut);
    const [old, fresh] = [databases.filter(one => !one.fresh), databases.filter(one => one.fresh)];
    await Promise.all(old.map(begin));
    if (cut === 0) await sleep(AGED);
    await Promise.all(fresh.map(begin));
    await sleep(1000 + Math.random() * (cut === 0 ? 1000 : 8000));
    // What is heard from here on may come from a sync that races the cut.
    for (const one of databases) one.heard = Math.max(one.operations, acknowledged(server, one.channel));
    await image.cutPower(cut % 4 === 3);
    await browser.kill();
    await image.restart();
    const seen = await look(profile, databases, cut);
    for (const figure of Object.keys(seen)) browserFigures[figure] += seen[figure];
  }
  report(databases);
  keep('browser-power-cuts-chromium', browserFigures);
  for (const one of databases) ok(one.acknowledged > CUTS * 3, `${one.scenario}, ${one.storage}: only ${one.acknowledged} operations`);
  equal(databases.reduce((sum, one) => sum + one.lost + one.wrong + one.refused, 0), 0, 'databases that lost something');
});

/** Has `one` written in a tab of its own; begins another database where it is to be fresh, or where the last one was lost. */
async function openAndWrite(browser, one, cut) {
  if (one.fresh || one.name === undefined) {
    one.name = `${one.scenario} ${one.storage} ${cut}`;
    one.operations = 0;
  }
  one.channel = encodeURIComponent(`${one.name} cut ${cut}`);
  const page = await openTab(browser, server);
  try {
    await startWork(page, { database: one.name, storage: one.storage, channel: one.channel, from: one.operations, stalled: one.stalled, ...one.work });
  } catch (error) {
    count(one, 'refused', `before cut ${cut + 1}: ${error.message}`);
  }
}

function count(one, verdict, details) {
  one[verdict] += 1;
  one.name = undefined;
  console.error(`${one.scenario} in ${one.storage}: ${verdict} ${details}`);
}

/** Runs `use` with page/canary.mjs in a tab. */
async function withCanary(browser, use, value) {
  const page = await openTab(browser, server);
  const result = await evaluateWithin(page, 'a canary', async ([use, value]) => (
    new Function('canary', 'value', `return (${use})(canary, value)`)(await import('/tests/page/canary.mjs'), value)
  ), [String(use), value]);
  await page.close();
  return result;
}

/** The storages that the browser has thrown away since round `cut` began. */
async function thrownAway(browser, cut) {
  const [indexeddb, opfs] = await withCanary(browser, async (canary, cut) => [
    await canary.get().then(found => found !== cut, () => true), !await canary.hasFile(),
  ], cut);
  return { indexeddb, opfs };
}

/** Opens every database after a cut, and counts what is missing. */
async function look(profile, databases, cut) {
  const [torn, olderIsTorn, indexIsTorn] = [await tornLogs(profile), await tornOlderLog(profile), await tornIndex(profile)];
  const browser = await startChromium({ profile });
  const found = [];
  for (const one of databases.filter(({ name }) => name !== undefined)) {
    const page = await openTab(browser, server);
    found.push([one, await judgeIn(page, {
      database: one.name, storage: one.storage, acknowledged: one.heard, bytes: one.work.bytes,
    })]);
    await page.close();
  }
  // Last, for Chromium throws it away while it runs.
  const gone = await thrownAway(browser, cut);
  const lost = Object.keys(gone).filter(storage => gone[storage]).join(' and ') || 'nothing';
  const state = torn => (torn ? 'torn' : 'whole');
  console.error(`cut ${cut + 1}: Chromium's log of IndexedDB is ${state(torn)}, its list of files is ${state(indexIsTorn)}, and it has thrown ${lost} away`);
  for (const [one, { verdict, operations, error }] of found) {
    one.cuts += 1;
    one.acknowledged += one.heard - one.operations;
    const details = `${verdict} after cut ${cut + 1}: ${one.heard} acknowledged, ${operations} found; ${error ?? ''}`;
    const isCutShort = olderIsTorn && one.storage === 'indexeddb' && verdict === 'lost';
    if (verdict !== 'intact') count(one, gone[one.storage] || isCutShort ? 'lostByBrowser' : verdict, details);
    one.operations = operations;
  }
  await browser.close();
  if (torn) {
    // What Chromium writes behind the tear it does not find again: what is in there now says nothing of the next cut.
    await removeIndexedDb(profile);
    for (const one of databases.filter(({ storage }) => storage === 'indexeddb')) one.name = undefined;
  }
  return { torn: Number(torn), thrownAway: Number(gone.indexeddb), tornIndex: Number(indexIsTorn) };
}

function report(databases) {
  for (const storage of STORAGES) {
    const figures = { cuts: 0, acknowledged: 0, lost: 0, wrong: 0, refused: 0, lostByBrowser: 0 };
    for (const one of databases.filter(one => one.storage === storage)) {
      for (const figure of Object.keys(figures)) figures[figure] += one[figure];
    }
    keep(`browser-power-cuts-${storage}`, figures);
  }
}
