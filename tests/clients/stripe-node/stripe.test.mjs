import assert from 'node:assert/strict';
import {test} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import Stripe from 'stripe';
import {start} from '../server.mjs';
import {client} from './client.mjs';

const now = () => Math.floor(Date.now() / 1000);
const endless = ['--no-rate-limit', '--max-link-lifetime', 'none'];

const upload = (stripe, name, content, purpose, more = {}) =>
  stripe.files.create({file: {data: Buffer.from(content), name, type: 'application/octet-stream'}, purpose, ...more});

async function get(url, key) {
  const headers = key ? {Authorization: 'Bearer ' + key} : {};
  const answer = await fetch(url, {headers});
  return [answer.status, await answer.text()];
}

async function collect(list) {
  const ids = [];
  for await (const one of list) ids.push(one.id);
  return ids;
}

test('files and links', async t => {
  const server = await start(t, ...endless);
  const stripe = client(server, server.key);
  const file = await upload(stripe, 'evidence.pdf', '%PDF-1.7 hello', 'dispute_evidence');
  assert.match(file.id, /^file_/);
  assert.equal(file.lastResponse.statusCode, 200);
  assert.match(file.lastResponse.requestId, /^req_/);
  assert.equal(file.lastResponse.apiVersion, Stripe.API_VERSION);
  assert.ok(Math.abs(file.created - now()) <= 2);
  assert.deepEqual({...file}, {
    id: file.id, object: 'file', created: file.created, expires_at: null, filename: 'evidence.pdf',
    links: {object: 'list', data: [], has_more: false, url: '/v1/file_links?file=' + file.id},
    purpose: 'dispute_evidence', size: 14, title: null, type: 'pdf', url: `${server.url}/compat/stripe/v1/files/${file.id}/contents`,
  });
  assert.deepEqual({...await stripe.files.retrieve(file.id)}, {...file});
  assert.deepEqual(await get(file.url, server.key), [200, '%PDF-1.7 hello']);

  const link = await stripe.fileLinks.create({file: file.id, metadata: {order: '6735', 'a.b': 'ü', count: 7}});
  assert.deepEqual({...link}, {
    id: link.id, object: 'file_link', created: link.created, expired: false, expires_at: null, file: file.id, livemode: false,
    metadata: {order: '6735', 'a.b': 'ü', count: '7'}, url: link.url,
  });
  assert.deepEqual(await get(link.url), [200, '%PDF-1.7 hello']);
  const expanded = await stripe.fileLinks.retrieve(link.id, {expand: ['file']});
  assert.equal(expanded.file.filename, 'evidence.pdf');
  assert.equal(expanded.file.links.data[0].id, link.id);
  const seen = await stripe.files.retrieve(file.id, {expand: ['links.data.file']});
  assert.equal(seen.links.data[0].file.size, 14);

  let changed = await stripe.fileLinks.update(link.id, {metadata: {order: '', new: 'yes'}});
  assert.deepEqual(changed.metadata, {'a.b': 'ü', count: '7', new: 'yes'});
  changed = await stripe.fileLinks.update(link.id, {metadata: ''});
  assert.deepEqual(changed.metadata, {});
  const at = now() + 90 * 24 * 3600;
  changed = await stripe.fileLinks.update(link.id, {expires_at: at});
  assert.equal(changed.expires_at, at);
  assert.equal(changed.url, link.url);
  changed = await stripe.fileLinks.update(link.id, {expires_at: ''});
  assert.equal(changed.expires_at, null);
  changed = await stripe.fileLinks.update(link.id, {expires_at: 'now'});
  assert.equal(changed.expired, true);
  assert.ok(changed.expires_at <= now());
  assert.equal((await get(link.url))[0], 410);
  assert.equal((await stripe.fileLinks.retrieve(link.id)).expired, true);
});

test('a link in the same call as the file, in either order of fields', async t => {
  const server = await start(t, ...endless);
  const stripe = client(server, server.key);
  const at = now() + 600;
  const file = await stripe.files.create({
    file_link_data: {create: true, expires_at: at, metadata: {k: 'v'}},
    file: {data: Buffer.from('a,b\n'), name: 'a.csv', type: 'application/octet-stream'},
    purpose: 'finance_report_run',
  });
  const [link] = file.links.data;
  assert.equal(file.type, 'csv');
  assert.equal(link.expires_at, at);
  assert.deepEqual(link.metadata, {k: 'v'});
  assert.deepEqual(await get(link.url), [200, 'a,b\n']);
});

test('lists, both ways and by every filter', async t => {
  const server = await start(t, ...endless);
  const stripe = client(server, server.key);
  const count = 255;
  const files = [], links = [];
  for (let i = 0; i < count; i++) {
    files.unshift((await upload(stripe, i + '.txt', 'x', i % 2 ? 'selfie' : 'dispute_evidence')).id);
  }
  for (let i = 0; i < count; i++) links.unshift((await stripe.fileLinks.create({file: files.at(-1)})).id);

  assert.deepEqual(await collect(stripe.files.list({limit: 100})), files);
  assert.deepEqual(await collect(stripe.files.list()), files);
  assert.deepEqual(await collect(stripe.fileLinks.list({limit: 100})), links);
  assert.deepEqual(await collect(stripe.files.list({limit: 100, ending_before: files.at(-1)})), files.slice(0, -1).reverse());
  assert.deepEqual(await collect(stripe.fileLinks.list({limit: 100, ending_before: links.at(-1)})), links.slice(0, -1).reverse());
  const page = await stripe.files.list({limit: 3, starting_after: files[4]});
  assert.deepEqual(page.data.map(f => f.id), files.slice(5, 8));
  assert.equal(page.has_more, true);
  assert.equal(page.url, '/v1/files');
  assert.deepEqual(await collect(stripe.files.list({limit: 100, purpose: 'selfie'})), files.filter((_, i) => i % 2));

  await sleep(1100);
  const young = await upload(stripe, 'young.txt', 'x', 'pci_document');
  const created = young.created;
  assert.deepEqual(await collect(stripe.files.list({created})), [young.id]);
  assert.deepEqual(await collect(stripe.files.list({created: {gte: created}})), [young.id]);
  assert.deepEqual(await collect(stripe.files.list({created: {gt: created}})), []);
  assert.deepEqual(await collect(stripe.files.list({limit: 100, created: {lt: created}})), files);
  assert.deepEqual(await collect(stripe.files.list({limit: 100, created: {lte: created}})), [young.id, ...files]);

  const brief = await stripe.fileLinks.create({file: young.id, expires_at: now() + 2});
  assert.deepEqual(await collect(stripe.fileLinks.list({file: young.id})), [brief.id]);
  assert.deepEqual(await collect(stripe.fileLinks.list({created: brief.created})), [brief.id]);
  assert.deepEqual(await collect(stripe.fileLinks.list({expired: true})), []);
  await sleep(2100);
  assert.deepEqual(await collect(stripe.fileLinks.list({expired: true})), [brief.id]);
  assert.deepEqual(await collect(stripe.fileLinks.list({limit: 100, expired: false})), links);
  const [shown] = (await stripe.fileLinks.list({file: young.id, expand: ['data.file']})).data;
  assert.equal(shown.file.filename, 'young.txt');
});

const {StripeInvalidRequestError, StripeAuthenticationError, StripePermissionError, StripeRateLimitError, StripeIdempotencyError} = Stripe.errors;

// fails expects an exception of a class with all its members.
const fails = (promise, kind, statusCode, code, param) => assert.rejects(promise, e => {
  assert.ok(e instanceof kind, `${e.constructor.name}: ${e.message}`);
  assert.deepEqual({statusCode: e.statusCode, code: e.code, param: e.param}, {statusCode, code, param}, e.message);
  assert.match(e.requestId, /^req_/);
  assert.match(e.doc_url, /\/docs\/errors\//);
  assert.ok(e.message);
  return true;
});

test('errors', async t => {
  const server = await start(t, '--no-rate-limit');
  const stripe = client(server, server.key);
  const file = await upload(stripe, 'a.txt', 'x', 'dispute_evidence');
  const expires_at = now() + 3600;
  const link = await stripe.fileLinks.create({file: file.id, expires_at});
  const invalid = (promise, ...rest) => fails(promise, StripeInvalidRequestError, ...rest);

  await invalid(stripe.files.retrieve('file_none'), 404, 'resource_missing', 'id');
  await invalid(stripe.fileLinks.retrieve('link_none'), 404, 'resource_missing', 'id');
  await invalid(stripe.fileLinks.create({file: 'file_none', expires_at}), 404, 'resource_missing', 'file');
  await invalid(stripe.fileLinks.create({expires_at}), 400, 'parameter_missing', 'file');
  await invalid(stripe.fileLinks.create({file: file.id, expires_at, colour: 'red'}), 400, 'parameter_unknown', 'colour');
  await invalid(stripe.fileLinks.create({file: file.id, expires_at: 1}), 400, undefined, 'expires_at');
  await invalid(stripe.fileLinks.create({file: file.id, expires_at: 'soon'}), 400, 'parameter_invalid_integer', 'expires_at');
  await invalid(stripe.fileLinks.create({file: file.id}), 400, undefined, 'expires_at');
  await invalid(stripe.fileLinks.update(link.id, {expires_at: ''}), 400, undefined, 'expires_at');
  await invalid(stripe.fileLinks.update(link.id, {metadata: {sluice_x: '1'}}), 400, undefined, 'metadata[sluice_x]');
  await invalid(upload(stripe, 'a', 'x', 'fun'), 400, undefined, 'purpose');
  await invalid(upload(stripe, 'a.txt', 'x', 'business_logo'), 400, undefined, 'file');
  await invalid(upload(stripe, 'a', 'x', 'selfie', {file_link_data: {create: true}}), 400, undefined, 'file_link_data[expires_at]');
  await invalid(upload(stripe, 'a.png', Buffer.alloc(30 << 20), 'business_logo'), 400, undefined, 'file');
  await invalid(upload(stripe, 'a.png', Buffer.alloc(30 << 20), 'fun'), 400, undefined, 'purpose');
  await invalid(stripe.files.list({limit: 101}), 400, 'parameter_invalid_integer', 'limit');
  await invalid(stripe.files.list({starting_after: 'file_none'}), 400, 'resource_missing', 'starting_after');
  await invalid(stripe.files.list({starting_after: file.id, ending_before: file.id}), 400, 'parameters_exclusive', 'starting_after');
  await invalid(stripe.files.list({purpose: ''}), 400, 'parameter_invalid_empty', 'purpose');
  await invalid(stripe.files.retrieve(file.id, {expand: ['owner']}), 400, undefined, 'expand');
  await stripe.fileLinks.update(link.id, {expires_at: 'now'});
  await invalid(stripe.fileLinks.update(link.id, {expires_at}), 400, undefined, undefined);

  await fails(client(server, 'sk_test_wrong').files.list(), StripeAuthenticationError, 401, undefined, undefined);
  const stranger = client(server, 'sk_test_wrong');
  await fails(upload(stranger, 'a.png', Buffer.alloc(30 << 20), 'selfie'), StripeAuthenticationError, 401, undefined, undefined);
  const reader = client(server, server.newKey('--scopes', 'files:read'));
  await fails(reader.fileLinks.retrieve(link.id), StripePermissionError, 403, undefined, undefined);
  assert.equal((await reader.files.retrieve(file.id)).links, null);
});

test('idempotency', async t => {
  const server = await start(t, ...endless);
  const stripe = client(server, server.key);
  const file = {data: Buffer.from('one'), name: 'a.txt', type: 'application/octet-stream'};
  const create = data => stripe.files.create({file: {...file, data: Buffer.from(data)}, purpose: 'selfie'}, {idempotencyKey: 'upload-1'});
  const first = await create('one');
  const again = await create('one');
  assert.deepEqual({...again}, {...first});
  assert.equal(again.lastResponse.headers['idempotent-replayed'], 'true');
  assert.equal(again.lastResponse.headers['original-request'], first.lastResponse.requestId);
  assert.equal(first.lastResponse.headers['idempotent-replayed'], undefined);
  await fails(create('two'), StripeIdempotencyError, 400, undefined, undefined);

  const mint = id => stripe.fileLinks.create({file: id}, {idempotencyKey: 'link-1'});
  assert.deepEqual({...await mint(first.id)}, {...await mint(first.id)});
  await fails(mint('file_none'), StripeIdempotencyError, 400, undefined, undefined);
  assert.equal((await stripe.fileLinks.list()).data.length, 1);

  const lost = () => stripe.fileLinks.create({file: 'file_none'}, {idempotencyKey: 'link-2'});
  await fails(lost(), StripeInvalidRequestError, 404, 'resource_missing', 'file');
  const e = await lost().catch(e => e);
  assert.equal(e.headers['idempotent-replayed'], 'true');
  assert.equal(e.code, 'resource_missing');
});

test('rate limit', async t => {
  const server = await start(t);
  const stripe = client(server, server.key);
  const answers = await Promise.allSettled(Array.from({length: 60}, () => stripe.files.list()));
  const limited = answers.find(a => a.status === 'rejected');
  assert.ok(limited, 'sixty requests at once all passed');
  await fails(Promise.reject(limited.reason), StripeRateLimitError, 429, 'rate_limit', undefined);
  assert.ok(Number(limited.reason.headers['retry-after']) >= 1);
});
