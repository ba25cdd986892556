// What a page does with Pumice: write, read, scan, follow, and keep a copy.

import { open, PumiceError } from 'pumice';

interface Note { title: string; done?: boolean }

const db = await open('quickstart');
const notes = db.collection<Note>('notes');

// In effect at once, in every tab, and over a change of leader.
const stop = notes.subscribe(changes => {
  for (const { type, key, document } of changes) console.log(type, key, document?.title);
});

// Resolves when the note survives a power cut, to the write's sequence number.
const sequence: number = await notes.put('2026-03-01', { title: 'Buy bread' });
const note: Note | undefined = await notes.get('2026-03-01');
console.log(sequence, note?.title);

// All or nothing.
await db.batch(batch => {
  batch.put('notes', '2026-03-02', { title: 'Bake bread' });
  batch.delete('notes', '2026-03-01');
});

for await (const [key, { title }] of notes.entries({ prefix: '2026-03-', reverse: true, limit: 50 })) {
  console.log(key, title);
}

try {
  await notes.put('', { title: 'without a key' });
} catch (error) {
  if (error instanceof PumiceError && error.code === 'invalid-argument') console.log(error.message);
}

// One file, which the native library and command line open too.
const copy: Blob = await db.exportSnapshot();
console.log(copy.size);

stop();
await db.close();
