/** docs/benchmarks-browser.md. */

import { ENGINES } from '../harness/engines.mjs';
import { BEHIND, isBehind, outcome, ROWS, targetText, verdict } from './rows.mjs';
import { median } from './statistics.mjs';
import { count, percent, text, threeDigits } from './units.mjs';

/** `method` is the part of the page that no run changes. */
export function page(results, method) {
  return [
    '# Benchmarks in the browser\n',
    '<!-- `cargo xtask bench --browser` writes this page and its plot anew; a change made by hand would be lost. ' +
      '-->\n',
    'Pumice beside other ways to store documents in Chromium, and beside the limit: lines appended to a file in ' +
      'OPFS with no checksums and an index in memory. All get the same documents with the same durability, in one ' +
      'run on one machine. ' +
      '[benchmarks.md](benchmarks.md) has the native figures.\n',
    ...warnings(results),
    setting(results),
    ...targets(results),
    ...reasons(results),
    '## Plot\n',
    '![Pumice against the best of the others](benchmarks/browser-ratios.svg)\n',
    'The best of the others in the page, or in its worker where that is quicker.\n',
    ...figures(results),
    method,
  ].join('\n');
}

/** What the plot shows: each row that has another engine to compare with. */
export const bars = results =>
  ROWS.flatMap(row => {
    const { best, bestThere } = outcome(row, results) ?? {};
    const ratios = [best, bestThere].flatMap(at => (at === undefined ? [] : [at.ratio]));
    return ratios.length === 0 ? [] : [{ name: fullName(row), ratio: Math.min(...ratios) }];
  });

/** Without "the same", which only reads well below the row before. */
function fullName(row) {
  if (!row.work.startsWith('the same')) return row.work;
  const before = ROWS.slice(0, ROWS.indexOf(row)).findLast(({ work }) => !work.startsWith('the same'));
  return row.work.replace('the same', before.work.split(',')[0]);
}

function warnings({ setting: { isQuick }, busy }) {
  const lines = [];
  if (isQuick) {
    lines.push(
      '> **A quick run.** Small databases and short times show only that everything works. The figures say ' +
        'little, the targets are for larger databases and so not judged, and no conclusion should be drawn.\n',
    );
  }
  if (median(busy) > 0.2) {
    lines.push('> **The machine was busy.** Something else ran beside it and is in the figures.\n');
  }
  return lines;
}

function setting({ setting: { machine, rounds, engines, versions }, busy }) {
  const named = engines.map(name =>
    versions[name] ? `${ENGINES[name].title} ${versions[name]}` : ENGINES[name].title,
  );
  return (
    `Of ${machine.date}, ${machine.chromium}, headless, on ${machine.processor} (${machine.cores} cores, ` +
    `${text('bytes', machine.memory)} of memory), Linux ${machine.kernel}, ${machine.fileSystem}, where an ` +
    `\`fdatasync\` takes ${text('seconds', machine.sync)}. Rounds: ${rounds}. Engines: ${named.join(', ')}. ` +
    '250-byte JSON documents. ' +
    `Right before the pieces of work, others used ${threeDigits(median(busy))} of the ${machine.cores} cores in the ` +
    `median, and ${threeDigits(Math.max(...busy))} at most.\n`
  );
}

function targets(results) {
  const { documents } = results.setting.sizes;
  const rows = ROWS.flatMap(row => {
    const found = outcome(row, results);
    if (found === undefined) return [];
    const judged = results.setting.isQuick && row.target !== undefined ? 'not judged' : verdict(found);
    return [
      [
        row.work,
        figure(row.unit, found.pumice),
        ...compared(row, found.best),
        ...compared(row, found.bestThere),
        ...(found.limit ? [text(row.unit, found.limit.at.median), threeDigits(found.limit.ratio)] : ['-', '-']),
        targetText(row),
        judged,
      ],
    ];
  });
  return [
    '## Targets\n',
    'A ratio above 1 is good for Pumice, for rates, times and sizes alike. Only ratios within one run mean ' +
      `something, and one between 0.7 and 1.3 is a tie. The database has ${count(documents)} documents. Pumice is ` +
      'called from the page, as always. SQLite, wa-sqlite and raw OPFS need a worker: called from the page, as by an ' +
      'application that has its documents there, or from code within that worker, which saves a message for each ' +
      'call.\n',
    table(
      [
        'work',
        'Pumice',
        'best other, from the page',
        'ratio',
        'best other, in its worker',
        'ratio',
        'limit',
        'ratio to it',
        'target',
        '',
      ],
      rows,
    ),
  ];
}

function reasons(results) {
  const rows = ROWS.flatMap(row => {
    const found = outcome(row, results);
    if (found === undefined || !isBehind(found, !results.setting.isQuick)) return [];
    return [[fullName(row), ...(BEHIND[row.work] ?? ['not looked into', 'a profile'])]];
  });
  return [
    '## Where Pumice is not first\n',
    'Or misses its target, in this run: why, as far as profiles tell, and what is to be tried next.\n',
    table(['work', 'why', 'next'], rows),
  ];
}

const compared = (row, found) =>
  found
    ? [`${ENGINES[found.engine].title} ${text(row.unit, found.at.median)}`, threeDigits(found.ratio)]
    : ['-', '-'];

const figure = (unit, { median, spread }) => `${text(unit, median)} ±${percent(spread)}`;

/** Tables of all figures: title, and columns of title, measure and unit. */
const TABLES = [
  [
    'Reads from the page',
    [
      ['get', 'gets/page', 'perSecond'],
      ['getMany', 'get-many/page', 'perSecond'],
      ['gets in one microtask', 'gets-together/page', 'perSecond'],
      ['getAll', 'get-all/page', 'perSecond'],
    ],
  ],
  [
    'Writes from the page',
    [
      ['put', 'puts/page', 'perSecond'],
      ['99 of 100 puts take at most', 'puts-p99/page', 'seconds'],
      ['bulk load', 'load/page', 'perSecond'],
      ['churn', 'churn', 'perSecond'],
    ],
  ],
  [
    'In the worker',
    [
      ['get', 'gets/worker', 'perSecond'],
      ['getMany', 'get-many/worker', 'perSecond'],
      ['getAll', 'get-all/worker', 'perSecond'],
      ['put', 'puts/worker', 'perSecond'],
      ['99 of 100 puts take at most', 'puts-p99/worker', 'seconds'],
      ['bulk load', 'load/worker', 'perSecond'],
    ],
  ],
  [
    'Starting',
    [
      ['cold start to first put', 'first-put', 'seconds'],
      ['reload to first get', 'first-get', 'seconds'],
      ['the same, a tenth of the documents', 'first-get-small', 'seconds'],
      ['reload to all documents', 'all-documents', 'seconds'],
    ],
  ],
  [
    'In a new database',
    [
      ['bulk load', 'fresh-load', 'perSecond'],
      ['put', 'fresh-puts', 'perSecond'],
      ['reload to first get', 'fresh-first-get', 'seconds'],
      ['size', 'fresh-size', 'bytes'],
    ],
  ],
  [
    'Sizes',
    [
      ['loaded and closed', 'size-loaded', 'bytes'],
      ['compacted', 'size-rest', 'bytes'],
      ['after churn', 'size-churned', 'bytes'],
      ['download', 'download', 'bytes'],
    ],
  ],
];

function figures(results) {
  const parts = [
    '## All figures\n',
    'The median of all rounds, and half the distance between the lowest and the highest of them.\n',
  ];
  for (const [title, columns] of TABLES) {
    const rows = results.setting.engines.map(engine => {
      const cells = columns.map(([, measure, unit]) => [unit, results.of(engine, measure)]);
      return cells.every(([, at]) => at === undefined)
        ? undefined
        : [ENGINES[engine].title, ...cells.map(([unit, at]) => (at ? figure(unit, at) : '-'))];
    });
    parts.push(`### ${title}\n`, table(['', ...columns.map(([title]) => title)], rows.filter(Boolean)));
  }
  return parts;
}

function table(head, rows) {
  const lines = [head, head.map(() => '---'), ...rows].map(cells => `| ${cells.join(' | ')} |`);
  return `${lines.join('\n').replaceAll('|  |', '| |')}\n`;
}
