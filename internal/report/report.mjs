
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
const HIDDEN = new RegExp('[\\0-\\x1f\\x7f-\\x9f\\xad\\u034f\\u0600-\\u0605\\u061c\\u06dd\\u070f\\u0890-\\u0891' +
  '\\u08e2\\u115f-\\u1160\\u17b4-\\u17b5\\u180b-\\u180f\\u200b\\u200e-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\u2800' +
  '\\u3164\\ufe00-\\ufe0f\\ufeff\\uffa0\\ufff0-\\ufffb\\u{110bd}\\u{110cd}\\u{13430}-\\u{1343f}\\u{1bca0}-\\u{1bca3}' +
  '\\u{1d173}-\\u{1d17a}\\u{e0000}-\\u{e0fff}]', 'gu');
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

// frameOf is all of the document but the main element, in the form in which browsers write HTML. Package report has the
// same one.
const frameOf = (styleHash, programHash, style, program) => '<html lang="en"><head><meta charset="utf-8">' +
  `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-${styleHash}'; ` +
  `script-src 'sha256-${programHash}'; base-uri 'none'; form-action 'none'">${HEAD}<style>${style}</style></head>` +
  `<body>\n\x3cscript type="module">${program}\x3c/script>\n</body></html>`;
const HEAD = '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Audit report</title>';

// The elements and attributes of a report.
const ELEMENTS = new Set(['code', 'dd', 'div', 'dl', 'dt', 'h1', 'h2', 'li', 'main', 'p', 'pre', 'script', 'table',
  'tbody', 'td', 'th', 'thead', 'time', 'tr', 'ul']);
const ATTRIBUTES = new Set(['class', 'data-values', 'datetime', 'id', 'scope', 'type']);

// readPage reads the report from the document: the parts whose digest the log records, and the data. Then it puts a new
// document in its place, with nothing but what it has read. A document can show what its text does not have, such as
// shadow trees, and its elements can take the names of what a script asks the document for. The new one shows the text
// that is checked, and has nothing that could hide the verdict.
function readPage() {
  const fresh = new DOMParser().parseFromString(`<!DOCTYPE html><html lang="en"><head>${HEAD}`, 'text/html');
  const first = (selector) => Document.prototype.querySelector.call(document, selector);
  const html = first('html');
  try {
    const style = first('style').textContent, program = first('script[type=module]').textContent;
    const old = first('main'), cover = old.querySelector('#cover');
    const facts = cover.innerHTML;
    cover.replaceChildren();
    const scripts = [...old.querySelectorAll('script')];
    const texts = scripts.map((e) => e.textContent);
    for (const e of scripts) e.textContent = '';
    const fixed = old.outerHTML;
    old.remove();
    const frame = html.outerHTML;

    const parsed = fresh.createElement('template');
    parsed.innerHTML = fixed;
    const main = parsed.content.querySelector('main');
    const blocks = [...main.querySelectorAll('script')].map((element, i) =>
      ({ element, text: texts[i], html: element.closest('tr')?.outerHTML }));
    for (const b of blocks) b.element.textContent = b.text;
    main.querySelector('#cover').innerHTML = facts;
    for (const e of [main, ...main.querySelectorAll('*')]) {
      if (!ELEMENTS.has(e.localName)) e.remove();
      for (const name of e.getAttributeNames()) if (!ATTRIBUTES.has(name)) e.removeAttribute(name);
    }
    const sheet = fresh.createElement('style');
    sheet.textContent = style;
    fresh.head.append(sheet);
    fresh.body.append(main);
    return { facts, blocks, fixed, frame, style, program };
  } finally {
    html.replaceWith(fresh.documentElement);
  }
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
  const [styleHash, programHash] = await Promise.all([page.style, page.program].map((text) => sha256(utf8(text))));
  const frame = frameOf(base64(styleHash), base64(programHash), page.style, page.program);
  check('page', page.frame === frame && document.compatMode === 'CSS1Compat');
  for (const c of await verifyEntry(made, head)) check(c.name, c.ok);
  const leaf = parseLeaf(made.leaf);
  check('report', leaf?.action === 'audit.reported');
  check('list', leaf?.report?.entries === rows.length);
  if (!leaf?.report) return { failed, rows: [], head };

  const shown = utf8([page.style, page.program, log.vkey, page.fixed].join('\0'));
  const digest = await sha256(concat(parseBase64(made.salt) ?? [], shown));
  check('report', hex(digest) === leaf.report.sha256);
  const wanted = document.createElement('dl');
  for (const [name, value] of factsOf(log, head, made, leaf)) {
    const div = document.createElement('div'), dt = document.createElement('dt'), dd = document.createElement('dd');
    dt.textContent = visible(name);
    dd.textContent = visible(value);
    div.append(dt, dd);
    wanted.append(div);
  }
  check('cover', wanted.innerHTML === page.facts);
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

// show writes the verdict and marks the rows. If a check failed, nothing is known of the style, which could hide the
// verdict, nor of the element that has the place of the verdict.
function show({ failed, rows, head }) {
  for (const { cell, failed: names } of rows) {
    cell.classList.add(names.length > 0 ? 'bad' : 'good');
    cell.prepend(names.length > 0 ? `✗ changed: ${names.join(', ')}` : '✓ proved');
  }
  document.body.dataset.failed = [...failed].join(' ');
  if (failed.has('browser')) {
    write('Not checked: this browser cannot check signatures here. Save this page and open the file in a current ' +
      'browser, or use the command.');
  } else if (failed.size > 0) {
    for (const e of document.querySelectorAll('style, #verdict')) e.remove();
    const verdict = document.createElement('p');
    verdict.id = 'verdict';
    document.body.prepend(verdict);
    write(`Do not rely on this page: it was changed. What failed: ${[...failed].join(', ')}.`);
  } else {
    write(`Checked in this browser: this report and its ${rows.length} entries are what the log has. Compare the key ` +
      `of the log with yours: ${visible(head.key)}`);
    document.querySelector('#verdict').classList.add('good');
  }
}

function write(verdict) {
  const element = document.querySelector('#verdict');
  if (element) element.textContent = verdict;
}

async function progress(done, all) {
  write(`Checking: ${done} of ${all} entries.`);
  await new Promise((resume) => setTimeout(resume));
}

try {
  show(await checkPage(progress));
} catch (e) {
  show({ failed: new Set(['page']), rows: [] });
  throw e;
}
