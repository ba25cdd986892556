// Removes the types that no entry leads to: `node types.js PKG`. tsc writes those of every file.

import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';

const types = join(process.argv[2], 'types');
const reached = new Set();

async function follow(name) {
  if (reached.has(name)) return;
  reached.add(name);
  const text = await readFile(join(types, name), 'utf8');
  for (const [, file] of text.matchAll(/(?:from |import\()'\.\/(.+?)\.js'/g)) await follow(`${file}.d.ts`);
}
for (const entry of ['index', 'inline', 'react', 'worker']) await follow(`${entry}.d.ts`);

for (const name of await readdir(types)) {
  if (!reached.has(name)) await rm(join(types, name), { recursive: true });
}
