/** A list of notes, and a field to add one. */
export async function start(open, name) {
  const passphrase = new URLSearchParams(location.search).get('passphrase');
  const db = await (passphrase ? open(`${name} encrypted`, { encryption: { passphrase } }) : open(name));
  const notes = db.collection('notes');

  const show = async () => {
    const entries = await notes.getAll();
    document.querySelector('ul').replaceChildren(
      ...entries.map(([, note]) => Object.assign(document.createElement('li'), { textContent: note.title })),
    );
  };
  document.querySelector('form').addEventListener('submit', async event => {
    event.preventDefault();
    const field = event.target.elements.title;
    await notes.put(field.value, { title: field.value });
    field.value = '';
    await show();
  });
  await show();
  document.querySelector('output').textContent = (await db.status()).storage;
}
