// Numbers what the wasm imports: `node names.js PKG NAME`, once wasm-opt has run.
//
// wasm-bindgen ends the names of imports with hashes, in the wasm and in its JavaScript alike. Each is 8 bytes that do not
// pack, and a number of the same length does.

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const [pkg, name] = process.argv.slice(2);
const numbers = new Map();
const numberOf = hash => {
  if (!numbers.has(hash)) numbers.set(hash, String(numbers.size).padStart(hash.length, '0'));
  return numbers.get(hash);
};

for (const file of [`${name}_bg.wasm`, `${name}.js`]) {
  const path = join(pkg, file);
  // Every byte is a character of latin1.
  const text = await readFile(path, 'latin1');
  await writeFile(path, text.replace(/(?<=__wbg_\w+_)[0-9a-f]{16}\b/g, numberOf), 'latin1');
}
