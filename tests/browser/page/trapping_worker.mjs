/** The package's worker, whose engine cannot tell its statistics. */

import './trap.mjs';
import '/entry/worker';
