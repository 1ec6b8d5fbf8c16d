import { ask, call, end, logIn, read, send, sessionId, settings, withKey } from './client.js';
import { confirm, fill, find, onSubmit, say, show, timeOf, toast } from './dom.js';

const card = (texts, submit) => (main) => {
  const view = fill('welcome', { length: settings.passwordLength, ...texts });
  onSubmit(find('form', view), submit);
  main.append(view);
};

const signUp = {};

export const join = card(
  {
    heading: 'Sign up',
    email: true,
    newPassword: true,
    stay: true,
    action: 'Sign up',
    login: true,
  },
  async ({ stay, ...json }) => {
    await send('POST', 'users', withKey(signUp, json));
    await logIn(json.email, json.password, stay);
  },
);

export const login = card(
  {
    heading: 'Log in',
    username: true,
    password: true,
    stay: true,
    action: 'Log in',
    join: true,
    forgot: settings.mail === 'on',
  },
  ({ username, password, stay }) =>
    logIn(username, password, stay).catch((fault) => {
      if (fault.status === 403) fault.message = 'The e-mail or the password is wrong.';
      throw fault;
    }),
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
    const me = await read('users/me');
    const view = fill('account', { name: me.name ?? 'None', email: me.email });
    profile(view, me);
    sessions(view, signal);
    data(view, signal);
    return view;
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
    const button = find('button', node) ?? {};
    button.onclick = () => call('DELETE', `users/me/sessions/${id}`).then(load, say);
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
    link.href = URL.createObjectURL(file);
    link.download = 'export.jsonl';
    link.click();
  });
  const deletion = find('.deletion', view);
  if (settings.deletionPassword === 'off') find('label', deletion).remove();
  onSubmit(deletion, async (json) => {
    const answer = await confirm('Delete your account?', 'There is no way back.', 'Delete');
    if (!answer) return;
    await end('DELETE', 'users/me', json);
    toast('Your account is deleted.');
  });
}
