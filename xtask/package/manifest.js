// Completes the manifest that wasm-pack made: `node manifest.js PKG`.
//
// Name, version and description come from Cargo.toml by way of wasm-pack; what `pkg.json` says is added or replaces.

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const pkg = process.argv[2];
const read = async path => JSON.parse(await readFile(path, 'utf8'));

const manifest = join(pkg, 'package.json');
const { name, version, description } = await read(manifest);
const ours = await read(new URL('../../pkg.json', import.meta.url));
await writeFile(manifest, `${JSON.stringify({ name, version, description, ...ours }, null, 2)}\n`);
