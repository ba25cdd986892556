/** The files of a database in OPFS, as anyone on the origin can reach them. */

/** All files below `folder`, as `{ path, handle }`, in the order of their paths. */
export async function files(folder, path = '') {
  const found = [];
  for await (const [name, handle] of (folder ?? await navigator.storage.getDirectory()).entries()) {
    if (handle.kind === 'file') found.push({ path: `${path}${name}`, handle });
    else found.push(...await files(handle, `${path}${name}/`));
  }
  return found.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** The files of one database: those with its name in their path. */
export async function filesOf(name) {
  const all = await files();
  return all.filter(({ path }) => path.split('/').slice(0, -1).some(part => part === name || decodeURIComponent(part) === name));
}

/** A file's bytes. A browser refuses to read a file that was written to since it was asked for; it is asked for anew then. */
export async function bytesOf({ handle }) {
  for (let again = 0; ; again += 1) {
    try {
      return new Uint8Array(await (await handle.getFile()).arrayBuffer());
    } catch (error) {
      if (error.name !== 'NotReadableError' || again === 100) throw error;
      await new Promise(resolve => setTimeout(resolve, 10));
    }
  }
}

/** Puts `bytes` at `offset`, in place. */
export async function put({ handle }, offset, bytes) {
  const writer = await handle.createWritable({ keepExistingData: true });
  await writer.write({ type: 'write', position: offset, data: bytes });
  await writer.close();
}

/** Gives a file another length. */
export async function resize({ handle }, length) {
  const writer = await handle.createWritable({ keepExistingData: true });
  await writer.truncate(length);
  await writer.close();
}

/** Where the content of a slot begins, and what its header does. */
export const CONTENT = 8192;
const MAGIC = 'PUMICESL';

/** Writes to `collection` until all files of the database that hold log have headers, which is when what stands in them counts. */
export async function age(db, collection) {
  const end = performance.now() + 60_000;
  for (let number = 0; performance.now() < end; number += 1) {
    await db.collection(collection).put('ageing', number);
    const contents = await Promise.all((await filesOf(db.name)).map(bytesOf));
    const logs = contents.filter(bytes => lastIndexOf(bytes, '"ageing"') > 0);
    if (logs.length > 0 && logs.every(bytes => lastIndexOf(bytes.subarray(0, MAGIC.length), MAGIC) === 0)) return;
    await new Promise(resolve => setTimeout(resolve, 50));
  }
  throw new Error('the files do not age');
}

/** The file whose log holds `text`. */
export async function logWith(name, text) {
  for (const file of await filesOf(name)) {
    const bytes = await bytesOf(file);
    const at = lastIndexOf(bytes, text);
    if (at >= 0) return { file, bytes, at };
  }
  throw new Error(`no file of ${name} holds ${text}`);
}

/** Where `text` is in `bytes`, the last time; -1 where it is not. */
export function lastIndexOf(bytes, text) {
  const wanted = new TextEncoder().encode(text);
  for (let at = bytes.length - wanted.length; at >= 0; at -= 1) {
    if (wanted.every((byte, index) => bytes[at + index] === byte)) return at;
  }
  return -1;
}
