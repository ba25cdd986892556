/** The package's worker, whose clock runs fast: a minute passes in a second or two. Files in OPFS age by that clock, so
 *  that a test can edit them before anyone has waited a minute. */

import './hasty_clock.mjs';
import '/entry/worker';
