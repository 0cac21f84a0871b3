// node --test vectors.test.mjs

import { deepEqual } from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import './node.mjs';
import { cases } from './vectors.mjs';

for (const [name, run] of cases(JSON.parse(readFileSync(new URL('vectors.json', import.meta.url))))) {
  test(name, async () => deepEqual(...await run()));
}
