/** The notes: a list, a search, an editor that saves as you type, live in every tab. */

import { $, element, onClick, text } from './dom.js';

/** The editor writes this long after the last key. */
const PAUSE_MS = 250;

/** @param {import('./pkg/index.js').Database} db */
export async function startNotes(db) {
  const store = db.collection('notes');
  /** All notes by key. What is shown is always drawn from here. */
  const notes = new Map();
  let current = null;
  /** Text that was typed and is not stored yet. */
  let unsaved = false;
  let timer = 0;
  /** Stores one after the other, so that the last one wins. */
  let saving = Promise.resolve();

  const body = $('#body');
  const search = $('#search');

  // Before the first read, so that nothing falls between the two.
  store.subscribe((changes) => {
    for (const { type, key, document } of changes) {
      if (type === 'put') notes.set(key, document);
      else if (type === 'delete') notes.delete(key);
      else notes.clear();
    }
    if (current !== null && !unsaved) show(current);
    draw();
  });
  for await (const [key, note] of store.entries()) {
    if (!notes.has(key)) notes.set(key, note);
  }

  function matching() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    return [...notes]
      .filter(([, note]) => words.every((word) => note.text.toLowerCase().includes(word)))
      .sort(([, a], [, b]) => b.changed - a.changed);
  }

  function draw() {
    const found = matching();
    $('#items').replaceChildren(...found.map(([key, note]) => {
      const [title, ...rest] = note.text.split('\n').filter((line) => line.trim() !== '');
      const button = element('button', { type: 'button', 'data-key': key, 'aria-current': String(key === current) },
        element('span', { class: 'title' }, title || 'New note'),
        element('span', { class: 'more' }, `${when(note.changed)} · ${rest.join(' ').slice(0, 80)}`));
      return element('li', {}, button);
    }));
    const all = notes.size;
    if (search.value) text('#found', `${found.length} of ${all} notes`);
    else text('#found', all === 0 ? 'No notes yet.' : `${all} ${all === 1 ? 'note' : 'notes'}`);
  }

  /** Puts a note into the editor. Another tab may have changed it, or removed it. */
  function show(key) {
    const note = notes.get(key);
    current = note ? key : null;
    body.disabled = $('#delete').disabled = !note;
    const words = note?.text ?? '';
    if (body.value !== words) {
      const { selectionStart, selectionEnd } = body;
      body.value = words;
      body.setSelectionRange(selectionStart, selectionEnd);
    }
    if (!note) $('.notes').classList.remove('writing');
  }

  function save() {
    clearTimeout(timer);
    if (!unsaved || current === null) return saving;
    const key = current;
    const note = { ...notes.get(key), text: body.value, changed: Date.now() };
    notes.set(key, note);
    unsaved = false;
    const start = performance.now();
    saving = saving.then(() => store.put(key, note)).then(
      () => text('#saved', `Saved in ${(performance.now() - start).toFixed(1)} ms`),
      (error) => {
        unsaved = true;
        text('#saved', `Not saved: ${error.message}`, 'bad');
      },
    );
    draw();
    return saving;
  }

  /** At once: what is typed from now on belongs to that note. */
  function turnTo(key) {
    save();
    text('#saved', '');
    show(key);
    draw();
    $('.notes').classList.add('writing');
    body.focus();
  }

  async function create() {
    const now = Date.now();
    const key = `${new Date(now).toISOString()}-${crypto.randomUUID().slice(0, 8)}`;
    const note = { text: '', created: now, changed: now };
    notes.set(key, note);
    search.value = '';
    turnTo(key);
    const stored = saving.then(() => store.put(key, note));
    // One that fails is told below, and must not keep the next ones from being tried.
    saving = stored.catch(() => {});
    await stored;
  }

  body.addEventListener('input', () => {
    unsaved = true;
    clearTimeout(timer);
    timer = setTimeout(save, PAUSE_MS);
  });
  body.addEventListener('blur', save);
  // The last moment at which a page that is closed may still send something.
  addEventListener('pagehide', save);
  search.addEventListener('input', draw);
  $('#items').addEventListener('click', (event) => {
    const key = event.target.closest('button')?.dataset.key;
    if (key !== undefined) turnTo(key);
  });
  $('#items').addEventListener('keydown', (event) => {
    const step = { ArrowDown: 'nextElementSibling', ArrowUp: 'previousElementSibling' }[event.key];
    if (!step) return;
    event.preventDefault();
    event.target.closest('li')?.[step]?.querySelector('button').focus();
  });
  addEventListener('keydown', (event) => {
    if (event.altKey && event.code === 'KeyN') {
      event.preventDefault();
      $('#new').click();
    }
  });
  onClick('#new', '#saved', create);
  onClick('#back', '#saved', async () => {
    await save();
    $('.notes').classList.remove('writing');
  });
  $('#delete').addEventListener('click', async () => {
    const key = current;
    if (key === null) return;
    clearTimeout(timer);
    unsaved = false;
    try {
      await saving;
      await store.delete(key);
      notes.delete(key);
      text('#saved', 'Deleted');
      show(key);
      draw();
    } catch (error) {
      text('#saved', `Not deleted: ${error.message}`, 'bad');
    }
  });
  draw();
}

function when(time) {
  const date = new Date(time);
  const today = new Date().toDateString() === date.toDateString();
  return today ? date.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' }) : date.toLocaleDateString();
}
