import { account, forgot, join, login, reset, verify } from './app/account.js';
import { isSignedIn, settings } from './app/client.js';
import { find, markCurrent, missing } from './app/dom.js';
import { follow } from './app/live.js';
import { feed, mine, post } from './app/posts.js';
import { edit, write } from './app/write.js';

const main = find('main');
// Without a prototype, so that #/constructor names no view.
const own = { __proto__: null, account, edit, mine, write };
const guest = { __proto__: null, forgot, join, login };
const shared = { __proto__: null, '': feed, hot: feed, top: feed, search: feed, post };

let leaving = new AbortController();
let start = join;
let fromMail;

function route() {
  const [, purpose, token] = /^#(reset|verify)=(.+)/.exec(location.hash) ?? [];
  if (purpose) {
    fromMail = { reset, verify }[purpose](token);
    // The token must not stay in the history of the browser.
    history.replaceState(null, '', '#/mail');
  }
  let [name, ...rest] = location.hash.replace('#/', '').split('/');
  if (name === 'mail' && fromMail) return [fromMail];
  if (name === 'mail' || (isSignedIn() && guest[name])) name = '';
  const view = own[name] ?? guest[name] ?? shared[name];
  if (!view || /^#.(post|edit)(?!\/\d+$)/.test(location.hash)) return [missing];
  const isOpen = guest[name] || (shared[name] && settings.anonymousReads === 'on');
  if (!isSignedIn() && !isOpen) return [name ? login : start];
  return view === feed ? [feed, name, ...rest] : [view, ...rest];
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
// A session can also end at the service.
addEventListener('session', () => {
  start = login;
  openAtTop();
  follow();
});

open();
follow();
showConnection();
