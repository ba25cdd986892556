/** Opens the database and starts the two halves of the page: the notes, and the engine that keeps them. */

import { workers } from './workers.js';
import { startNotes } from './notes.js';
import { startInspector } from './inspector.js';
import { startTrials } from './trials.js';
import { startSnapshots } from './snapshots.js';
import { text } from './dom.js';

const main = document.querySelector('#main');
for (const button of document.querySelectorAll('[data-view]:is(button)')) {
  button.addEventListener('click', () => {
    main.dataset.view = button.dataset.view;
    for (const other of document.querySelectorAll('[data-view]:is(button)')) {
      other.setAttribute('aria-pressed', String(other === button));
    }
  });
}

if ('serviceWorker' in navigator) {
  // Without it the page works as well, but not offline.
  navigator.serviceWorker.register('sw.js').catch((error) => console.warn('no offline use:', error));
}

try {
  const { open } = await import('./pkg/index.js');
  const db = await open('notes');
  await startNotes(db);
  startInspector(db);
  startTrials(db, workers);
  startSnapshots(db);
} catch (error) {
  text('#state', `The database does not open: ${error.message}`, 'bad');
  throw error;
}
