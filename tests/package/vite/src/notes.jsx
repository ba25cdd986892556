import { useCollection } from 'pumice/react';
import { useEffect, useState } from 'react';

/** A list of notes, and a field to add one. */
export function Notes({ db }) {
  const notes = db.collection('notes');
  const { data, loading, error } = useCollection(notes);
  const [storage, setStorage] = useState('');
  useEffect(() => void db.status().then(status => setStorage(status.storage)), [db]);

  const add = async form => {
    const title = form.get('title');
    await notes.put(title, { title });
  };
  if (error) return <p role="alert">{error.message}</p>;
  return (
    <>
      <form action={add}><input name="title" aria-label="Title" /><button>Add</button></form>
      {loading ? 'Loading' : <ul>{data.map(([key, note]) => <li key={key}>{note.title}</li>)}</ul>}
      <output>{storage}</output>
    </>
  );
}
