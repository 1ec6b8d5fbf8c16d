import { account, forgot, join, login, reset, verify } from './app/account.js';
import { isSignedIn, settings } from './app/client.js';
import { find, markCurrent } from './app/dom.js';
import { follow } from './app/live.js';
import { feed, mine, post } from './app/posts.js';
import { edit, write } from './app/write.js';

const main = find('main');
const own = { account, edit, mine, write };
const guest = { forgot, join, login };

let leaving = new AbortController();
let fromMail;

function route() {
  const [, purpose, token] = /^#(reset|verify)=(.+)/.exec(location.hash) ?? [];
  if (purpose) {
    fromMail = { reset, verify }[purpose](token);
    // The token must not stay in the history of the browser.
    history.replaceState(null, '', '#/mail');
  }
  const [name, ...rest] = location.hash.slice(2).split('/').map(decodeURIComponent);
  const view = isSignedIn() ? own[name] : guest[name];
  if (name === 'mail' && fromMail) return [fromMail];
  if (view) return [view, ...rest];
  const isReader = isSignedIn() || settings.anonymousReads === 'on';
  if (own[name] || !isReader) return [name ? login : join];
  if (name === 'post') return [post, ...rest];
  return [feed, ['hot', 'top', 'search'].includes(name) ? name : '', ...rest];
}

function open() {
  const [view, ...rest] = route();
  leaving.abort();
  leaving = new AbortController();
  document.title = 'Posts';
  document.body.classList.toggle('signed-in', isSignedIn());
  markCurrent(find('header'), view === feed ? '#/' : `#/${location.hash.split('/')[1]}`);
  main.replaceChildren();
  view(main, leaving.signal, ...rest);
}

function openAtTop() {
  open();
  scrollTo(0, 0);
  const heading = find('h1', main) ?? main;
  heading.tabIndex = -1;
  heading.focus({ preventScroll: true });
}

const showConnection = () => (find('.offline').hidden = navigator.onLine);

find('.skip').onclick = () => main.focus() ?? false;
addEventListener('hashchange', openAtTop);
addEventListener('online', showConnection);
addEventListener('offline', showConnection);
addEventListener('session', openAtTop);
addEventListener('session', follow);

open();
follow();
showConnection();
