/** Imports modules of `src/js/` into Node, for tests of what needs no browser. */

import { build } from 'esbuild';
import { fileURLToPath } from 'node:url';

/** The exports of all `modules` (`'range.ts'`), as one object. */
export async function source(...modules) {
  const folder = fileURLToPath(new URL('../../../src/js', import.meta.url));
  const { outputFiles } = await build({
    stdin: { contents: modules.map(module => `export * from './${module}';`).join('\n'), resolveDir: folder },
    bundle: true, format: 'esm', target: 'es2022', write: false,
  });
  return import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString('base64')}`);
}
