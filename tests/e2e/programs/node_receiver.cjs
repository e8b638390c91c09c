// A receiver of copies that reports each of them with a real @sentry/node: an SDK inside the mirror path.
// SENTRY_DSN says where to, HEADERS (JSON) with which headers of its transport. Prints its port, then "report" for each
// request that it gets; stops by itself after LIMIT of them, so that a loop that nothing breaks does not run on.
'use strict';
const http = require('node:http');
const Sentry = require('@sentry/node');

Sentry.init({
  dsn: process.env.SENTRY_DSN,
  transportOptions: { headers: JSON.parse(process.env.HEADERS) },
});

let left = Number(process.env.LIMIT);
const server = http.createServer((request, response) => {
  request.resume().on('end', () => {
    response.end('{}');
    if (left-- > 0) {
      console.log('report');
      Sentry.captureMessage(`got ${request.url}`);
    }
  });
});
server.listen(0, '127.0.0.1', () => console.log(`port ${server.address().port}`));
