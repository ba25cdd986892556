/** Runs the plan with every engine by turns, another one first in each round, and leaves JSON lines: the setting,
 *  then a line for each figure.
 *
 *      node run.mjs --results FILE --dir FOLDER [--quick] [--rounds N] [--engines pumice,dexie]
 */

import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { buildAll, download } from './harness/build.mjs';
import { ENGINES, names } from './harness/engines.mjs';
import { coresInUse, thisMachine } from './harness/machine.mjs';
import { aged, PARTS, QUICK, WHOLE } from './harness/plan.mjs';
import { serve } from './harness/server.mjs';

const { values: options } = parseArgs({
  options: {
    results: { type: 'string' },
    dir: { type: 'string' },
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    engines: { type: 'string', default: names.join(',') },
  },
});
const sizes = options.quick ? QUICK : WHOLE;
const rounds = Number(options.rounds ?? sizes.rounds);
const engines = options.engines.split(',');
for (const name of engines) if (!names.includes(name)) throw new Error(`no such engine: ${name}; there are ${names}`);

mkdirSync(options.dir, { recursive: true });
const folder = mkdtempSync(join(resolve(options.dir), 'browser-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const site = join(folder, 'site');
await buildAll(site, engines);
const server = await serve(site);
const write = line => appendFileSync(options.results, `${JSON.stringify(line)}\n`);

const chromium = execFileSync(process.env.PUMICE_CHROMIUM ?? '/usr/bin/chromium', ['--version'], {
  encoding: 'utf8',
  stdio: ['ignore', 'pipe', 'ignore'],
});
writeFileSync(options.results, '');
write({
  setting: {
    isQuick: options.quick,
    rounds,
    engines,
    sizes,
    versions: Object.fromEntries(
      engines.flatMap(name => (ENGINES[name].npm ? [[name, version(ENGINES[name].npm)]] : [])),
    ),
    machine: thisMachine(folder, chromium.trim().split(' ').slice(0, 2).join(' ')),
  },
});
for (const name of engines) write({ engine: name, measure: 'download', value: await download(name) });

const urlOf = name => `${server.origin}/${name}/`;
const profiles = Object.fromEntries(
  await Promise.all(engines.map(async name => [name, await aged({ name, folder, sizes, url: urlOf(name) })])),
);

for (let round = 0; round < rounds; round++) {
  const turn = round % engines.length;
  for (const part of PARTS) {
    for (const name of [...engines.slice(turn), ...engines.slice(0, turn)]) {
      const busy = await coresInUse();
      const start = performance.now();
      await part({
        name,
        folder,
        sizes,
        url: urlOf(name),
        profile: profiles[name],
        note: (measure, value) => write({ engine: name, round, measure, value }),
      });
      write({ engine: name, round, busy });
      const seconds = ((performance.now() - start) / 1000).toFixed(1);
      console.log(`round ${round + 1} of ${rounds}, ${part.name}, ${ENGINES[name].title}: ${seconds} s`);
    }
  }
}
server.close();

function version(npm) {
  const { packages } = JSON.parse(readFileSync(new URL('package-lock.json', import.meta.url), 'utf8'));
  return packages[`node_modules/${npm}`].version;
}
