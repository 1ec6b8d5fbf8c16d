import { call, isSignedIn, settings } from './client.js';

const changes = new EventTarget();

export const on = (name, handle, signal) =>
  changes.addEventListener(name, ({ detail }) => handle(detail), { signal });

let lastId = '';
let pause = 3;
let running;

// Only a visible page holds a stream, because a browser has few connections for all its tabs.
export async function follow() {
  running?.abort();
  running = new AbortController();
  const { signal } = running;
  while (settings.changes === 'on' && isSignedIn() && !document.hidden && !signal.aborted) {
    try {
      await readOnce(signal);
    } catch (fault) {
      if (fault.status === 404) settings.changes = 'off';
      pause = Math.max(pause, fault.retryAfter ?? 0);
    }
    document.body.classList.remove('live');
    await new Promise((done) => setTimeout(done, pause * 1000));
  }
}

document.addEventListener('visibilitychange', follow);

async function readOnce(stopped) {
  const silent = new AbortController();
  const signal = AbortSignal.any([stopped, silent.signal]);
  const headers = { accept: 'text/event-stream', 'last-event-id': lastId };
  const response = await call('GET', 'posts/changes', { headers, signal });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const timer = setTimeout(() => silent.abort(), 50_000);
    const { done, value } = await reader.read().finally(() => clearTimeout(timer));
    if (done) return;
    const blocks = (rest + value).split('\n\n');
    rest = blocks.pop();
    blocks.forEach(handle);
  }
}

function handle(block) {
  const fields = Object.fromEntries(block.split('\n').map((line) => line.split(/: ?(.*)/)));
  if (fields.retry) pause = fields.retry / 1000;
  if (fields.id) lastId = fields.id;
  if (!fields.event) return;
  if (fields.event === 'hello') document.body.classList.add('live');
  const detail = JSON.parse(fields.data);
  changes.dispatchEvent(new CustomEvent(fields.event, { detail }));
}
