/** A worker that opens files for itself, as many as it gets, and tells how many. */

onmessage = async ({ data: files }) => {
  const held = await Promise.allSettled(files.map(file => file.createSyncAccessHandle()));
  postMessage(held.filter(({ status }) => status === 'fulfilled').length);
};
