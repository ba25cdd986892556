/** The day and the machine of a run, and how busy others keep it. */

import { execFileSync } from 'node:child_process';
import { closeSync, fdatasyncSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { median } from '../report/statistics.mjs';

/** `folder` is where the databases will be. */
export const thisMachine = (folder, chromium) => ({
  date: new Date().toISOString().slice(0, 10),
  processor: cpus()[0].model,
  cores: availableParallelism(),
  memory: totalmem(),
  kernel: release(),
  fileSystem: execFileSync('findmnt', ['-no', 'FSTYPE', '-T', folder], { encoding: 'utf8' }).trim(),
  chromium,
  sync: syncSeconds(folder),
});

function syncSeconds(folder) {
  const path = join(folder, 'sync');
  const file = openSync(path, 'w');
  const block = Buffer.alloc(4096, 1);
  const taken = [];
  for (let times = 0; times < 100; times++) {
    writeSync(file, block);
    const start = performance.now();
    fdatasyncSync(file);
    taken.push((performance.now() - start) / 1000);
  }
  closeSync(file);
  rmSync(path);
  return median(taken);
}

/** How many cores are used at the moment, while this process only waits. */
export async function coresInUse() {
  const before = times();
  await setTimeout(500);
  const after = times();
  return (1 - (after.idle - before.idle) / (after.all - before.all)) * availableParallelism();
}

function times() {
  const [, ...values] = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0].split(/ +/);
  const [idle, waiting] = values.slice(3, 5).map(Number);
  return { idle: idle + waiting, all: values.reduce((sum, value) => sum + Number(value), 0) };
}
