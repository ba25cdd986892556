// A list of notes in React, live in every tab.

import { open, type Collection, type Database } from 'pumice';
import { useCollection, useDocument } from 'pumice/react';
import { useEffect, useState } from 'react';

interface Note { title: string }

export function App() {
  const [db, setDb] = useState<Database>();
  useEffect(() => void open('notes').then(setDb), []);
  const [chosen, choose] = useState('');

  // Loading until the database is open.
  const notes = db?.collection<Note>('notes');
  const { data, loading, error } = useCollection(notes, { reverse: true, limit: 50 });

  if (error) return <p role="alert">{error.message}</p>;
  if (loading) return <p>Loading</p>;
  return (
    <>
      <button onClick={() => void notes?.put(new Date().toISOString(), { title: 'New' })}>New note</button>
      <ul>{data.map(([key, note]) => <li key={key} onClick={() => choose(key)}>{note.title}</li>)}</ul>
      {notes && chosen && <Title notes={notes} id={chosen} />}
    </>
  );
}

function Title({ notes, id }: { notes: Collection<Note>; id: string }) {
  const { data: note } = useDocument(notes, id);
  return <h2>{note?.title ?? 'Gone'}</h2>;
}
