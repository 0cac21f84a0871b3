// Node 18, which Debian 12 has, does not offer WebCrypto by its name in browsers.

import { webcrypto } from 'node:crypto';

globalThis.crypto ??= webcrypto;
