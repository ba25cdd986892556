// A page on which the test mounts hooks as it likes. Each probe records what its hook gave, render by render.

import { open } from 'pumice';
import { useCollection, useDocument } from 'pumice/react';
import { StrictMode, useState } from 'react';
import { createRoot } from 'react-dom/client';

/** By the probe's name: the last result, how many renders, and how many different objects were `data`. */
const seen = {};

function record(name, result) {
  const last = seen[name];
  seen[name] = {
    ...result,
    error: result.error?.code,
    renders: (last?.renders ?? 0) + 1,
    versions: (last?.versions ?? 0) + (last?.data === result.data ? 0 : 1),
  };
  return null;
}

function DocumentProbe({ name, collection, of }) {
  return record(name, useDocument(collection, of));
}

function RangeProbe({ name, collection, of }) {
  return record(name, useCollection(collection, of && { ...of }));
}

let setProbes;
function Probes() {
  const [probes, set] = useState({});
  setProbes = set;
  return Object.entries(probes).map(([name, { kind, ...rest }]) => {
    const Probe = kind === 'document' ? DocumentProbe : RangeProbe;
    return <Probe key={name} name={name} {...rest} />;
  });
}

/** Counts the subscriptions that are in effect. */
function counting(collection) {
  const subscribe = collection.subscribe.bind(collection);
  window.subscriptions = { now: 0, ever: 0 };
  collection.subscribe = (...args) => {
    const stop = subscribe(...args);
    window.subscriptions.now++;
    window.subscriptions.ever++;
    return () => {
      window.subscriptions.now--;
      stop();
    };
  };
  return collection;
}

createRoot(document.getElementById('root')).render(<StrictMode><Probes /></StrictMode>);

window.openNotes = async name => {
  window.db = await open(name);
  window.notes = window.db.collection('notes');
  return window.notes;
};
window.counting = counting;
window.seen = seen;
window.mount = (name, kind, of, collection = window.notes) =>
  setProbes(probes => ({ ...probes, [name]: { kind, of, collection } }));
window.unmount = name => setProbes(({ [name]: _, ...rest }) => rest);
window.ready = true;
