"""Reporters that are handed to Mocha and to Node.js: each writes one JSON line a case, as soon as it has ended.

They run in the tested project's Node.js and print what people read in the log, too.
"""

MOCHA = r"""'use strict';
// Plain event names and old syntax: every version of Mocha takes it, in parallel mode too.
var fs = require('fs');
module.exports = function TurnoutReporter(runner) {
  var seen = [];
  function fileOf(test) {  // a hook of the outermost suite has none: that of the test it belongs to, then
    var current = test.ctx && test.ctx.currentTest;
    return test.file || (test.parent && test.parent.file) || (current && current.file) || '';
  }
  function write(test, status, error) {
    var hook = test.type === 'hook';
    var number = seen.indexOf(test);
    if (number < 0) { number = seen.push(test) - 1; }
    var title = typeof test.fullTitle === 'function' ? test.fullTitle() : test.title;
    var suite = test.parent && typeof test.parent.fullTitle === 'function' ? test.parent.fullTitle() : '';
    fs.appendFileSync(process.env.TURNOUT_TEST_REPORT, JSON.stringify({
      number: number, file: fileOf(test), title: test.title,
      full: title, suite: suite, hook: hook, status: status, duration: test.duration || 0,
      message: error ? String(error.message || error) : '',
      details: error ? String(error.stack || error.message || error).slice(0, 20000) : ''
    }) + '\n');
    console.log({passed: '  ok      ', failed: '  FAILED  ', skipped: '  skipped '}[status] + title);
    if (error) { console.log(String(error.stack || error.message || error).replace(/^/gm, '          ')); }
  }
  runner.on('pass', function (test) { write(test, 'passed'); });
  runner.on('fail', function (test, error) { write(test, 'failed', error || 'failed'); });
  runner.on('pending', function (test) { write(test, 'skipped'); });
  runner.on('end', function () { fs.appendFileSync(process.env.TURNOUT_TEST_REPORT, '{"end": true}\n'); });
};
"""

NODE = r"""// A test's ancestors are known by the nesting of the events before it.
export default async function* report(source) {
  const open = [];
  for await (const { type, data } of source) {
    if (type === 'test:start') {
      open.length = data.nesting;
      open.push(data.name);
    }
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    const suite = data.details?.type === 'suite';
    const error = data.details?.error;
    const cause = error?.cause ?? error;
    yield JSON.stringify({
      suite, file: data.file ?? '', path: [...open.slice(0, data.nesting), data.name], nesting: data.nesting,
      failed: type === 'test:fail' && data.todo === undefined,
      skipped: data.skip !== undefined || data.todo !== undefined,
      duration: data.details?.duration_ms ?? 0, kind: error?.failureType ?? '',
      message: error ? String(cause?.message ?? cause) : '',
      details: error ? String(cause?.stack ?? cause?.message ?? cause).slice(0, 20000) : '',
    }) + '\n';
  }
}
"""
