// Real @sentry/node programs: `node_app.cjs <what>` with SENTRY_DSN set sends one kind of thing and prints event ids.
// CommonJS, because the package is found through NODE_PATH.
'use strict';
const Sentry = require('@sentry/node');

Sentry.init({
  dsn: process.env.SENTRY_DSN,
  tracesSampleRate: 1.0,
  enableLogs: true,
  release: 'shop@1.2.3',
  // Says which error events are about to be sent.
  beforeSend(event) {
    console.log('event', event.event_id);
    return event;
  },
});

const programs = {
  error() {
    try {
      null.total();
    } catch (problem) {
      Sentry.captureException(problem);
    }
  },
  // Over 32 KiB: the SDK compresses it.
  bigError() {
    const rows = Object.fromEntries([...Array(900).keys()].map((n) => [`row ${n}`, `äöü € ${n} `.repeat(8)]));
    Sentry.withScope((scope) => {
      scope.setContext('table', rows);
      Sentry.captureMessage('much context', 'warning');
    });
  },
  transaction() {
    Sentry.startSpan({ op: 'task', name: 'nightly' }, () => Sentry.startSpan({ op: 'db', name: 'select 1' }, () => 1));
  },
  logs() {
    Sentry.logger.warn('stock is low', { left: 3 });
  },
  attachment() {
    Sentry.withScope((scope) => {
      scope.addAttachment({ filename: 'dump.bin', data: new Uint8Array(25600).map((_, n) => n % 256) });
      Sentry.captureMessage('with an attachment');
    });
  },
};

(async () => {
  for (const what of process.argv.slice(2)) {
    programs[what]();
    if (!(await Sentry.flush(10000))) process.exit(1);
  }
  process.exit(0);
})();
