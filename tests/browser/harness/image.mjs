/** A file system on a loop device whose power can be cut. Needs root; the approach is that of reliability/src/mount.rs. */

import { execFile, spawn } from 'node:child_process';
import { access, mkdir, mkdtemp, open, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { within } from './patience.mjs';

const execute = promisify(execFile);
/** A program that hangs in the kernel cannot be killed, but left. */
const run = (program, args) => within(`${program} ${args.join(' ')}`, execute(program, args));
/** The file is sparse. On a small disk Chromium deletes what it stores for origins, to make room. */
const MEGABYTES = 8192;

/** Makes an ext4 file system in a new file and mounts it at `.path`. */
export async function makeImage() {
  const folder = await mkdtemp(join(tmpdir(), 'pumice-image-'));
  const [image, path] = [join(folder, 'image'), join(folder, 'mounted')];
  const file = await open(image, 'w');
  await file.truncate(MEGABYTES * 1024 * 1024);
  await file.close();
  await run('mkfs.ext4', ['-qF', image]);
  await mkdir(path);
  const mount = () => run('mount', ['-o', 'loop', image, path]).catch(error => {
    throw new Error(`cannot mount an image: that takes root, a loop device and ext4 in the kernel (${error.message})`);
  });
  await mount();
  // Lazily, for whatever still holds a file must not keep the mount.
  const leave = () => spawn('umount', ['-l', path], { stdio: 'ignore', detached: true }).unref();
  process.on('exit', leave);

  return {
    path,
    /** Nothing that is not on the device by now gets there. The journal's pending part goes too, unless `flushJournal`. */
    async cutPower(flushJournal) {
      // Where it is not mounted any more, that would be the power of the machine's own file system.
      if ((await stat(path)).dev === (await stat(folder)).dev) throw new Error(`${path} is not mounted`);
      await run('xfs_io', ['-x', '-c', flushJournal ? 'shutdown -f' : 'shutdown', path]);
      const stillWrites = await writeFile(join(path, 'a probe'), 'x').then(() => true, () => false);
      if (stillWrites) throw new Error('`xfs_io -c shutdown` did not shut the file system down');
    },
    /** Unmounts and mounts again, as after a start of the machine. Whoever had files open must be dead. */
    async restart() {
      for (let tries = 1; ; tries += 1) {
        const error = await run('umount', [path]).then(() => undefined, error => error);
        if (error === undefined) break;
        if (tries === 250) throw error;
        // Whoever was killed may not have let go of its files yet.
        await sleep(20);
      }
      await mount();
    },
    async remove() {
      process.off('exit', leave);
      await run('umount', ['-l', path]);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Why this machine cannot, or undefined. */
export async function missing() {
  for (const tool of ['/usr/sbin/mkfs.ext4', '/usr/sbin/xfs_io']) {
    if (!await access(tool).then(() => true, () => false)) return `${tool} is missing`;
  }
  return process.getuid() === 0 ? undefined : 'it takes root';
}
