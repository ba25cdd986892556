/** Guards against figures that are computed or judged wrongly, and documents that are not what the page says. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bars, page } from '../report/page.mjs';
import { ratios } from '../report/plot.mjs';
import { Results } from '../report/results.mjs';
import { BEHIND, isBehind, outcome, ROWS, targetText, verdict } from '../report/rows.mjs';
import { median, ratio, statistic } from '../report/statistics.mjs';
import { text } from '../report/units.mjs';
import { documentOf, entriesOf, keyOf } from '../src/documents.js';

const SETTING = {
  isQuick: false,
  rounds: 3,
  engines: ['pumice', 'dexie', 'wa-sqlite', 'sqlite', 'indexeddb', 'raw'],
  versions: { dexie: '4.0.0' },
  sizes: { documents: 100_000 },
  machine: {
    date: '2026-01-02',
    processor: 'P',
    cores: 2,
    memory: 8e9,
    kernel: '6',
    fileSystem: 'ext4',
    chromium: 'Chromium 1',
    sync: 1e-3,
  },
};

/** Figures of one measure by engine, each with its rounds. */
const FIGURES = [
  ['puts/page', { pumice: [4000, 6000, 5000], dexie: [900], sqlite: [2500] }],
  ['puts/worker', { sqlite: [10_000], 'wa-sqlite': [4000], raw: [20_000] }],
  ['first-get', { pumice: [0.05], 'wa-sqlite': [0.1], dexie: [0.2] }],
  ['size-churned', { pumice: [4e6], sqlite: [2e6] }],
  ['download', { pumice: [150e3], dexie: [30e3], indexeddb: [300] }],
];

function results({ setting = {}, busy = [0.1, 0.1] } = {}) {
  const lines = FIGURES.flatMap(([measure, engines]) =>
    Object.entries(engines).flatMap(([engine, values]) => values.map(value => ({ engine, measure, value }))),
  );
  const all = [{ setting: { ...SETTING, ...setting } }, ...lines, ...busy.map(busy => ({ busy }))];
  return new Results(`${all.map(line => JSON.stringify(line)).join('\n')}\n`);
}

const row = measure => ROWS.find(row => row.measure === measure);

test('the median is the middle, and the spread half of the range', () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 3, 2]), 2.5);
  // Numbers, not their texts, are in order.
  assert.equal(median([100, 9, 20]), 20);
  assert.deepEqual(statistic([4000, 6000, 5000]), { median: 5000, spread: 0.2 });
  assert.equal(statistic([]), undefined);
});

test('a ratio over one is good, for rates and for times', () => {
  assert.equal(ratio(200, 100, true), 2);
  assert.equal(ratio(200, 100, false), 0.5);
  const puts = outcome(row('puts/page'), results());
  assert.deepEqual([puts.best.engine, puts.best.ratio], ['sqlite', 2]);
  assert.deepEqual([puts.bestThere.engine, puts.bestThere.ratio], ['sqlite', 0.5]);
  assert.equal(puts.limit.ratio, 0.25);
  const get = outcome(row('first-get'), results());
  assert.deepEqual([get.best.engine, get.best.ratio], ['wa-sqlite', 2]);
  // What the browser brings is no download.
  assert.equal(outcome(row('download'), results()).best.engine, 'dexie');
});

test('a target is met or missed by the median', () => {
  const judged = measure => verdict(outcome(row(measure), results()));
  assert.equal(judged('puts/page'), '**missed**: 0.50 of it');
  assert.equal(judged('first-get'), 'met');
  assert.equal(judged('size-churned'), '**missed**: 0.75 of it');
  assert.equal(targetText(row('puts/page')), '≥ 1 × SQLite in its worker');
  assert.equal(targetText(row('size-churned')), '≤ 3.00 MB');
  assert.equal(outcome(row('churn'), results()), undefined);
});

test('the page has its day, its machine, its targets and its figures', () => {
  const written = page(results(), '## How it is measured\n');
  for (const part of [
    'Of 2026-01-02, Chromium 1, headless, on P (2 cores, 8.00 GB of memory), Linux 6, ext4, ' +
      'where an `fdatasync` takes 1.00 ms',
    'Dexie 4.0.0',
    '| durable put, awaited one by one | 5.00 k/s ±20 % | SQLite 2.50 k/s | 2.00 ' +
      '| SQLite 10.0 k/s | 0.50 | 20.0 k/s | 0.25 |',
    '| size after churn, by itself | 4.00 MB ±0 % | SQLite 2.00 MB | 0.50 ' +
      '| - | - | - | - | ≤ 3.00 MB | **missed**: 0.75 of it |',
    '## How it is measured',
  ]) {
    assert(written.includes(part), `${part} is not in\n${written}`);
  }
  assert(!written.includes('| Dexie | - | - | - | - |\n'), 'a row without figures');
  assert(!/quick run|was busy|undefined|NaN/.test(written), written);
});

test('a quick run and a busy machine say so, and judge nothing', () => {
  const written = page(results({ setting: { isQuick: true }, busy: [0.1, 1.5, 1.75] }), '');
  assert(written.includes('**A quick run.**') && written.includes('**The machine was busy.**'));
  assert(written.includes('others used 1.50 of the 2 cores in the median, and 1.75 at most'));
  assert(written.includes('| not judged |') && !written.includes('missed'));
});

test('the plot has a bar for each row that can be compared, on the right side of 1', () => {
  const shown = bars(results());
  assert.deepEqual(
    shown.map(({ ratio }) => ratio),
    [0.5, 2, 0.5, 0.2],
  );
  const svg = ratios(shown);
  assert(svg.startsWith('<svg') && svg.trimEnd().endsWith('</svg>') && !/NaN|undefined/.test(svg), svg);
  assert(svg.includes('durable put, awaited one by one') && svg.includes('0.50×'));
  const rects = [...svg.matchAll(/<rect x="(\d+)".* width="(\d+)"/g)].map(([, x, width]) => [
    Number(x),
    Number(width),
  ]);
  assert.equal(rects[0][0] + rects[0][1], rects[1][0], 'a worse ratio ends where a better one begins');
});

test('numbers have three digits and a unit that suits them', () => {
  assert.equal(text('perSecond', 1_234_567), '1.23 M/s');
  assert.equal(text('seconds', 0.000612), '612 µs');
  assert.equal(text('bytes', 999_900), '1.00 MB');
  assert.equal(text('bytes', 0), '0 B');
});

test('documents are 250 characters of JSON, the same each time, and another one for each number and version', () => {
  const texts = new Set();
  for (const number of [0, 1, 99_999, 100_000]) {
    for (const version of [0, 1]) {
      const made = JSON.stringify(documentOf(number, version));
      assert.equal(made.length, 250);
      assert.equal(made, JSON.stringify(documentOf(number, version)));
      texts.add(made);
    }
  }
  assert.equal(texts.size, 8);
  assert.deepEqual(
    entriesOf(7, 2).map(([key, { id }]) => [key, id]),
    [
      [keyOf(7), keyOf(7)],
      [keyOf(8), keyOf(8)],
    ],
  );
});

test('each reason is of a row, and is said where another one is ahead or the target was missed', () => {
  for (const work of Object.keys(BEHIND)) assert.ok(ROWS.some(row => row.work === work), work);
  const behind = measure => isBehind(outcome(row(measure), results()), true);
  assert.deepEqual(['puts/page', 'first-get', 'size-churned', 'download'].map(behind), [true, false, true, true]);
  assert.match(page(results(), ''), /\| durable put, awaited one by one \| the hop to the worker/);
  assert.doesNotMatch(page(results(), ''), /\| reload to first get \| a worker/);
});
