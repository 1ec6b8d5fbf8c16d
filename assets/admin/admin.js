import { max, plot, sum } from './plots.js';
import { call, end, forget, isSignedIn, logIn, nextOf, read, sessionId } from './client.js';
import { fill, find, make, onSubmit, say, show } from './dom.js';

const HOME = find('.brand').href;
const MINUTE = 60_000;
// A plot has at most so many points, however long the process runs.
const POINTS = 288;

const main = find('main');
const nav = find('header nav');
let leaving = new AbortController();

const number = (value) => value.toLocaleString('en', { maximumFractionDigits: 1 });

const compact = (value) =>
  value < 10_000 ? number(value) : value.toLocaleString('en', { notation: 'compact' });

const whole = (value) => (value < 1_000_000 ? number(value)
  : value.toLocaleString('en', { notation: 'compact', maximumFractionDigits: 1 }));

function duration(microseconds) {
  if (microseconds < 1000) return `${number(microseconds)} µs`;
  if (microseconds < 1_000_000) return `${number(microseconds / 1000)} ms`;
  return `${number(microseconds / 1_000_000)} s`;
}

function span(seconds) {
  const [days, hours, minutes] = [seconds / 86_400, (seconds / 3600) % 24, (seconds / 60) % 60];
  if (days >= 1) return `${Math.floor(days)} d ${Math.floor(hours)} h`;
  return `${Math.floor(hours)} h ${Math.floor(minutes)} min`;
}

const CLOCK = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' };

const clock = (date) => date.toLocaleTimeString('en', CLOCK);

const dayOf = (day) =>
  new Date(day).toLocaleDateString('en', { day: 'numeric', month: 'short', timeZone: 'UTC' });

function timeOf(iso, options) {
  const time = make('time', '', new Date(iso).toLocaleString('en', options));
  time.dateTime = iso;
  return time;
}

function totals({ users, posts, drafts, votes }) {
  const total = ([name, { count, is_exact: isExact }]) =>
    fill('total', { name, count: whole(count), note: !isExact && 'an estimate' });
  return Object.entries({ Users: users, Posts: posts, Drafts: drafts, Votes: votes }).map(total);
}

function dayPlots(days) {
  const plotOf = (title, name) => {
    const values = days.map((day) => day[name]);
    const table = days.map((day) => [dayOf(day.day), day[name]]).reverse();
    const known = days.filter((day) => day[name] !== null);
    const since = known.length < days.length && known.length > 0;
    const note = known.length ? sum(values) : null;
    const period = since ? `since ${dayOf(known[0].day)}` : 'in 30 days';
    const series = [{ name: period, column: 'New', values, note }];
    const labels = days.map(({ day }) => dayOf(day));
    return plot({
      title, series, table, labels, from: labels[0], to: labels.at(-1),
      format: compact, first: 'Day', isBars: true,
    });
  };
  return [plotOf('New users a day', 'users'), plotOf('New posts a day', 'posts')];
}

// Joins neighbouring minutes to one value each.
function join(values, size, combine) {
  const joined = [];
  for (let start = 0; start < values.length; start += size) {
    joined.push(combine(values.slice(start, start + size)));
  }
  return joined;
}

const mean = (values) => sum(values) / values.length;

function minutePlots({ begin_at: begin, requests, ...minutes }) {
  const first = Date.parse(begin);
  const size = Math.ceil(requests.length / POINTS);
  const timeAt = (minute) => clock(new Date(first + minute * MINUTE));
  const dayAndTime = { day: 'numeric', month: 'short', ...CLOCK };
  const [from, to] = [0, requests.length].map((minute) =>
    new Date(first + minute * MINUTE).toLocaleString('en', dayAndTime),
  );
  const labels = join([...requests.keys()], size, ([minute]) => timeAt(minute));
  const hours = join([...requests.keys()], 60, ([minute]) => timeAt(minute));
  const plotOf = (title, format, combine, named, note) => {
    const series = named.map(([name, values]) => ({
      name, values: join(values, size, combine), note: note(values),
    }));
    const columns = named.map(([, values]) => join(values, 60, combine));
    const table = hours.map((hour, index) => [hour, ...columns.map((all) => all[index])]);
    table.reverse();
    return plot({ title, from, to, format, series, labels, table, first: 'From' });
  };
  const limits = minutes.rate_limited.map(({ limit, responses }) => [limit, responses]);
  const errors = [['4xx', minutes.client_errors], ['5xx', minutes.server_errors]];
  const times = [['median', minutes.p50_microseconds], ['99 %', minutes.p99_microseconds]];
  return [
    plotOf('Requests a minute', compact, mean, [['in all', requests]], sum),
    plotOf('Response time, highest', duration, max, times, max),
    plotOf('Errors', compact, sum, errors, sum),
    limits.length
      ? plotOf('Rate limits reached', compact, sum, limits, sum)
      : nothing('Rate limits reached', 'No request reached a rate limit.'),
  ];
}

function nothing(title, text) {
  const figure = make('figure', 'nothing');
  figure.append(make('h3', '', title), fill('empty', { text }));
  return figure;
}

function processFacts({ version, uptime_seconds: uptime, resident_memory_bytes: memory, streams, queues }) {
  const waiting = sum(queues.map((queue) => queue.waiting));
  const busy = queues.filter(({ waiting }) => waiting);
  const lengths = busy.map(({ queue, waiting }) => `${queue} ${waiting}`);
  return [
    `Version ${version}`,
    `up ${span(uptime)}`,
    memory && `${number(memory / 1024 / 1024)} MiB of memory`,
    `${number(streams)} open ${streams === 1 ? 'stream' : 'streams'}`,
    waiting ? `waiting: ${lengths.join(', ')}` : 'nothing waits in a queue',
  ].filter(Boolean).map((text) => make('span', '', text));
}

function showStatistics(view, { counts, process, minutes }) {
  const unknown = 'The database could not count its rows. The service tries again in a minute.';
  const [total, days] = [find('.totals', view), find('.days', view)];
  total.replaceChildren(...(counts ? totals(counts) : [fill('empty', { text: unknown })]));
  // A table that someone reads stays open.
  const open = new Set(Array.from(view.querySelectorAll('details[open]'), titleOf));
  days.replaceChildren(...(counts ? dayPlots(counts.days) : []));
  find('.meta', view).replaceChildren(...processFacts(process));
  const young = 'The process has just started. The first minute is shown when it has ended.';
  find('.minutes', view).replaceChildren(
    ...(minutes.requests.length ? minutePlots(minutes) : [fill('empty', { text: young })]),
  );
  view.querySelectorAll('details').forEach((node) => (node.open = open.has(titleOf(node))));
  const time = counts && clock(new Date(counts.counted_at));
  find('.state', view).textContent = time ? `Counted at ${time}, renewed each minute` : '';
}

const titleOf = (details) => find('summary', details).ariaLabel;

function userRow({ id, email, name, is_admin: isAdmin, ...times }) {
  const { created_at: created, disabled_at: disabled } = times;
  const address = make('b', '', email);
  const states = [isAdmin && 'Administrator', disabled && 'Disabled'].filter(Boolean);
  const state = make('span', '');
  state.append(...states.map((text) => make('i', disabled ? 'off' : 'on', text)));
  const cell = make('span', '');
  cell.append(address, ...(name ? [make('small', '', name)] : []));
  return [cell, id, timeOf(created, { dateStyle: 'medium' }), state];
}

function eventRow({ event, user_id: user, client, at }) {
  const isRefusal = /refused|reused/.test(event);
  const name = make('b', isRefusal ? 'off' : '', event.replaceAll('_', ' '));
  const time = timeOf(at, { dateStyle: 'medium', timeStyle: 'short', hourCycle: 'h23' });
  return [name, user, client ?? 'operator', time];
}

// The right can end while the page is open.
const refused = (fault) => (fault.status === 403 ? open() : say(fault));

async function list(section, path, toCells, signal) {
  const body = find('tbody', section);
  const more = find('.more', section);
  const add = async (from) => {
    const response = await call('GET', from, { signal });
    const next = nextOf(response);
    const rows = (await response.json()).map((entry) => {
      const row = make('tr', '');
      row.append(...toCells(entry).map((content, index) => {
        const cell = make(index ? 'td' : 'th', index === 1 ? 'number' : '');
        if (!index) cell.scope = 'row';
        cell.append(content);
        return cell;
      }));
      row.tabIndex = -1;
      return row;
    });
    body.append(...rows);
    more.hidden = !next;
    more.onclick = () => {
      more.ariaBusy = 'true';
      add(next).then(([row]) => row?.focus(), refused).finally(() => (more.ariaBusy = null));
    };
    return rows;
  };
  const rows = await add(path);
  const text = 'Nothing here yet.';
  if (!rows.length) find('table', section).replaceWith(fill('empty', { text }));
}

async function renew(view, signal) {
  if (document.hidden) return;
  try {
    showStatistics(view, await read('admin/statistics', signal));
  } catch (fault) {
    if (fault.name === 'AbortError') return;
    if (fault.status === 403) return open();
    find('.state', view).textContent = `${fault.message} The numbers are older.`;
  }
}

async function board(signal) {
  const view = fill('board');
  const statistics = await read('admin/statistics', signal);
  showStatistics(view, statistics);
  await Promise.all([
    list(find('#users', view), 'admin/users?limit=20', userRow, signal),
    list(find('#events', view), 'admin/events?limit=20', eventRow, signal),
  ]);
  const timer = setInterval(() => renew(view, signal), MINUTE);
  signal.addEventListener('abort', () => clearInterval(timer));
  nav.hidden = false;
  return view;
}

async function denied() {
  const { email } = await read('users/me');
  const command = `post-api user grant-admin ${email}`;
  const view = fill('denied', { email, command, home: HOME });
  find('.other', view).onclick = forget;
  return view;
}

function login() {
  const view = fill('login');
  onSubmit(find('form', view), ({ email, password, stay }) => logIn(email, password, stay));
  return view;
}

function open() {
  leaving.abort();
  leaving = new AbortController();
  nav.hidden = true;
  if (!isSignedIn()) return main.replaceChildren(login());
  const { signal } = leaving;
  show(main, () =>
    board(signal).catch((fault) => {
      if (fault.status === 403) return denied();
      throw fault;
    }),
  );
}

find('.leave', nav).onclick = () =>
  end('DELETE', `users/me/sessions/${sessionId()}`).catch(say);
find('.skip').onclick = (event) => {
  event.preventDefault();
  main.focus();
};
addEventListener('session', open);
open();
