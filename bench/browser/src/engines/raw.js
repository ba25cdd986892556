/** The limit: a file of lines in OPFS, flushed after each write, with an index of their places in memory.
 *
 *  No checksums, nothing is ever removed, and opening it reads all of it. */

import { array } from '../texts.js';

/** The end of a line, `,\n`, makes the whole file the inside of an array. */
const END = 2;
const encoder = new TextEncoder();
const decoder = new TextDecoder();
let file;
let length;
let places;
let lines;

function append(entries) {
  const bytes = encoder.encode(entries.map(([, text]) => `${text},\n`).join(''));
  file.write(bytes, { at: length });
  file.flush();
  index(
    bytes,
    entries.map(([key]) => key),
  );
}

/** Notes where the lines are that were read or written behind the others; the documents know their keys. */
function index(bytes, keys) {
  for (let at = 0, line = 0; at < bytes.length; line++) {
    const end = bytes.indexOf(0x0a, at) + 1;
    const key = keys?.[line] ?? JSON.parse(decoder.decode(bytes.subarray(at, end - END))).id;
    places.set(key, { at: length + at, size: end - at - END });
    lines++;
    at = end;
  }
  length += bytes.length;
}

function read(at, size) {
  const bytes = new Uint8Array(size);
  file.read(bytes, { at });
  return bytes;
}

function get(key) {
  const place = places.get(key);
  return place && decoder.decode(read(place.at, place.size));
}

export default {
  async open() {
    const root = await navigator.storage.getDirectory();
    const handle = await root.getFileHandle('bench', { create: true });
    file = await handle.createSyncAccessHandle();
    [length, lines, places] = [0, 0, new Map()];
    index(read(0, file.getSize()));
  },
  put: (key, text) => append([[key, text]]),
  putMany: append,
  get,
  getMany: keys => array(keys.map(get)),
  getAll() {
    if (lines > places.size) return array([...places.keys()].map(get));
    return `[${decoder.decode(read(0, length - END))}]`;
  },
  close: () => file.close(),
};
