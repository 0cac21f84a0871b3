import {MetorialFilesEndpoint as PulsarFiles, MetorialLinksEndpoint, MetorialManagementInstanceFilesEndpoint as InstanceFiles, MetorialManagementInstanceLinksEndpoint as InstanceLinks,
  MetorialDashboardInstanceFilesEndpoint as DashboardFiles, MetorialDashboardInstanceLinksEndpoint as DashboardLinks} from '@metorial/generated';
import {MetorialFilesEndpoint as MagnetarFiles, MetorialFileLinksEndpoint, MetorialDashboardInstanceFileLinksEndpoint as DashboardFileLinks} from '@metorial/generated/src/mt_2026_01_01_magnetar';
import {MetorialSDKBuilder} from '@metorial/util-endpoint';

// The library retries after Retry-After. To avoid the wait, the tests remove that
// header from responses.
const impatient = async (...args) => {
  const answer = await fetch(...args);
  if (answer.status !== 429) return answer;
  const headers = new Headers(answer.headers);
  headers.delete('retry-after');
  return new Response(await answer.text(), {status: answer.status, headers});
};

const builder = version => MetorialSDKBuilder.create('metorial-public-api', version)
  .setGetApiHost(config => config.apiHost)
  .setGetHeaders(config => ({Authorization: `Bearer ${config.apiKey}`, 'Metorial-Version': version}))
  .build(config => ({...config, fetch: impatient}));

// upload sends a form with the library's own requests, because the library has no
// method for it.
const upload = manager => async (name, content, purpose, more = {}, type = 'text/plain') => {
  const form = new FormData();
  form.set('purpose', purpose);
  form.set('file', new File([content], name, {type}));
  for (const [key, value] of Object.entries(more)) form.set(key, value);
  return manager.request('POST', {path: 'files', body: form});
};

// linksOf requests a page of the links of a file. The method of the older version has
// no parameters for it.
const linksOf = manager => async (file, query) => {
  const {items, pagination} = await manager.request('GET', {path: `files/${file}/links`, query});
  return {items, pagination: {hasMoreBefore: pagination.has_more_before, hasMoreAfter: pagination.has_more_after}};
};

// pulsar and magnetar are Metorial's clients of two versions with another base URL.
export const pulsar = builder('2025-01-01-pulsar')(manager => ({
  upload: upload(manager), linksOf: linksOf(manager), files: new PulsarFiles(manager), links: new MetorialLinksEndpoint(manager),
  instanceFiles: new InstanceFiles(manager), instanceLinks: new InstanceLinks(manager),
  dashboardFiles: new DashboardFiles(manager), dashboardLinks: new DashboardLinks(manager),
}));
export const magnetar = builder('2026-01-01-magnetar')(manager => ({
  upload: upload(manager), files: new MagnetarFiles(manager), fileLinks: new MetorialFileLinksEndpoint(manager), dashboardFileLinks: new DashboardFileLinks(manager),
}));
