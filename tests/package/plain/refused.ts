// What the types must refuse, and what they must say. A line that is not refused is an error itself.

import { open, type Change, type Database, type Json } from 'pumice';
import * as inline from 'pumice/inline';
import { useCollection, useDocument } from 'pumice/react';

interface Note { title: string }
declare const db: Database;
const notes = db.collection<Note>('notes');

// @ts-expect-error a number is no key
void notes.get(1);
// @ts-expect-error not a Note
void notes.put('a', { name: 'x' });
// @ts-expect-error a document is needed
void notes.put('a');
// @ts-expect-error no such durability
void notes.put('a', { title: 'x' }, { durability: 'maybe' });
// @ts-expect-error no such storage
void open('a', { storage: 'cookies' });
// @ts-expect-error a passphrase or a key, not both
void open('a', { encryption: { passphrase: 'a', key: new Uint8Array(32), } satisfies { passphrase: string } });
// @ts-expect-error a key is no text
void open('a', { encryption: { key: 'a' } });
// @ts-expect-error a name is needed
void open();
// @ts-expect-error no such bound
void notes.getAll({ after: 'a' });
// @ts-expect-error a batch takes JSON only
void db.batch(batch => batch.put('notes', 'a', new Date()));
// @ts-expect-error a function is no JSON
void db.batch(batch => batch.put('notes', 'a', { run: () => 1 }));
// @ts-expect-error the listener gets changes, not one
notes.subscribe((change: Change<Note>) => change);
// @ts-expect-error a snapshot is a Blob
void db.importSnapshot('file');
// @ts-expect-error a name does not change
db.name = 'other';
// @ts-expect-error the document may be missing
(await notes.get('a')).title;
// @ts-expect-error while loading there is no data
useCollection(notes).data.length;
// @ts-expect-error the document may be missing, even once it is loaded
useDocument(notes, 'a').data.title;
// @ts-expect-error entries are shared between components
useCollection(notes).data?.push(['a', { title: 'x' }]);

export const title: string | undefined = (await notes.get('a'))?.title;
export const entries: [string, Note][] = await notes.getAll({ prefix: 'a' });
export const any: Json | undefined = await db.collection('any').get('a');
export const same: typeof open = inline.open;
export const last: number = await db.batch(batch => void batch.put('notes', 'a', { title: 'x' }).drop('other'));
export function loaded(): number {
  const { data, loading, error } = useCollection(notes);
  if (loading || error) return 0;
  return data.length;
}
