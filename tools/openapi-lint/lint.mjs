// Lints an OpenAPI document with the recommended rules of Redocly. What a rule says is an error here, also where
// Redocly would only warn. It takes the linter as a library, since Redocly's command line brings ten times as many
// packages and asks its maker's server for news.
import { createConfig, formatProblems, lint } from '@redocly/openapi-core';

const config = await createConfig({
  extends: ['recommended'],
  rules: {
    // /openapi.json, /docs, /healthz and /readyz ask for nothing, so there is nothing in a request to refuse. That all
    // other operations say how they refuse is held by TestRefusalsAreDocumented in internal/httpd/openapi_test.go.
    'operation-4xx-response': 'off',
  },
});

const [document] = process.argv.slice(2);
const problems = await lint({ ref: document, config });
formatProblems(problems, { format: 'stylish', totals: { errors: 0, warnings: 0, ignored: 0 }, version: '' });
process.exitCode = problems.length > 0 ? 1 : 0;
