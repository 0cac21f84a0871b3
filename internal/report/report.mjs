
// ---- The page of a report. It checks itself with the verifier above, and marks each row. ----
//
// What is checked by name, beside the checks of the verifier:
//
//   report   the log records this report, with the digest of what the page shows
//   page     the page has nothing but the report
//   data     the data in the page have the form in which reports are written
//   cover    the cover says what the log and the entry of the report say
//   list     the entries are as many as the log records, in order, and each row has its own data
//   text     the text of a row is the one that was written

// text shows characters that cannot be seen, and those that change the direction of the text around them. Package
// report has the same list.
const HIDDEN = new RegExp('[\\0-\\x1f\\x7f-\\x9f\\xad\\u061c\\u180e\\u200b\\u200e\\u200f\\u2028-\\u202e' +
  '\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb\\u{e0000}-\\u{e007f}]', 'gu');
const codeOf = (c) => c.codePointAt(0).toString(16).toUpperCase().padStart(4, '0');
const visible = (s) => s.replace(HIDDEN, (c) => `[U+${codeOf(c)}]`);

const FILTERS = {
  action: 'action', client_ip: 'client address', 'created[gt]': 'after', 'created[gte]': 'from',
  'created[lt]': 'before', 'created[lte]': 'until', file_id: 'file', ids: 'entries', key_id: 'API key',
  link_id: 'link', outcome: 'outcome', person_id: 'person', recipient: 'recipient', request_id: 'request',
};
const ACTORS = { key: 'API key', cli: 'the operator, on the command line', person: 'person' };

// factsOf returns the facts of the cover, from the log and the entry of the report.
function factsOf(log, head, made, leaf) {
  const value = (pointer, clear) => {
    const disclosed = made.disclosures[pointer];
    if (disclosed) return disclosed.value;
    return /^sha256:[0-9a-f]{64}$/.test(clear) ? '' : clear;
  };
  const filter = Object.entries(leaf.report.filter ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  const asked = filter.map(([name, clear]) => {
    const personal = name === 'recipient' || name === 'client_ip';
    return `${FILTERS[name] ?? name} ${(personal ? value(`/report/filter/${name}`, clear) : clear) || '(erased)'}`;
  });
  const { type, name, email, id, issuer } = leaf.actor;
  const actor = [
    ACTORS[type] ?? type, name && (type === 'person' ? value('/actor/name', name) : name),
    email && value('/actor/email', email), id, issuer,
  ].filter(Boolean);
  const facts = [
    ['Asked for', asked.length > 0 ? asked.join('; ') : 'every entry of the log'],
    ['Made', `${leaf.time.slice(0, 10)} ${leaf.time.slice(11, 19)} UTC`],
    ['Made by', actor.join(', ')],
    ['Entries', String(leaf.report.entries)],
    ['Recorded as', `entry ${made.index} of the log, ${leaf.id}`],
    ['Log', head.origin],
    ['Entries of the log', String(head.size)],
    ['Root of the log', btoa(String.fromCharCode(...head.root))],
    ['Key of the log', head.key],
  ];
  if (head.key !== log.vkey) facts.push(['Key at its beginning', log.vkey]);
  return facts;
}

// page reads the report from the document, before anything in it is changed: the parts whose digest the log records,
// and the data.
function readPage() {
  const main = document.querySelector('main'), cover = main.querySelector('#cover');
  const blocks = [...main.querySelectorAll('script')].map((element) => ({ element, text: element.textContent }));
  const facts = [...cover.childNodes];
  for (const b of blocks) b.element.textContent = '';
  cover.replaceChildren();
  const fixed = main.outerHTML;
  for (const b of blocks) b.html = b.element.closest('tr')?.outerHTML;
  cover.replaceChildren(...facts);
  for (const b of blocks) b.element.textContent = b.text;
  const alone = document.title === 'Audit report' && document.querySelectorAll('style').length === 1 &&
    [...document.body.children].every((e) => e === main || e.matches('script[type=module]')) &&
    [...document.body.childNodes].every((n) => n.nodeType === Node.ELEMENT_NODE || n.textContent.trim() === '');
  const style = document.querySelector('style').textContent;
  const program = document.querySelector('script[type=module]').textContent;
  return { main, cover, blocks, fixed, alone, style, program };
}

// parse reads a block of data. Its form is the one that JSON.stringify writes, without the character that begins tags.
function parse({ text }) {
  const data = JSON.parse(text);
  if (JSON.stringify(data).replaceAll('<', '\\u003c') !== text) throw new Error('another form');
  return 'seq' in data ? { ...data, index: data.seq } : data;
}

const base64 = (bytes) => btoa(String.fromCharCode(...bytes));

// checkPage checks everything and returns the names of the checks that failed: {checks, rows: [{cell, failed}], head}.
async function checkPage(progress) {
  const page = readPage();
  const failed = new Set();
  const check = (name, ok) => { if (!ok) failed.add(name); };
  check('page', page.alone);
  let log, made, rows;
  try {
    [log, made, ...rows] = page.blocks.map(parse);
  } catch {
    return { failed: new Set(['data']), rows: [] };
  }
  const head = await openLog(log);
  for (const c of head.checks) check(c.name, c.ok);
  // The newest key signed the checkpoint, and nothing has signatures that cannot be checked here.
  const newest = await openLog({ vkey: head.key, checkpoint: log.checkpoint });
  check('signature', newest.ok && signatures(log.checkpoint) === 1);
  check('rotation', Array.from(log.rotations).every((text) => signatures(text) === 1));
  if (failed.has('browser')) return { failed, rows: [], head };
  for (const c of await verifyEntry(made, head)) check(c.name, c.ok);
  const leaf = parseLeaf(made.leaf);
  check('report', leaf?.action === 'audit.reported');
  check('list', leaf?.report?.entries === rows.length);
  if (!leaf?.report) return { failed, rows: [], head };

  const shown = utf8([page.style, page.program, log.vkey, page.fixed].join('\0'));
  const digest = await sha256(concat(parseBase64(made.salt) ?? [], shown));
  check('report', hex(digest) === leaf.report.sha256);
  const wanted = page.cover.cloneNode(false);
  for (const [name, value] of factsOf(log, head, made, leaf)) {
    const div = document.createElement('div'), dt = document.createElement('dt'), dd = document.createElement('dd');
    dt.textContent = visible(name);
    dd.textContent = visible(value);
    div.append(dt, dd);
    wanted.append(div);
  }
  check('cover', wanted.outerHTML === page.cover.outerHTML);
  check('data', sameValues(Object.keys(made.disclosures), coverValues(leaf)));

  const found = [];
  for (let i = 0; i < rows.length; i += AT_ONCE) {
    const some = rows.slice(i, i + AT_ONCE).map((row, n) => checkRow(row, page.blocks[i + n + 2], head));
    found.push(...await Promise.all(some));
    await progress(found.length, rows.length);
  }
  let table, before;
  const marks = found.map((names, i) => {
    const tr = page.blocks[i + 2].element.closest('tr'), { index } = rows[i];
    const ordered = tr && (tr.parentNode !== table || index > before);
    if (!ordered || tr.cells[0].textContent !== String(index)) names.push('list');
    [table, before] = [tr?.parentNode, index];
    for (const name of names) failed.add(name);
    return { cell: page.blocks[i + 2].element.parentNode, failed: [...new Set(names)] };
  });
  return { failed, rows: marks, head };
}

const signatures = (text) => String(text).split('\n— ').length - 1;

// coverValues returns the pointers to the personal values that the cover shows, in order. None of them may be missing,
// and the data have no others.
function coverValues({ actor, report }) {
  const person = actor.type === 'person' ? actor : {};
  return [
    ['/actor/email', person.email], ['/actor/name', person.name],
    ['/report/filter/client_ip', report.filter?.client_ip], ['/report/filter/recipient', report.filter?.recipient],
  ].filter(([, value]) => value !== undefined).map(([pointer]) => pointer);
}

const sameValues = (a, b) => a.join() === b.join();

const AT_ONCE = 100; // rows, which share the threads of WebCrypto

// checkRow returns the names of the checks that a row fails.
async function checkRow(row, { element, html }, head) {
  const names = (await verifyEntry(row, head)).filter((c) => !c.ok).map((c) => c.name);
  const values = hex(await sha256(utf8(JSON.stringify(row.disclosures))));
  if (values !== element.parentNode.dataset.values) names.push('data');
  return base64(await sha256(utf8(String(html)))) === row.shown ? names : [...names, 'text'];
}

// show writes the verdict and marks the rows.
function show({ failed, rows, head }) {
  const verdict = document.querySelector('#verdict');
  for (const { cell, failed: names } of rows) {
    cell.classList.add(names.length > 0 ? 'bad' : 'good');
    cell.prepend(names.length > 0 ? `✗ changed: ${names.join(', ')}` : '✓ proved');
  }
  document.body.dataset.failed = [...failed].join(' ');
  if (failed.has('browser')) {
    verdict.textContent = 'Not checked: this browser cannot check signatures here. Save this page and open the file ' +
      'in a current browser, or use the command.';
    return;
  }
  verdict.classList.add(failed.size > 0 ? 'bad' : 'good');
  verdict.textContent = failed.size > 0
    ? `Do not rely on this page: it was changed. What failed: ${[...failed].join(', ')}.`
    : `Checked in this browser: this report and its ${rows.length} entries are what the log has. Compare the key of ` +
      `the log with yours: ${head.key}`;
}

async function progress(done, all) {
  document.querySelector('#verdict').textContent = `Checking: ${done} of ${all} entries.`;
  await new Promise((resume) => setTimeout(resume));
}

try {
  show(await checkPage(progress));
} catch (e) {
  show({ failed: new Set(['page']), rows: [] });
  throw e;
}
