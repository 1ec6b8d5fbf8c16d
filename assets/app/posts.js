import { call, isSignedIn, nextOf, read } from './client.js';
import { confirm, empty, fill, find, make, markCurrent, missing, say, show, timeOf, toast } from './dom.js';
import { on } from './live.js';

const include = () => `include=owner${isSignedIn() ? ',my_vote' : ''}`;

function toNode(item, own) {
  const { Post: post, owner } = item;
  const node = fill('post', {
    ...post,
    title: post.title || 'Untitled',
    author: owner.name ?? `User ${post.owner_id}`,
    when: timeOf(post.created_at),
    draft: !post.published,
    own,
  });
  const [up, down] = node.querySelectorAll('.votes button');
  node.dataset.post = post.id;
  node.show = (change) => {
    Object.assign(item, change);
    find('.title', node).textContent = item.Post.title || 'Untitled';
    find('.text', node).textContent = item.Post.content;
    find('.count', node).textContent = item.votes.toLocaleString('en');
    up.ariaPressed = item.my_vote === 1;
    down.ariaPressed = item.my_vote === -1;
  };
  const vote = (dir) => () => cast(item, item.my_vote === dir ? 0 : dir, node).catch(say);
  up.onclick = vote(1);
  down.onclick = vote(-1);
  node.show();
  return node;
}

async function cast({ Post: { id }, votes, my_vote }, dir, node) {
  if (!isSignedIn()) return void (location.hash = '#/login');
  node.show({ votes: votes + dir - my_vote, my_vote: dir });
  try {
    await call('POST', 'vote', { json: { post_id: id, dir } });
  } catch (fault) {
    node.show(await read(`posts/${id}?${include()}`).catch(() => ({ votes, my_vote })));
    throw fault;
  }
}

async function apply({ id, item, votes }) {
  for (const node of document.querySelectorAll(`[data-post="${id}"]`)) {
    node.show(item ?? (votes === undefined ? await read(`posts/${id}`) : { votes }));
  }
}

for (const name of ['created', 'votes', 'updated']) {
  on(name, (change) => apply(change).catch(() => {}));
}

const row = (id, list) => find(`[data-post="${id}"]`, list);

async function readPage(path, signal) {
  const response = await call('GET', path, { signal });
  return { items: await response.json(), next: nextOf(response) };
}

async function pages(path, signal, nothing, complete = (items) => items) {
  const rows = make('div', 'rows');
  const more = make('button', 'quiet more', 'Show more');
  const add = async (path) => {
    const { items, next } = await readPage(path, signal);
    const unknown = (await complete(items)).filter(({ Post }) => !row(Post.id, rows));
    const nodes = unknown.map((item) => toNode(item));
    rows.append(...nodes);
    more.hidden = !next;
    more.onclick = () => add(next).then(([first]) => first && find('a', first).focus(), say);
    return nodes;
  };
  const first = await add(path);
  return first.length || !more.hidden ? [rows, more] : nothing;
}

export function feed(main, signal, order, value = '') {
  const isSearch = order === 'search';
  const query = new URLSearchParams(isSearch ? `search=${value}` : { sort: order || 'newest' });
  if (order === 'top') query.set('window', value || 'week');
  const path = (limit) => `posts?limit=${limit}&${include()}&${query}`;
  const text = query.get('search');
  const view = fill('feed', { heading: text ? `“${text}” in titles` : 'Posts' });
  const nothing = isSearch
    ? empty('No title has this text', 'Capitals count.', '#/', 'Show all posts')
    : empty('Nothing here yet', 'The first post could be yours.', '#/write', 'Write a post');
  const load = () => show(find('.list', view), () => pages(path(20), signal, nothing));
  const window = find('select', view);
  window.hidden = order !== 'top';
  window.value = query.get('window');
  window.onchange = () => (location.hash = `#/top/${window.value}`);
  const form = find('form', view);
  const { search } = form.elements;
  search.value = text;
  form.onsubmit = () => {
    location.hash = `#/search/${encodeURIComponent(search.value)}`;
    return false;
  };
  markCurrent(find('.tabs', view), `#/${order}`);
  main.append(view);
  live(view, signal, !order, path, load);
}

function live(view, signal, isNewest, path, load) {
  const list = find('.list', view);
  const fresh = find('.fresh', view);
  const unseen = new Set();
  const announce = () => {
    for (const id of unseen) if (row(id, list)) unseen.delete(id);
    fresh.hidden = !unseen.size;
    fresh.textContent = `${unseen.size} new post${unseen.size === 1 ? '' : 's'}`;
  };
  const add = (id) => {
    if (isNewest) unseen.add(id);
    announce();
  };
  const catchUp = async ({ resumed }) => {
    if (resumed) return;
    const rows = [...list.querySelectorAll('article')];
    const { items } = await readPage(path(20 + rows.length), signal).catch(() => ({ items: [] }));
    const ids = items.map(({ Post }) => Post.id);
    items.forEach((item) => apply({ id: item.Post.id, item }));
    if (!isNewest) return;
    const idOf = ({ dataset }) => Number(dataset.post);
    const [newest = 0] = rows.map(idOf);
    ids.filter((id) => id > newest).forEach(add);
    const isGone = (id) => id > ids.at(-1) && !ids.includes(id);
    rows.filter((row) => isGone(idOf(row))).forEach((row) => row.remove());
  };
  const drop = ({ id }) => {
    unseen.delete(id);
    row(id, list)?.remove();
    announce();
  };
  on('hello', catchUp, signal);
  on('reset', catchUp, signal);
  on('created', ({ id }) => add(id), signal);
  on('deleted', drop, signal);
  fresh.onclick = async () => {
    unseen.clear();
    scrollTo(0, 0);
    await load();
    announce();
    find('a', list)?.focus();
  };
  load().then(announce);
}

export function mine(main, signal, tab = 'posts') {
  const view = fill('mine');
  const own = `posts?owner=me&limit=20&${include()}`;
  const tabs = {
    __proto__: null,
    posts: [own, 'No posts yet', 'Your posts are listed here.'],
    drafts: [`${own}&published=false`, 'No drafts', 'Only you can see your drafts.'],
    votes: ['users/me/votes?limit=20', 'No votes yet', 'Your votes are listed here.'],
  };
  if (!tabs[tab]) return missing(main);
  const [path, ...texts] = tabs[tab];
  const nothing = empty(...texts, '#/write', 'Write a post');
  const complete = tab === 'votes' ? postsOf : undefined;
  markCurrent(view, `#/mine/${tab}`);
  main.append(view);
  show(find('.list', view), () => pages(path, signal, nothing, complete));
}

async function postsOf(votes) {
  const readOne = ({ post_id: id }) => read(`posts/${id}?${include()}`).catch(() => null);
  return (await Promise.all(votes.map(readOne))).filter(Boolean);
}

export function post(main, signal, text) {
  const id = Number(text);
  on('deleted', (gone) => gone.id === id && missing(main), signal);
  show(main, async () => {
    const item = await read(`posts/${id}?${include()}`, signal);
    const isMine = isSignedIn() && (await read('users/me')).id === item.Post.owner_id;
    const node = toNode(item, isMine);
    find('h2', node).ariaLevel = 1;
    document.title = `${item.Post.title} – Posts`;
    if (isMine) find('.danger', node).onclick = () => remove(item.Post).catch(say);
    return node;
  });
}

async function remove({ id, title }) {
  if (!(await confirm(`“${title}” and its votes.`))) return;
  await call('DELETE', `posts/${id}`);
  location.hash = '#/mine';
  toast('The post is deleted.');
}
