/** Things to try on the engine: a hundred thousand documents, and a crash in the midst of writing. */

import { $, number, onClick, text } from './dom.js';

const COUNT = 100_000;
const BATCH = 2_000;
const PLACES = ['Akureyri', 'Bergen', 'Cuzco', 'Dakar', 'Esfahan', 'Funchal', 'Galway', 'Hobart'];

/** @param {import('./pkg/index.js').Database} db */
export function startTrials(db, workers) {
  // A tab that follows asks the one that leads to kill its worker.
  const others = new BroadcastChannel('pumice-notes-demo');
  others.onmessage = () => workers.kill();
  const kill = () => {
    if (!workers.kill()) others.postMessage('kill');
  };
  const durability = () => $('#durability').value;

  onClick('#load', '#load-text', async () => {
    const readings = db.collection('readings');
    const start = performance.now();
    for (let from = 0; from < COUNT; from += BATCH) {
      const entries = Array.from({ length: BATCH }, (_, i) => [String(from + i).padStart(7, '0'), reading(from + i)]);
      await readings.putMany(entries, { durability: durability() });
      const done = from + BATCH;
      const seconds = (performance.now() - start) / 1000;
      $('#load-bar').value = done;
      text('#load-text', `${number(done)} documents in ${seconds.toFixed(2)} s: ${number(done / seconds)} a second, `
        + `${durability() === 'disk' ? 'each batch of 2,000 on the disk' : 'on the disk within 50 ms'}`);
    }
  });

  onClick('#unload', '#load-text', async () => {
    await db.collection('readings').drop();
    $('#load-bar').value = 0;
    text('#load-text', 'Removed. Compacting gives the room back.');
  });

  onClick('#crash', '#crash-text', async () => {
    const trial = db.collection('crash');
    await trial.drop();
    const acknowledged = [];
    const writing = [];
    for (let n = 0; n < 2000; n++) {
      const key = String(n).padStart(5, '0');
      writing.push(trial.put(key, { n }, { durability: 'disk' }).then(() => acknowledged.push(key)));
      if (n === 1000) kill();
      if (n % 50 === 0) await new Promise((resolve) => setTimeout(resolve));
    }
    const atCrash = performance.now();
    text('#crash-text', 'The worker is gone; the writes wait for the next one…');
    await Promise.all(writing);
    const seconds = (performance.now() - atCrash) / 1000;
    const there = new Set((await trial.getAll()).map(([key]) => key));
    const lost = acknowledged.filter((key) => !there.has(key)).length;
    await trial.drop();
    text('#crash-text', `Killed after 1,000 writes; ${number(acknowledged.length)} of 2,000 acknowledged, `
      + `${number(there.size)} there, ${lost} lost. Writing again after ${seconds.toFixed(2)} s at most.`,
    lost === 0 && there.size === 2000 ? 'good' : 'bad');
  });
}

function reading(n) {
  return {
    place: PLACES[n % PLACES.length],
    taken: new Date(1790000000000 + n * 60_000).toISOString(),
    temperature: Math.round(150 + 120 * Math.sin(n / 229)) / 10,
    humidity: (n * 37) % 100,
    ok: n % 97 !== 0,
  };
}
