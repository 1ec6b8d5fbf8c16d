const BASE = new URL('../', import.meta.url);
const NAME = `session ${BASE.pathname}`;

export const settings = document.body.dataset;

const newKey = () => crypto.getRandomValues(new Uint32Array(4)).join('-');

export function withKey(attempt, json) {
  const request = JSON.stringify(json);
  if (attempt.request !== request) Object.assign(attempt, { request, key: newKey() });
  return { json, key: attempt.key };
}

class Fault extends Error {
  constructor(status, detail, headers = new Headers()) {
    super(`${detail}.`);
    this.status = status;
    this.retryAfter = headers.get('retry-after') ?? 0;
    if (status === 422) {
      Object.assign(this, { fields: detail, message: 'Please correct what is marked.' });
    }
    if (status === 429) this.message = `Try again in ${Math.ceil(this.retryAfter / 60)} min.`;
    if (!status || status >= 500) this.message = 'No answer. Nothing is lost: try again soon.';
  }
}

export async function send(method, path, { json, form, key, headers, signal } = {}) {
  const request = { method, headers: new Headers(headers), signal };
  if (key) request.headers.set('idempotency-key', key);
  if (json) request.headers.set('content-type', 'application/json');
  request.body = json ? JSON.stringify(json) : form && new URLSearchParams(form);
  const response = await fetch(new URL(path, BASE), request).catch((error) => {
    throw error.name === 'AbortError' ? error : new Fault(0);
  });
  if (response.ok) return response;
  const { detail } = await response.json().catch(() => ({}));
  throw new Fault(response.status, detail, response.headers);
}

export const tagOf = (response) => response.headers.get('etag').replace('W/', '');

export function nextOf(response) {
  const next = /<([^>]*)>; rel="next"/.exec(response.headers.get('link'));
  return next && new URL(next[1], response.url);
}

const channel = new BroadcastChannel(NAME);
let access, refreshing;

const storage = () => [sessionStorage, localStorage].find((storage) => storage.getItem(NAME));

const stored = () => JSON.parse(storage()?.getItem(NAME) ?? '{}');

function store(change, stay = storage() === localStorage) {
  const session = JSON.stringify({ ...stored(), ...change });
  storage()?.removeItem(NAME);
  (stay ? localStorage : sessionStorage).setItem(NAME, session);
}

export const isSignedIn = () => Boolean(storage());

export const sessionId = () => stored().id;

const announce = () => dispatchEvent(new Event('session'));

export function forget() {
  storage()?.removeItem(NAME);
  access = null;
  announce();
}

// A copy of this tab has a copy of its refresh token.
channel.onmessage = ({ data: { token, next } }) => {
  if (token === stored().token) store({ token: next });
};

async function askForTokens(form, stay) {
  const tokens = await (await send('POST', 'login', { form })).json();
  access = { token: tokens.access_token, until: Date.now() + (tokens.expires_in - 15) * 1000 };
  store({ token: tokens.refresh_token }, stay);
}

async function refresh() {
  const { token } = stored();
  try {
    await askForTokens({ grant_type: 'refresh_token', refresh_token: token });
    channel.postMessage({ token, next: stored().token });
  } catch (fault) {
    if (fault.status === 400) forget();
    throw fault;
  }
}

async function authorization() {
  if (!isSignedIn()) return {};
  if (!access || access.until < Date.now()) {
    // Browsers have locks only on HTTPS and for this machine.
    refreshing ??= navigator.locks ? navigator.locks.request(NAME, refresh) : refresh();
    await refreshing.finally(() => (refreshing = null));
  }
  return { authorization: `Bearer ${access.token}` };
}

export async function call(method, path, options = {}, isRetry = false) {
  const headers = { ...options.headers, ...(await authorization()) };
  try {
    return await send(method, path, { ...options, headers });
  } catch (fault) {
    if (fault.status !== 401 || !access || isRetry) throw fault;
    access = null;
    return call(method, path, options, true);
  }
}

export const ask = async (...request) => (await call(...request)).json();

export const read = (path, signal) => ask('GET', path, { signal });

export async function logIn(username, password, stay) {
  const form = { username, password, scope: 'offline_access' };
  await askForTokens(form, stay).catch((fault) => {
    if (fault.status === 403) fault.message = 'The e-mail or the password is wrong.';
    throw fault;
  });
  const sessions = await read('users/me/sessions');
  store({ id: Math.max(...sessions.map(({ id }) => id)) });
  announce();
}

export async function end(method, path, json) {
  await call(method, path, { json });
  forget();
}
