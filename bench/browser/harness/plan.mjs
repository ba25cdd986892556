/** What is done with an engine in one round. Each part has a profile of its own and tells its figures to
 *  `note(measure, value)`.
 *
 *  A place is where the work runs: in the page, or beside the engine in its worker, for engines that have one. */

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { ENGINES } from './engines.mjs';
import { stored, withPage, withProfile } from './session.mjs';

export const WHOLE = {
  documents: 100_000,
  puts: 2000,
  seconds: 1.5,
  reloads: 3,
  churned: 10_000,
  churns: 10,
  rounds: 5,
  idle: 3000,
  ageing: 66_000,
};
export const QUICK = {
  documents: 10_000,
  puts: 100,
  seconds: 0.2,
  reloads: 1,
  churned: 1000,
  churns: 3,
  rounds: 1,
  idle: 200,
  ageing: 1000,
};

/** In a worker, calls are answered one after the other, so there are no gets together. */
const READS = { page: ['gets', 'get-many', 'gets-together', 'get-all'], worker: ['gets', 'get-many', 'get-all'] };

export const PARTS = [fresh, speed, sizes, churn];

/** Makes a profile below `folder` in which the database has been open for a while, with one document in it: what is new
 *  gets more care from Pumice in its first minute. */
export async function aged({ name, url, folder, sizes: { ageing } }) {
  const profile = join(folder, `aged-${name}`);
  await mkdir(profile);
  await withPage(profile, url, async page => {
    await page.visit('first-put');
    await setTimeout(ageing);
    await page.work('close');
  });
  return profile;
}

/** An origin that was never visited. */
async function fresh({ name, url, folder, sizes: { documents, puts, seconds, idle }, note }) {
  await withProfile(folder, undefined, async profile => {
    await withPage(profile, url, async page => {
      note('first-put', await page.visit('first-put'));
      note('fresh-load', await page.work('load', { documents }));
      note('fresh-puts', (await page.work('puts', { puts, seconds: 2 * seconds, name: 'page' })).rate);
      await setTimeout(idle);
      await page.work('close');
      note('fresh-first-get', await page.visit('first-get', documents));
      await page.work('close');
    });
    note('fresh-size', await stored(profile));
  });
}

async function speed({ name, url, folder, profile, sizes: { documents, seconds, puts, reloads }, note }) {
  const places = ENGINES[name].in === 'worker' ? ['page', 'worker'] : ['page'];
  await withProfile(folder, profile, copy =>
    withPage(copy, url, async page => {
      await page.visit('open');
      note('load/page', await page.work('load', { documents }));
      await page.work('close');
      for (const work of ['first-get', 'all-documents']) {
        for (let times = 0; times < reloads; times++) {
          note(work, await page.visit(work, documents));
          await page.work('close');
        }
      }
      await page.visit('open');
      for (const place of places) {
        for (const work of READS[place]) {
          note(`${work}/${place}`, await page.work(work, { documents, seconds }, place));
        }
      }
      for (const place of places) {
        const { rate, p99 } = await page.work('puts', { puts, seconds: 2 * seconds, name: place }, place);
        note(`puts/${place}`, rate);
        note(`puts-p99/${place}`, p99);
      }
      if (ENGINES[name].isLimit) note('parse', await page.work('parse', { documents }));
      await page.work('close');
    }),
  );
}

async function sizes({ name, url, folder, profile, sizes: { documents, idle }, note }) {
  const place = ENGINES[name].in;
  await withProfile(folder, profile, async copy => {
    await withPage(copy, url, async page => {
      await page.visit('open');
      const rate = await page.work('load', { documents }, place);
      if (place === 'worker') note('load/worker', rate);
      await setTimeout(idle);
      await page.work('close');
    });
    note('size-loaded', await stored(copy));
    await withPage(copy, url, async page => {
      await page.visit('open');
      await page.work('compact');
      await page.work('close');
    });
    note('size-rest', await stored(copy));
  });
}

async function churn({ url, folder, profile, sizes: { churned, churns, idle }, note }) {
  await withProfile(folder, profile, async copy => {
    await withPage(copy, url, async page => {
      await page.visit('open');
      const rates = [];
      for (let version = 0; version <= churns; version++) {
        rates.push(await page.work('load', { documents: churned, version }));
      }
      // The first only fills it.
      const seconds = rates.slice(1).reduce((sum, rate) => sum + churned / rate, 0);
      note('churn', (churned * churns) / seconds);
      await setTimeout(idle);
      await page.work('close');
      note('first-get-small', await page.visit('first-get', churned));
      await page.work('close');
    });
    note('size-churned', await stored(copy));
  });
}
