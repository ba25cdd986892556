/** The whole database as one file, out and in. */

import { $, bytes, download, onClick, text } from './dom.js';

const OUTPUT = '#snapshot-text';

/** @param {import('./pkg/index.js').Database} db */
export function startSnapshots(db) {
  onClick('#export', OUTPUT, async () => {
    const file = await db.exportSnapshot();
    download(file, 'notes.snapshot');
    text(OUTPUT, `Exported ${bytes(file.size)}. On a server: pumice restore notes.snapshot DB`);
  });

  const input = $('#import');
  input.addEventListener('change', async () => {
    const [file] = input.files;
    // So that the same file can be chosen again.
    input.value = '';
    if (!file || !confirm(`Replace everything in this database by ${file.name}?`)) return;
    text(OUTPUT, `Importing ${file.name}…`);
    try {
      await db.importSnapshot(file);
      text(OUTPUT, `Imported ${file.name}, ${bytes(file.size)}`, 'good');
    } catch (error) {
      text(OUTPUT, `Nothing was changed: ${error.message}`, 'bad');
    }
  });
}
