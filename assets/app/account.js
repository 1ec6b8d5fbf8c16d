import { ask, call, end, logIn, read, send, sessionId, settings, withKey } from './client.js';
import { confirm, fill, find, onSubmit, say, show, timeOf, toast } from './dom.js';

const card = (texts, submit) => (main) => {
  const view = fill('welcome', { length: settings.passwordLength, ...texts });
  onSubmit(find('form', view), submit);
  main.append(view);
};

const signUp = {};

export const join = card(
  { heading: 'Sign up', action: 'Sign up', email: true, newPassword: true, stay: true, login: true },
  async ({ stay, ...json }) => {
    await send('POST', 'users', withKey(signUp, json));
    await logIn(json.email, json.password, stay);
  },
);

const hasMail = settings.mail === 'on';

export const login = card(
  { heading: 'Log in', action: 'Log in', known: true, stay: true, join: true, forgot: hasMail },
  ({ username, password, stay }) => logIn(username, password, stay),
);

const post = async (path, json, text) => {
  await send('POST', path, { json });
  location.hash = '#/login';
  toast(text);
};

export const forgot = card(
  { heading: 'Forgot your password?', email: true, action: 'Send me a link' },
  (json) => post('password-resets', json, 'If there is an account, a mail is on its way.'),
);

export const reset = (token) =>
  card({ heading: 'New password', user: true, newPassword: true, action: 'Save' }, ({ password }) =>
    post('password-resets/confirm', { token, new_password: password }, 'You can log in now.'),
  );

export const verify = (token) =>
  card({ heading: 'Verify your e-mail', action: 'Verify' }, () =>
    post('email-verifications', { token }, 'Your e-mail is verified.'),
  );

export function account(main, signal) {
  show(main, async () => {
    const me = await read('users/me?include=verified');
    const unverified = hasMail && !me.email_verified_at;
    const view = fill('account', { name: me.name ?? 'None', email: me.email, unverified });
    if (unverified) verification(find('.verification', view));
    profile(view, me);
    sessions(view, signal);
    data(view, signal);
    return view;
  });
}

function verification(form) {
  onSubmit(form, async () => {
    await call('POST', 'users/me/email/verifications');
    form.role = 'status';
    form.textContent = 'A mail is on its way. Open its link within 24 hours.';
  });
}

function profile(view, { name, email }) {
  const logInAgain = async (email, password) => {
    await logIn(email, password);
    toast('Changed. All other sessions have ended.');
  };
  const form = find('.name', view);
  form.elements.name.value = name;
  onSubmit(form, async ({ name }) => {
    await call('PATCH', 'users/me', { json: { name: name || null } });
    find('[slot=name]', view).textContent = name || 'None';
    toast('Your name is saved.');
  });
  onSubmit(find('.email', view), async (json) => {
    const me = await ask('PATCH', 'users/me', { json });
    await logInAgain(me.email, json.current_password);
  });
  onSubmit(find('.password', view), async (json) => {
    await call('POST', 'users/me/password', { json });
    await logInAgain(email, json.new_password);
  });
}

function sessions(view, signal) {
  const entry = ({ id, user_agent: agent, used_at: at }) => {
    const isThis = id === sessionId();
    const detail = isThis && 'This browser';
    const node = fill('entry', { what: browserOf(agent), when: timeOf(at), detail, end: !isThis });
    const endIt = () => call('DELETE', `users/me/sessions/${id}`).then(load, say);
    if (!isThis) find('button', node).onclick = endIt;
    return node;
  };
  const load = () => list(find('.sessions', view), 'users/me/sessions', entry, signal);
  load();
  const path = `users/me/sessions/${sessionId()}`;
  find('.this', view).onclick = () => end('DELETE', path).catch(say);
  find('.all', view).onclick = () => end('POST', 'logout').catch(say);
}

const list = (region, path, entry, signal) =>
  show(region, async () => (await read(path, signal)).map(entry));

const browserOf = (agent) =>
  /(Edg|OPR|Firefox|Chrome|Safari)\/\d+/.exec(agent)?.[0] ?? agent.slice(0, 40);

function data(view, signal) {
  const entry = ({ event, at, client: detail }) =>
    fill('entry', { what: event.replaceAll('_', ' '), detail, when: timeOf(at) });
  const history = find('.history', view);
  history.ontoggle = () => list(find('ul', history), 'users/me/events', entry, signal);
  onSubmit(find('.export', view), async () => {
    const file = await (await call('GET', 'users/me/export')).blob();
    const link = document.createElement('a');
    Object.assign(link, { href: URL.createObjectURL(file), download: 'export.jsonl' }).click();
  });
  const deletion = find('.deletion', view);
  if (settings.deletionPassword === 'off') find('label', deletion).remove();
  onSubmit(deletion, async (json) => {
    if (!(await confirm('Your account and all that belongs to it.'))) return;
    await end('DELETE', 'users/me', json);
    toast('Your account is deleted.');
  });
}
