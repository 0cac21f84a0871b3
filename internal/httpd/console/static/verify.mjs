// Verifies the entry of the page in the browser, with verifier.mjs.
import {verify, parseProof} from './verifier.mjs';

const names = {
  browser: 'Browser', key: 'Key of the log', rotation: 'Change of the key', signature: 'Signature of the checkpoint',
  cosignature: 'Signature of a witness', checkpoint: 'Checkpoint', leaf: 'Leaf', proof: 'Proof',
  inclusion: 'Place in the log', commitment: 'Personal field', page: 'This page',
};

const form = document.querySelector('[data-verify]');
const verdict = document.querySelector('[data-verdict]');
if (form) {
  form.hidden = false;
  form.addEventListener('submit', async event => {
    event.preventDefault();
    verdict.replaceChildren(text('p', 'Verifying…', 'quiet'));
    try {
      show(await check(form.elements.vkey.value.trim()));
    } catch {
      verdict.replaceChildren(text('p', 'Not checked: the evidence could not be loaded. Try again.', 'flash warn'));
    }
  });
}

// check asks for the evidence, and checks it against a key and against what the page shows.
async function check(vkey) {
  const response = await fetch(form.dataset.verify, {redirect: 'error'});
  if (!response.ok) throw new Error(`HTTP status ${response.status}`);
  const {entry, log, rotations} = await response.json();
  const result = await verify(entry, {...log, vkey, rotations: since(vkey, log.vkey, rotations)});
  if (result.checks.some(c => c.name === 'browser' && !c.ok)) return result;
  const same = shown(entry.leaf).startsWith(document.getElementById('leaf').textContent);
  result.checks.push({name: 'page', ok: same,
    message: same ? 'The leaf below is the one that was checked.' : 'The leaf below is not the one that was checked.'});
  result.ok &&= same;
  return result;
}

// shown is a leaf as the page shows it: with invisible characters as JSON escapes them.
function shown(leaf) {
  return leaf.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{DI}\u2800]/gu, character => Array.from({length: character.length},
    (_, i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`).join(''));
}

// since returns the changes of the log's key after an older key: a verifier follows them from the key that it knows.
function since(vkey, newest, rotations) {
  if (vkey === newest) return [];
  const replacements = rotations.map(text => {
    try {
      return JSON.parse(parseProof(text).extra).ledger.key;
    } catch {
      return '';
    }
  });
  return rotations.slice(replacements.indexOf(vkey) + 1);
}

function show({ok, checks}) {
  const unable = checks.some(c => c.name === 'browser' && !c.ok);
  const failed = checks.filter(c => !c.ok).length;
  const title = unable ? 'Not checked.' : ok ? 'Verified: the log has an entry with this number and this leaf.'
    : `Not verified: ${failed} of ${checks.length} checks failed.`;
  const list = document.createElement('ul');
  list.className = 'checks';
  for (const c of checks) {
    const item = document.createElement('li');
    item.dataset.check = c.name;
    item.dataset.ok = c.ok;
    const [word, tone] = c.ok ? ['passed', 'good'] : unable ? ['not possible', 'warn'] : ['failed', 'bad'];
    const field = c.field && !c.message.includes(c.field) ? ` (${c.field})` : '';
    item.append(text('span', word, `badge ${tone}`), ' ', text('strong', (names[c.name] ?? c.name) + field), ' ',
      c.message);
    list.append(item);
  }
  verdict.replaceChildren(text('p', title, `flash ${unable ? 'warn' : ok ? '' : 'bad'}`), list);
  verdict.dataset.ok = ok;
}

function text(name, content, className = '') {
  const element = document.createElement(name);
  element.textContent = content;
  element.className = className;
  return element;
}
