// The official SLS SDK for Node.js with a key of its own that nobody knows: `sls_node_app.cjs <port> <logstore> <text>...`
// writes one log per text in one request. CommonJS, because the package is found through NODE_PATH.
'use strict';
const Client = require('@alicloud/log');

const [port, logstore, ...texts] = process.argv.slice(2);
const client = new Client({ accessKeyId: 'LTAI-nobody', accessKeySecret: 'wrong', endpoint: `127.0.0.1:${port}` });
const timestamp = Math.floor(Date.now() / 1000);
const logs = texts.map((message, n) => ({ timestamp, content: { message, n: String(n) } }));

// No project: its name would become a part of the address, and the edge sets Host.
client.postLogStoreLogs('', logstore, { logs, topic: 'node', source: 'edge' }).then(
  () => console.log('written'),
  (problem) => console.log('refused', problem.code, problem.message),
);
