// The package as npm would publish it.

import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);

export const root = fileURLToPath(new URL('../../../', import.meta.url));
/** Where applications are built. What is installed there stays for the next run. */
export const work = join(process.env.PUMICE_TARGET ?? join(root, 'target'), 'package');

/** Packs `pkg/`: the path of the tarball, and the paths inside of it. */
export async function pack() {
  await mkdir(work, { recursive: true });
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', work], { cwd: join(root, 'pkg') });
  // npm 11 prints an array, later ones an object by name.
  const [{ filename, files }] = Object.values(JSON.parse(stdout));
  return { tarball: join(work, filename), files: files.map(file => file.path).sort() };
}
