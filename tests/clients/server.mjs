// Starts Sluice servers for the tests of Node clients. The binary is SLUICE_BINARY, or is built from
// this repository.
import {execFileSync, spawn} from 'node:child_process';
import {mkdtempSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import {fileURLToPath} from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'sluice-clients-'));
let binary = process.env.SLUICE_BINARY;
if (!binary) {
  binary = join(folder, 'sluice');
  execFileSync('go', ['build', '-o', binary, './cmd/sluice'], {cwd: root, stdio: 'inherit'});
}
process.on('exit', () => rmSync(folder, {recursive: true, force: true}));

// start starts a server that is stopped at the end of the test.
export async function start(t, ...flags) {
  const data = mkdtempSync(join(folder, 'data-'));
  const child = spawn(binary, ['serve', '--listen', '127.0.0.1:0', '--data', data, ...flags], {stdio: ['ignore', 'pipe', 'ignore']});
  const exited = new Promise(resolve => child.on('exit', resolve));
  t.after(async () => {
    child.kill('SIGTERM');
    await exited;
  });
  let url, key;
  for await (const line of createInterface({input: child.stdout})) {
    url ??= line.match(/Welcome to Sluice at (\S+)/)?.[1];
    key ??= line.match(/KEY=(sk_test_\w+)/)?.[1];
    if (key) break;
  }
  child.stdout.resume();
  // newKey creates a key on the command line.
  const newKey = (...more) => JSON.parse(
    execFileSync(binary, ['key', 'create', '--json', '--data', data, '--mode', 'test', '--name', 'test', ...more]),
  ).secret;
  return {url, key, newKey};
}
