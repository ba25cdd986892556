/** What a page must have so that everyone can use it: names, contrast, keyboard, room on a phone. Each gives a list of what lacks. */

const isVisible = element => element.checkVisibility({ visibilityProperty: true, opacityProperty: true });
const tell = element => `${element.tagName.toLowerCase()}${element.id && `#${element.id}`} "${(element.textContent ?? '').trim().slice(0, 30)}"`;
const CONTROLS = 'button, input, select, textarea, a[href], [tabindex="0"]';

/** Controls, meters and pictures without a name; ids that are there twice. */
export function nameless() {
  const named = element => {
    const by = element.getAttribute('aria-labelledby')?.split(' ').map(id => document.getElementById(id)?.textContent ?? '').join('');
    const labels = [...element.labels ?? []].map(label => label.textContent).join('');
    const own = element.matches('button, a') ? element.textContent : '';
    return [by, element.getAttribute('aria-label'), labels, own].some(name => name?.trim());
  };
  const lacking = [...document.querySelectorAll(`${CONTROLS}, meter, progress, [role=img]`)].filter(element => !named(element)).map(tell);
  const pictures = [...document.querySelectorAll('img:not([alt])')].map(tell);
  const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id);
  const twice = ids.filter((id, place) => ids.indexOf(id) !== place).map(id => `id ${id} twice`);
  const page = [document.documentElement.lang ? [] : ['no language'], document.title ? [] : ['no title'],
    document.querySelectorAll('h1').length === 1 ? [] : ['not one h1'], document.querySelectorAll('main').length === 1 ? [] : ['not one main']];
  return [...lacking, ...pictures, ...twice, ...page.flat()];
}

/** Text that does not stand out from its ground as WCAG 2 AA asks: 4.5 to 1, and 3 to 1 for large text. */
export function faint() {
  const context = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = colour => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data].map(value => value / 255);
  };
  const over = ([r, g, b, a], ground) => [r, g, b].map((value, place) => value * a + ground[place] * (1 - a));
  const ground = element => {
    const layers = [];
    for (let one = element; one; one = one.parentElement) layers.push(rgba(getComputedStyle(one).backgroundColor));
    return layers.reduceRight((below, layer) => over(layer, below), [1, 1, 1]);
  };
  const light = colour => {
    const [r, g, b] = colour.map(value => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const lacking = [];
  for (const element of document.body.querySelectorAll('*')) {
    const speaks = [...element.childNodes].some(node => node.nodeType === Node.TEXT_NODE && node.textContent.trim());
    if (!speaks || !isVisible(element) || element.matches(':disabled, script, style')) continue;
    const style = getComputedStyle(element);
    const below = ground(element);
    const [bright, dark] = [light(over(rgba(style.color), below)), light(below)].sort((a, b) => b - a);
    const contrast = (bright + 0.05) / (dark + 0.05);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (contrast < (isLarge ? 3 : 4.5)) lacking.push(`${tell(element)}: ${contrast.toFixed(2)}`);
  }
  return lacking;
}

/** The visible controls that can be used now, in the order of the document. */
export const controls = () => [...document.querySelectorAll(CONTROLS)]
  .filter(element => isVisible(element) && !element.matches(':disabled, [tabindex="-1"]')).map(tell);

/** The control that has the focus, and whether one sees that. */
export function focused() {
  const element = document.activeElement;
  if (element === document.body) return undefined;
  const marked = one => one && getComputedStyle(one).outlineStyle !== 'none' && parseFloat(getComputedStyle(one).outlineWidth) >= 1;
  return { control: tell(element), seen: Boolean(marked(element) || [...element.labels ?? []].some(marked)) };
}

/** How many pixels the page is wider than its window, and targets too small for a finger. */
export function cramped() {
  const wide = document.documentElement.scrollWidth - innerWidth;
  const small = [...document.querySelectorAll('button, select, input')].filter(isVisible)
    .filter(element => !element.matches('.hidden') && element.getBoundingClientRect().height < 24).map(tell);
  return [...(wide > 0 ? [`${wide} pixels too wide`] : []), ...small];
}
