// Bundles the TypeScript of src/js into the package: `node bundle.js PKG`, once wasm-pack has built there.
//
// Each entry becomes one module without imports, so that bundlers and pages without one have nothing to resolve. The
// exception is react, which is the application's own. There are no source maps: they would weigh more than the code.

import { build } from '../../tests/node_modules/esbuild/lib/main.js';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const pkg = process.argv[2];
const source = fileURLToPath(new URL('../../src/js/', import.meta.url));

/** What `inline.ts` carries inside: the worker as text and the wasm in base64. */
const embedded = {
  name: 'embedded',
  setup(build) {
    build.onResolve({ filter: /^pumice:/ }, ({ path }) => ({ path, namespace: 'embedded' }));
    build.onLoad({ filter: /./, namespace: 'embedded' }, async ({ path }) => {
      const [file, encoding] = { 'pumice:worker': ['worker.js', 'utf8'], 'pumice:wasm': ['pumice_bg.wasm', 'base64'] }[path];
      return { contents: await readFile(join(pkg, file), encoding), loader: 'text' };
    });
  },
};

/** The worker with the other module of wasm, which has encryption. */
const encrypted = {
  name: 'encrypted',
  setup(build) {
    build.onResolve({ filter: /\/pumice\.js$/ }, () => ({ path: join(pkg, 'pumice_encrypted.js') }));
  },
};

const bundle = (entries, { plugins = [], names = '[name]' } = {}) =>
  build({
    entryPoints: entries.map(name => join(source, `${name}.ts`)),
    outdir: pkg,
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    external: ['react'],
    legalComments: 'none',
    entryNames: names,
    plugins: [...plugins, embedded],
    logLevel: 'warning',
  });

await bundle(['index', 'worker', 'react']);
await bundle(['worker'], { plugins: [encrypted], names: '[name]-encrypted' });
await bundle(['inline']);
