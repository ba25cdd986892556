'use client';

import { open } from 'pumice';
import { useCollection } from 'pumice/react';
import { useEffect, useState } from 'react';

/** Rendered on the server first, where it is loading, then in the browser. */
export default function Page() {
  const [db, setDb] = useState();
  const [storage, setStorage] = useState('');
  useEffect(() => {
    const passphrase = new URLSearchParams(location.search).get('passphrase');
    const opened = passphrase ? open('next encrypted', { encryption: { passphrase } }) : open('next');
    opened.then(async db => {
      setDb(db);
      setStorage((await db.status()).storage);
    });
  }, []);
  const notes = db?.collection('notes');
  const { data, loading } = useCollection(notes);

  const add = async form => {
    const title = form.get('title');
    await notes.put(title, { title });
  };
  return (
    <>
      <form action={add}><input name="title" aria-label="Title" /><button disabled={!db}>Add</button></form>
      {loading ? <p>Loading</p> : <ul>{data.map(([key, note]) => <li key={key}>{note.title}</li>)}</ul>}
      <output>{storage}</output>
    </>
  );
}
