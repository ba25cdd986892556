/** Writes the page of a run and its plot: `node report.mjs RESULTS PAGE PLOT`. */

import { readFileSync, writeFileSync } from 'node:fs';
import { bars, page } from './report/page.mjs';
import { ratios } from './report/plot.mjs';
import { Results } from './report/results.mjs';

const [from, pagePath, plotPath] = process.argv.slice(2);
const results = new Results(readFileSync(from, 'utf8'));
const method = readFileSync(new URL('report/method.md', import.meta.url), 'utf8');
writeFileSync(pagePath, page(results, method));
writeFileSync(plotPath, ratios(bars(results)));
