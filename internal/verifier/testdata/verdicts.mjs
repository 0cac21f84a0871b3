// node verdicts.mjs < LIST_OF_ENTRIES: prints the names of the checks that each entry fails, as one JSON list.

import { readFileSync } from 'node:fs';

import './node.mjs';
import { verdict } from './vectors.mjs';

const found = [];
for (const v of JSON.parse(readFileSync(0))) found.push(await verdict(v));
console.log(JSON.stringify(found));
