// Lints an OpenAPI document with the recommended rules of Redocly. Every finding is an error, even if Redocly would only
// warn. The linter is used as a library, because Redocly's command line has ten times as many packages and contacts its
// maker's server.
import { createConfig, formatProblems, lint } from '@redocly/openapi-core';

const config = await createConfig({
  extends: ['recommended'],
  rules: {
    // /openapi.json, /docs, /healthz and /readyz take no input, so they refuse no request. TestRefusalsAreDocumented in
    // internal/httpd/openapi_test.go checks that all other operations document their refusals.
    'operation-4xx-response': 'off',
  },
});

const [document] = process.argv.slice(2);
const problems = await lint({ ref: document, config });
formatProblems(problems, { format: 'stylish', totals: { errors: 0, warnings: 0, ignored: 0 }, version: '' });
process.exitCode = problems.length > 0 ? 1 : 0;
