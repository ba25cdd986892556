/** Shows the engine at work: where the data is, its files to scale, the last lines of its log. */

import { $, bytes, download, element, number, onClick, text } from './dom.js';

/** How much of the log's end is shown. */
const LOG_BYTES = 6000;
/** More bytes than any log has. */
const WHOLE_LOG = 2 ** 40;
/** How often what changes without a write is looked at. */
const IDLE_MS = 2000;
/** Not more often than this, whatever happens. */
const BUSY_MS = 150;

/** @param {import('./pkg/index.js').Database} db */
export function startInspector(db) {
  let shown = '';
  let due = 0;
  let last = 0;

  async function refresh() {
    clearTimeout(due);
    last = performance.now();
    try {
      const [status, stats, log] = await Promise.all([db.status(), db.stats(), db.log(LOG_BYTES)]);
      drawPlace(status, stats);
      drawFiles(stats);
      drawLog(log);
    } catch (error) {
      text('#state', error.message, 'bad');
    }
    due = setTimeout(refresh, IDLE_MS);
  }

  /** Soon, but not at once for each of many changes. */
  function soon() {
    clearTimeout(due);
    due = setTimeout(refresh, Math.max(0, last + BUSY_MS - performance.now()));
  }

  function drawPlace(status, stats) {
    const place = { opfs: 'private file system (OPFS)', indexeddb: 'IndexedDB', memory: 'memory only' }[status.storage];
    const healthy = status.healthy ? '' : 'bad';
    text('#state', status.healthy ? `On this device, ${navigator.onLine ? 'no server needed' : 'offline'}`
      : 'Writing has stopped; reload the page', healthy);
    const facts = [
      ['Storage', place],
      ['This tab', status.leader ? 'leads: its worker has the files open' : 'follows: another tab leads'],
      ['Kept', status.persisted ? 'until you delete it' : 'as long as the browser has room'],
      ['Documents', number(stats.documents)],
      ['Last write', `number ${number(stats.sequence)}`],
    ];
    if (status.recovered) {
      facts.push(['Recovered', `${bytes(status.recovered.tornBytes)} of an unfinished write set aside`]);
    }
    $('#facts').replaceChildren(...facts.flatMap(([name, fact]) => [element('dt', {}, name), element('dd', {}, fact)]));
    $('#quota').value = status.quota ? status.usage / status.quota : 0;
    text('#quota-text', `${bytes(status.usage)} of ${bytes(status.quota)}`);
  }

  function drawFiles(stats) {
    const files = stats.files.filter(({ name }) => /\.(log|snapshot)$/.test(name));
    const largest = Math.max(1, ...files.map((file) => file.bytes));
    $('#files').replaceChildren(...files.map((file) => {
      const shape = element('span', { class: 'shape' });
      shape.style.width = `${(100 * file.bytes) / largest}%`;
      const name = element('span', { class: 'name' }, element('span', {}, file.name), element('span', {}, bytes(file.bytes)));
      return element('div', { class: file.name.endsWith('.snapshot') ? 'file snapshot' : 'file' }, name, shape);
    }));
    text('#files-text', `${stats.segments} log ${stats.segments === 1 ? 'segment' : 'segments'} with `
      + `${bytes(stats.logBytes)}, snapshots with ${bytes(stats.snapshotBytes)}. `
      + `${stats.compactions} compactions since the worker started.`);
  }

  function drawLog(log) {
    if (log === shown) return;
    const old = new Set(shown.split('\n'));
    const first = shown === '';
    shown = log;
    const view = $('#log');
    const atEnd = view.scrollTop + view.clientHeight >= view.scrollHeight - 20;
    view.replaceChildren(...log.split('\n').filter(Boolean).map((line) =>
      element('span', { class: first || old.has(line) ? 'line' : 'line fresh' }, line)));
    if (atEnd || first) view.scrollTop = view.scrollHeight;
  }

  onClick('#compact', '#compacted', async () => {
    const start = performance.now();
    await db.compact();
    text('#compacted', `Done in ${number(performance.now() - start)} ms`);
    await refresh();
  });
  onClick('#download', '#state', async () => {
    download(new Blob([await db.log(WHOLE_LOG)], { type: 'application/x-ndjson' }), 'notes.log');
  });
  (async () => {
    for await (const _ of db.changes()) soon();
  })().catch((error) => console.warn('the change feed ended:', error));
  refresh();
}
