// A fresh application that depends on the package: installed from its lock file, then the tarball.

import { execFile } from 'node:child_process';
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { work } from './packed.js';

const fixtures = fileURLToPath(new URL('../', import.meta.url));

/** Installs the fixture `name` and the package into a folder of its own; returns that folder. */
export async function application(name, tarball) {
  const dir = join(work, name);
  await mkdir(dir, { recursive: true });
  const old = ['node_modules/pumice', 'dist', '.next'];
  await Promise.all(old.map(path => rm(join(dir, path), { recursive: true, force: true })));
  await cp(join(fixtures, name), dir, { recursive: true });
  await install(dir);
  await npm(dir, 'install', '--no-save', '--no-package-lock', tarball);
  return dir;
}

/** `npm ci`, unless exactly this was installed before. */
async function install(dir) {
  const wanted = await readFile(join(dir, 'package-lock.json'), 'utf8');
  const mark = join(dir, 'node_modules/.installed');
  if ((await readFile(mark, 'utf8').catch(() => '')) === wanted) return;
  await npm(dir, 'ci');
  await writeFile(mark, wanted);
}

const npm = (dir, ...args) => run('npm', [...args, '--no-audit', '--no-fund', '--prefer-offline'], dir);

/** Runs a program in `cwd`; where it fails, the error has what it said, without the lines of bundled code. */
export async function run(file, args, cwd) {
  const env = { ...process.env, NEXT_TELEMETRY_DISABLED: '1' };
  try {
    await promisify(execFile)(file, args, { cwd, env, maxBuffer: 1 << 26 });
  } catch (error) {
    const said = `${error.stdout}\n${error.stderr}`.split('\n').map(line => line.slice(0, 300));
    throw new Error(`${file} ${args.join(' ')} failed in ${cwd}\n${said.join('\n')}`);
  }
}
