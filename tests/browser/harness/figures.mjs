/** The figures of a test run, for docs/reliability.md: the form of tests/support/figures.rs. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Prints `figures`, and keeps them as `NAME.json` where the variable `PUMICE_FIGURES` names a folder. */
export function keep(name, figures) {
  const json = `${JSON.stringify(figures)}\n`;
  process.stdout.write(`${name}: ${json}`);
  const folder = process.env.PUMICE_FIGURES;
  if (folder) {
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `${name}.json`), json);
  }
}

/** True in a soak, where tests try many times as much. */
export const SOAK = process.env.PUMICE_SOAK !== undefined;
