/** Assertions that run in a page. */

/** Throws unless `condition`. */
export function ok(condition, what = 'not so') {
  if (!condition) throw new Error(what);
}

/** Throws unless both are the same JSON value; the order of members counts, `undefined` is a value, -0 is 0. */
export function equal(actual, expected, what = '') {
  const [a, b] = [show(actual), show(expected)];
  if (a !== b) throw new Error(`${what} is ${cut(a)}, not ${cut(b)}`);
}

/** Throws unless `action` throws, or its promise rejects with, a PumiceError of `code`. Returns the error. */
export async function refuses(code, action, what = '') {
  let value;
  try {
    value = await action();
  } catch (error) {
    if (!(error instanceof window.pumice.PumiceError)) throw new Error(`${what || code}: threw ${error?.stack ?? error}`);
    if (error.code !== code) throw new Error(`${what}: '${error.code}' (${error.message}), not '${code}'`);
    if (!(error instanceof Error) || error.message === '') throw new Error(`${what}: an error without a message`);
    return error;
  }
  throw new Error(`${what}: gave ${cut(show(value))}, not '${code}'`);
}

const show = value => JSON.stringify(value, (_, value) => (value === undefined ? '\u{10FFFF}undefined' : value)) ?? 'undefined';
const cut = text => (text.length > 300 ? `${text.slice(0, 300)}... (${text.length})` : text);
