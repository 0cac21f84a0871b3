import assert from 'node:assert/strict';
import {test} from 'node:test';
import {setTimeout as sleep} from 'node:timers/promises';
import {MetorialSDKError} from '@metorial/util-endpoint';
import {start} from '../server.mjs';
import {magnetar, pulsar} from './client.mjs';

const endless = ['--no-rate-limit', '--max-link-lifetime', 'none'];

// The adapter is selected by the version header or by the prefix.
const direct = ({url}, apiKey) => ({apiHost: url, apiKey});
const prefixed = ({url}, apiKey) => ({apiHost: url + '/compat/metorial', apiKey});

async function get(url) {
  const answer = await fetch(url);
  return [answer.status, await answer.text()];
}

const near = date => assert.ok(date instanceof Date && Math.abs(date - Date.now()) < 5000, String(date));

// walk pages through a list, forwards from its first page with after, or backwards from
// its last object with before.
async function walk(list, query, last) {
  const ids = [];
  for (let edge = last; ;) {
    const {items, pagination} = await list({...query, ...(last ? {before: edge} : edge && {after: edge})});
    const page = items.map(one => one.id);
    if (last) ids.unshift(...page); else ids.push(...page);
    if (!(last ? pagination.hasMoreBefore : pagination.hasMoreAfter)) return ids;
    edge = last ? page[0] : page.at(-1);
  }
}

for (const [name, make, at] of [['pulsar', pulsar, direct], ['pulsar, by its prefix', pulsar, prefixed], ['magnetar', magnetar, direct]]) {
  test('files: ' + name, async t => {
    const server = await start(t, ...endless);
    const client = make(at(server, server.key));
    const made = await client.upload('sample.png', '\x89PNG', 'attachment', {title: 'Sample Image'}, 'image/png');
    assert.equal(made.name, 'sample.png');
    assert.equal(made.size, 5);
    assert.equal(made.mime_type, 'image/png');
    const file = await client.files.get(made.id);
    near(file.createdAt);
    near(file.updatedAt);
    assert.match(made.created_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    assert.deepEqual(file, {
      object: 'file', id: made.id, status: 'active', fileName: 'sample.png', fileSize: 5, fileType: 'image/png', title: 'Sample Image',
      purpose: {name: 'Attachment', identifier: 'attachment'}, createdAt: new Date(made.created_at), updatedAt: new Date(made.updated_at),
      name: 'sample.png', size: 5, mime_type: 'image/png',
    });
    assert.deepEqual((await client.files.list()).items, [file]);
    assert.deepEqual((await client.files.list()).pagination, {hasMoreBefore: false, hasMoreAfter: false});
    if (client.files.update) {
      const updated = await client.files.update(made.id, {title: 'Other'});
      assert.equal(updated.title, 'Other');
      assert.ok(updated.updatedAt >= file.updatedAt);
      assert.equal((await client.files.update(made.id, {})).title, 'Other');
      assert.equal((await client.files.update(made.id, {title: ''})).title, null);
    }
    assert.equal((await client.files.delete(made.id)).status, 'deleted');
    assert.equal((await client.files.get(made.id)).status, 'deleted');
    assert.deepEqual((await client.files.list()).items, []);
    await fails(client.files.delete(made.id), 404, 'not_found', {entity: 'file', id: made.id});
  });
}

test('links: pulsar', async t => {
  const server = await start(t, ...endless);
  const client = pulsar(direct(server, server.key));
  const {id: file} = await client.upload('a.txt', 'hello', 'generic');
  const link = await client.links.create(file, {});
  near(link.createdAt);
  assert.deepEqual(link, {object: 'file.file_link', id: link.id, fileId: file, url: link.url, createdAt: link.createdAt, expiresAt: null});
  assert.deepEqual(await get(link.url), [200, 'hello']);
  assert.deepEqual(await client.links.get(file, link.id), link);

  const expiresAt = new Date(Date.now() + 90 * 24 * 3600e3);
  assert.deepEqual(await client.links.update(file, link.id, {expiresAt}), {...link, expiresAt});
  assert.deepEqual(await client.links.update(file, link.id, {}), {...link, expiresAt});
  const brief = await client.links.create(file, {expiresAt: new Date(Date.now() + 500)});
  // The library converts the links of a list like files, and leaves unknown members as they are.
  const {items} = await client.links.list(file);
  assert.deepEqual(items, [
    {object: 'file.file_link', id: link.id, file_id: file, url: link.url, createdAt: link.createdAt, expires_at: expiresAt.toISOString()},
    {object: 'file.file_link', id: brief.id, file_id: file, url: brief.url, createdAt: brief.createdAt, expires_at: brief.expiresAt.toISOString()},
  ]);
  await sleep(600);
  assert.equal((await get(brief.url))[0], 410);
  await fails(client.links.update(file, brief.id, {expiresAt}), 400, 'bad_request');

  assert.deepEqual(await client.links.delete(file, link.id), {...link, expiresAt});
  assert.equal((await get(link.url))[0], 410);
  await fails(client.links.delete(file, link.id), 404, 'not_found', {entity: 'fileLink', id: link.id});
  await fails(client.links.get(file, link.id), 404, 'not_found', {entity: 'fileLink', id: link.id});

  await client.files.delete(file);
  const ended = (await client.links.list(file)).items;
  assert.equal(ended.length, 1);
  await fails(client.links.create(file, {}), 404, 'not_found', {entity: 'file', id: file});
});

test('links: magnetar', async t => {
  const server = await start(t, ...endless);
  const client = magnetar(direct(server, server.key));
  const {id: fileId} = await client.upload('a.txt', 'hello', 'generic');
  const other = await client.fileLinks.create({fileId: (await client.upload('b.txt', 'b', 'generic')).id});
  const expiresAt = new Date(Date.now() + 3600e3);
  const link = await client.fileLinks.create({fileId, expiresAt});
  assert.deepEqual(link, {object: 'file.file_link', id: link.id, fileId, url: link.url, createdAt: link.createdAt, expiresAt});
  assert.deepEqual(await get(link.url), [200, 'hello']);
  assert.deepEqual(await client.fileLinks.get(link.id), link);
  assert.deepEqual((await client.fileLinks.list({fileId})).items, [link]);
  assert.deepEqual((await client.fileLinks.list()).items, [other, link]);
  assert.deepEqual(await client.fileLinks.delete(link.id), link);
  assert.equal((await get(link.url))[0], 410);
  await fails(client.fileLinks.get(link.id), 404, 'not_found', {entity: 'fileLink', id: link.id});
  await fails(client.fileLinks.list({fileId: 'file_none'}), 404, 'not_found', {entity: 'file', id: 'file_none'});
});

test('the paths of an instance', async t => {
  const server = await start(t, ...endless);
  const client = pulsar(direct(server, server.key));
  const {id: file} = await client.upload('a.txt', 'hello', 'generic');
  for (const [files, links] of [[client.instanceFiles, client.instanceLinks], [client.dashboardFiles, client.dashboardLinks]]) {
    assert.equal((await files.get('ins_1', file)).fileName, 'a.txt');
    assert.equal((await files.list('ins_1')).items.length, 1);
    assert.equal((await files.update('ins_1', file, {title: 'T'})).title, 'T');
    const link = await links.create('ins_1', file, {});
    assert.equal((await links.update('ins_1', file, link.id, {})).url, link.url);
    assert.equal((await links.list('ins_1', file)).items.length, 1);
    assert.equal((await links.get('ins_1', file, link.id)).fileId, file);
    assert.equal((await links.delete('ins_1', file, link.id)).id, link.id);
  }
  const {dashboardFileLinks: links} = magnetar(direct(server, server.key));
  const link = await links.create('ins_1', {fileId: file});
  assert.equal((await links.list('ins_1', {fileId: file})).items[0].id, link.id);
  assert.equal((await links.get('ins_1', link.id)).id, link.id);
  assert.equal((await links.delete('ins_1', link.id)).id, link.id);
  assert.equal((await client.dashboardFiles.delete('ins_1', file)).status, 'deleted');
});

test('lists, both ways and by every filter', async t => {
  const server = await start(t, ...endless);
  const client = pulsar(direct(server, server.key));
  const flat = magnetar(direct(server, server.key));
  const count = 255, files = [], links = [];
  for (let i = 0; i < count; i++) files.push((await client.upload(i + '.png', 'x', i % 2 ? 'user_image' : 'organization_image', {}, 'image/png')).id);
  for (let i = 0; i < count; i++) links.push((await client.links.create(files[0], {})).id);

  const listFiles = q => client.files.list(q), listLinks = q => client.linksOf(files[0], q), listFlat = q => flat.fileLinks.list({fileId: files[0], ...q});
  for (const [list, all] of [[listFiles, files], [q => flat.files.list(q), files], [listLinks, links], [listFlat, links]]) {
    assert.deepEqual(await walk(list, {}), all);
    assert.deepEqual(await walk(list, {limit: 100}), all);
    assert.deepEqual(await walk(list, {limit: 100, order: 'asc'}), all);
    assert.deepEqual(await walk(list, {limit: 100, order: 'desc'}), all.toReversed());
    assert.deepEqual(await walk(list, {limit: 100}, all.at(-1)), all.slice(0, -1));
    assert.deepEqual(await walk(list, {limit: 100, order: 'desc'}, all[0]), all.slice(1).toReversed());
    const page = await list({limit: 3, after: all[4]});
    assert.deepEqual([page.items.map(one => one.id), page.pagination], [all.slice(5, 8), {hasMoreBefore: true, hasMoreAfter: true}]);
    assert.equal((await list()).items.length, 20);
  }
  assert.equal((await listLinks({limit: 1000})).items.length, 100);
  assert.equal((await listLinks({limit: 0})).items.length, 1);

  assert.deepEqual(await walk(listFiles, {limit: 100, purpose: 'user_image'}), files.filter((_, i) => i % 2));
  assert.deepEqual(await walk(listFiles, {limit: 100, purpose: ['user_image', 'organization_image']}), files);
  assert.deepEqual(await walk(listFiles, {id: files[7]}), [files[7]]);
  assert.deepEqual(await walk(listFiles, {id: [files[9], files[7], 'file_none']}), [files[7], files[9]]);
  const {createdAt} = await client.files.get(files[99]);
  const at = (await client.files.get(files[100])).createdAt;
  for (const [created_at, has] of [
    [createdAt, d => +d === +createdAt], [{gt: createdAt}, d => d > createdAt], [{gte: createdAt}, d => d >= createdAt],
    [{lt: createdAt}, d => d < createdAt], [{lte: createdAt}, d => d <= createdAt], [{gte: createdAt, lte: at}, d => d >= createdAt && d <= at],
  ]) {
    const {items} = await listFiles({limit: 100, created_at, order: 'desc'});
    assert.ok(items.length > 0 && items.every(f => has(f.createdAt)), JSON.stringify(created_at));
  }
  assert.deepEqual(await walk(listFiles, {limit: 100, organizationId: 'org_1'}), files);
});

// fails expects an error of the library with all its members.
const fails = (promise, status, code, {entity, id, errors} = {}) => assert.rejects(promise, e => {
  assert.ok(e instanceof MetorialSDKError);
  assert.ok(e.message);
  assert.deepEqual({status: e.response.status, code: e.code, entity: e.entity, id: e.response.id, ok: e.response.ok, __typename: e.response.__typename},
    {status, code, entity, id, ok: false, __typename: 'error'}, JSON.stringify(e.response));
  if (status < 500) assert.match(e.hint, /docs\/errors/);
  const seen = e.validationErrors?.map(({message, ...rest}) => (assert.ok(message), rest));
  assert.deepEqual(seen, errors, JSON.stringify(e.response));
  return true;
});

test('errors', async t => {
  const server = await start(t, '--no-rate-limit');
  const client = pulsar(direct(server, server.key)), flat = magnetar(direct(server, server.key));
  const {id: file} = await client.upload('a.txt', 'x', 'attachment');
  const expiresAt = new Date(Date.now() + 3600e3);
  const link = await client.links.create(file, {expiresAt});
  const invalid = (promise, ...errors) => fails(promise, 400, 'invalid_data', {errors});
  const missing = (promise, entity, id) => fails(promise, 404, 'not_found', {entity, id});

  await missing(client.files.get('file_none'), 'file', 'file_none');
  await missing(client.files.update('file_none', {title: 't'}), 'file', 'file_none');
  await missing(client.files.delete('file_none'), 'file', 'file_none');
  await missing(client.links.list('file_none'), 'file', 'file_none');
  await missing(client.links.create('file_none', {expiresAt}), 'file', 'file_none');
  await missing(client.links.get('file_none', link.id), 'file', 'file_none');
  await missing(client.links.get(file, 'link_none'), 'fileLink', 'link_none');
  await missing(client.links.update(file, 'link_none', {expiresAt}), 'fileLink', 'link_none');
  await missing(client.links.delete(file, 'link_none'), 'fileLink', 'link_none');
  await missing(flat.fileLinks.get('link_none'), 'fileLink', 'link_none');
  await missing(flat.fileLinks.create({fileId: 'file_none', expiresAt}), 'file', 'file_none');
  await missing(client.links.get(file, 'a/b'), 'endpoint');

  const expires_at = more => ({code: 'invalid_type', path: ['expires_at'], expected: 'date', ...more});
  await invalid(client.links.create(file, {}), {code: 'out_of_range', path: ['expires_at']});
  await invalid(client.links.create(file, {expiresAt: new Date(0)}), {code: 'out_of_range', path: ['expires_at']});
  await invalid(client.links.create(file, {expiresAt: 'soon'}), expires_at({received: 'string'}));
  await invalid(client.links.create(file, {expiresAt: true}), expires_at({received: 'boolean'}));
  await invalid(client.links.update(file, link.id, {expiresAt: null}), expires_at({received: 'null'}));
  await invalid(client.files.update(file, {title: null}), {code: 'invalid_type', path: ['title'], expected: 'string', received: 'null'});
  await invalid(client.files.update(file, {title: 'x'.repeat(256)}), {code: 'too_long', path: ['title']});
  await invalid(flat.fileLinks.create({expiresAt}), {code: 'required', path: ['file_id']});
  await invalid(client.upload('a', 'x', 'fun'), {code: 'invalid', path: ['purpose']});
  await invalid(client.upload('a.txt', 'x', 'user_image'), {code: 'invalid', path: ['file']});
  await invalid(client.files.list({limit: 101}), {code: 'out_of_range', path: ['limit']});
  await invalid(client.files.list({order: 'up'}), {code: 'invalid', path: ['order']});
  await invalid(client.files.list({after: 'file_none'}), {code: 'invalid', path: ['after']});
  await invalid(client.files.list({before: 'file_none'}), {code: 'invalid', path: ['before']});
  await invalid(client.files.list({cursor: 'c'}), {code: 'invalid', path: ['cursor']});
  await invalid(client.files.list({purpose: 'fun', limit: 0}), {code: 'out_of_range', path: ['limit']}, {code: 'invalid', path: ['purpose']});

  await fails(pulsar(direct(server, 'sk_test_wrong')).files.list(), 401, 'unauthorized');
  const reader = pulsar(direct(server, server.newKey('--scopes', 'files:read')));
  await fails(reader.links.create(file, {expiresAt}), 403, 'forbidden');
  await fails(reader.links.get(file, link.id), 403, 'forbidden');
});

test('rate limit', async t => {
  const server = await start(t);
  const client = pulsar(direct(server, server.key));
  const answers = await Promise.allSettled(Array.from({length: 60}, () => client.files.list()));
  const limited = answers.find(a => a.status === 'rejected');
  assert.ok(limited, 'sixty requests at once all passed');
  await fails(Promise.reject(limited.reason), 429, 'rate_limit_exceeded');
});
