import { fill, find, make } from './dom.js';

const SVG = 'http://www.w3.org/2000/svg';
const WIDTH = 1000;
const HEIGHT = 100;

const known = (values) => values.filter((value) => value !== null);

export const sum = (values) => known(values).reduce((all, value) => all + value, 0);

export const max = (values) => (known(values).length ? Math.max(...known(values)) : null);

// The next larger number that is easy to read, also at the half.
function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(value || 1));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((factor) => factor * power >= value) * power;
}

// Coordinates are stretched to the size of the plot, but strokes are not.
function path(className, d) {
  const node = document.createElementNS(SVG, 'path');
  node.setAttribute('class', className);
  node.setAttribute('d', d);
  return node;
}

const at = (number) => number.toFixed(1);

function line(values, top) {
  const step = WIDTH / Math.max(1, values.length - 1);
  let pen = 'M';
  return values.reduce((d, value, index) => {
    const start = pen;
    pen = value === null ? 'M' : 'L';
    if (value === null) return d;
    // A line of no length makes a single value visible.
    const dot = start === 'M' ? 'h0' : '';
    return `${d}${start}${at(index * step)} ${at(HEIGHT - (value / top) * HEIGHT)}${dot}`;
  }, '');
}

function bars(values, top) {
  const step = WIDTH / values.length;
  const bar = (value, index) => {
    const height = Math.max((value / top) * HEIGHT, 1);
    const [x, y] = [at((index + 0.15) * step), at(HEIGHT - height)];
    return value ? `M${x} ${y}h${at(step * 0.7)}V${HEIGHT}h-${at(step * 0.7)}z` : '';
  };
  return values.map(bar).join('');
}

function draw(series, top, isBars) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute('preserveAspectRatio', 'none');
  series.forEach(({ values }, index) => {
    const kind = `series s${index + 1}`;
    if (isBars) return svg.append(path(`${kind} bars`, bars(values, top)));
    const d = line(values, top);
    if (series.length === 1) svg.append(path(`${kind} area`, `${d}V${HEIGHT}H0z`));
    svg.append(path(kind, d));
  });
  return svg;
}

function legend(node, series, format) {
  series.forEach(({ name, note }, index) => {
    const entry = make('span', `key s${index + 1}`, name);
    entry.append(make('b', '', note === null ? 'none' : format(note)));
    node.append(' ', entry);
  });
}

// The readout follows the pointer. The table has the same numbers for everyone else.
function follow(plot, series, labels, format, isBars) {
  const readout = find('.readout', plot);
  const rule = make('i', 'rule');
  plot.append(rule);
  plot.onpointermove = ({ clientX }) => {
    const { left, width } = plot.getBoundingClientRect();
    const ratio = Math.min(Math.max((clientX - left) / width, 0), 0.9999);
    const steps = isBars ? labels.length : labels.length - 1;
    const index = isBars ? Math.floor(ratio * steps) : Math.round(ratio * steps);
    const value = ({ name, values }) => {
      const shown = values[index] === null ? 'unknown' : format(values[index]);
      return series.length > 1 ? `${name} ${shown}` : shown;
    };
    readout.textContent = `${labels[index]}: ${series.map(value).join(', ')}`;
    rule.style.left = `${((index + (isBars ? 0.5 : 0)) / (steps || 1)) * 100}%`;
    plot.classList.add('read');
  };
  plot.onpointerleave = () => plot.classList.remove('read');
}

function tabulate(table, head, rows) {
  find('thead tr', table).append(
    ...head.map((text, index) =>
      Object.assign(make('th', index ? 'number' : '', text), { scope: 'col' })),
  );
  for (const [label, ...cells] of rows) {
    const row = make('tr', '');
    row.append(Object.assign(make('th', '', label), { scope: 'row' }));
    row.append(...cells.map((text) => make('td', 'number', text)));
    find('tbody', table).append(row);
  }
}

// `table` has the rows of the table: a label, and one value for each series.
export function plot({ title, from, to, labels, series, format, table, first, isBars }) {
  const figure = fill('plot', { title, from, to });
  const top = roundUp(Math.max(...series.map(({ values }) => max(values) ?? 0)));
  const area = find('.plot', figure);
  const svg = draw(series, top, isBars);
  svg.role = 'img';
  const ends = series.map(({ name, values }) => {
    const highest = max(values);
    return `${name}: highest ${highest === null ? 'unknown' : format(highest)}`;
  });
  svg.ariaLabel = `${title}. ${ends.join('. ')}.`;
  area.append(svg, make('span', 'top', format(top)), make('span', 'half', format(top / 2)));
  legend(find('.legend', figure), series, format);
  follow(area, series, labels, format, isBars);
  const shown = (value) => (value === null ? '–' : format(value));
  const rows = table.map(([label, ...values]) => [label, ...values.map(shown)]);
  const head = series.map(({ name, column }) => column ?? name);
  tabulate(find('details table', figure), [first, ...head], rows);
  return figure;
}
