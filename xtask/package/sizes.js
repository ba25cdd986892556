// Prints what a page loads, and fails where that is more kB than `LIMIT` after brotli at its best: `node sizes.js PKG LIMIT`.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const [pkg, limit] = process.argv.slice(2);

const brotli = bytes =>
  brotliCompressSync(bytes, {
    params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length },
  });
const sizes = async file => {
  const bytes = await readFile(join(pkg, file));
  return [bytes.length, gzipSync(bytes, { level: 9 }).length, brotli(bytes).length];
};

const LOADED = ['index.js', 'worker.js', 'pumice_bg.wasm'];
const loaded = await Promise.all(LOADED.map(sizes));
const total = loaded.reduce((sum, size) => sum.map((bytes, i) => bytes + size[i]), [0, 0, 0]);
const ENCRYPTED = ['worker-encrypted.js', 'pumice_encrypted_bg.wasm'];
const rows = [
  ...LOADED.map((file, i) => [file, loaded[i]]),
  ['what open() loads', total],
  ...await Promise.all(ENCRYPTED.map(async file => [file, await sizes(file)])),
  ['react.js, on top', await sizes('react.js')],
  ['inline.js, instead', await sizes('inline.js')],
];

const columns = cells => cells.map(cell => cell.padStart(9)).join('');
console.log(`${'kB'.padEnd(20)}${columns(['raw', 'gzip', 'brotli'])}`);
for (const [name, size] of rows) {
  console.log(`${name.padEnd(20)}${columns(size.map(bytes => (bytes / 1000).toFixed(1)))}`);
}
if (total[2] > limit * 1000) {
  console.error(`error: open() loads ${(total[2] / 1000).toFixed(1)} kB after brotli; ${limit} kB are allowed`);
  process.exit(1);
}
