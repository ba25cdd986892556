/** The few things that every part of the page does to it. */

export const $ = (selector) => document.querySelector(selector);

/** Sets an element's text, and its mood: '', 'good' or 'bad'. */
export function text(selector, words, mood = '') {
  const element = $(selector);
  if (element.textContent !== words) element.textContent = words;
  element.classList.toggle('good', mood === 'good');
  element.classList.toggle('bad', mood === 'bad');
}

/** An element with attributes and children. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** Runs `work` when the button is clicked, not twice at once; a failure is told in `output`. */
export function onClick(selector, output, work) {
  const button = $(selector);
  button.addEventListener('click', async () => {
    button.disabled = true;
    try {
      await work();
    } catch (error) {
      text(output, error.message, 'bad');
    } finally {
      button.disabled = false;
    }
  });
}

export function bytes(count) {
  if (count < 1000) return `${count} B`;
  if (count < 1e6) return `${(count / 1e3).toFixed(1)} kB`;
  if (count < 1e9) return `${(count / 1e6).toFixed(1)} MB`;
  return `${(count / 1e9).toFixed(1)} GB`;
}

export const number = (count) => Math.round(count).toLocaleString('en');

/** Offers `blob` as a download. */
export function download(blob, name) {
  const link = element('a', { href: URL.createObjectURL(blob), download: name });
  link.click();
  // The download has the blob by then; keeping the address would keep its memory.
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
