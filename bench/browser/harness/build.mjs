/** Bundles a folder of files for each engine, as an application would be: page, worker, wasm. */

import { build } from 'esbuild';
import { copyFile, mkdir, readFile, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync } from 'node:zlib';
import { ENGINES } from './engines.mjs';

const path = relative => fileURLToPath(new URL(relative, import.meta.url));
const SOURCE = path('../src');
const PACKAGE = path('../../../pkg');

const bundle = (contents, options) =>
  build({
    stdin: { contents, resolveDir: SOURCE },
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'esnext',
    alias: { pumice: join(PACKAGE, 'index.js') },
    legalComments: 'none',
    logLevel: 'error',
    ...options,
  });

/** What is loaded beside the bundle, as paths of files. */
function besides(name) {
  if (name === 'pumice') return [join(PACKAGE, 'worker.js'), join(PACKAGE, 'pumice_bg.wasm')];
  const { wasm } = ENGINES[name];
  return wasm ? [path(`../node_modules/${wasm}`)] : [];
}

/** Fills `folder`, which it empties first, with one for each of `names`. */
export async function buildAll(folder, names) {
  await rm(folder, { recursive: true, force: true });
  for (const name of names) {
    const into = join(folder, name);
    await mkdir(into, { recursive: true });
    const adapter = `./engines/${name}.js`;
    const inWorker = ENGINES[name].in === 'worker';
    const page = inWorker
      ? `import { runInWorker } from './page.js'; runInWorker();`
      : `import engine from '${adapter}'; import { runInPage } from './page.js'; runInPage(engine);`;
    await bundle(page, { outfile: join(into, 'page.js') });
    if (inWorker) {
      const worker = `import texts from '${adapter}'; import { host } from './worker.js'; host(texts);`;
      await bundle(worker, { outfile: join(into, 'worker.js') });
    }
    await copyFile(join(SOURCE, 'page.html'), join(into, 'index.html'));
    for (const file of besides(name)) await copyFile(file, join(into, basename(file)));
  }
}

/** What a user downloads for the engine and its adapter, in bytes after brotli at its best. */
export async function download(name) {
  const built = await bundle(`export { default } from './engines/${name}.js';`, { write: false });
  const files = [built.outputFiles[0].contents, ...(await Promise.all(besides(name).map(file => readFile(file))))];
  return files.reduce((sum, file) => sum + brotliCompressSync(file).length, 0);
}
