/** The JSON lines of a run, as the report asks for them. */

import { statistic } from './statistics.mjs';

export class Results {
  constructor(lines) {
    const parsed = lines.trim().split('\n').map(line => JSON.parse(line));
    const [{ setting }, ...rest] = parsed;
    this.setting = setting;
    this.figures = rest.filter(({ measure }) => measure !== undefined);
    /** How many cores others used right before each piece of work. */
    this.busy = rest.flatMap(({ busy }) => (busy === undefined ? [] : [busy]));
  }

  /** Over all rounds; undefined where it was not measured. */
  of(engine, measure) {
    return statistic(
      this.figures.filter(figure => figure.engine === engine && figure.measure === measure).map(({ value }) => value),
    );
  }
}
