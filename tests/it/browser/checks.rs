//! Checks of a view for people with a small window, a dark screen or a screen reader.

use serde_json::{Value, json};

use super::chromium::Browser;

/// A phone, a small phone, a tablet and a desktop, in CSS pixels.
const WIDTHS: [u32; 4] = [320, 360, 768, 1440];

/// Roles whose nodes need a name.
const NAMED_ROLES: [&str; 13] = [
    "DisclosureTriangle",
    "alertdialog",
    "button",
    "checkbox",
    "combobox",
    "dialog",
    "heading",
    "image",
    "link",
    "navigation",
    "region",
    "searchbox",
    "textbox",
];

/// The WCAG ratio of each text and its background, as the browser computes them.
const FAINT_TEXTS: &str = r"
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const layers = (node) => node ? [...layers(node.parentElement), getComputedStyle(node)] : [];
  const paint = (colors) => {
    canvas.fillStyle = '#fff';
    canvas.fillRect(0, 0, 1, 1);
    for (const color of colors) { canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); }
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data]
      .map((value) => value / 255)
      .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const faint = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let count = 0;
  while (texts.nextNode()) {
    const node = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !node.checkVisibility()) continue;
    count += 1;
    const styles = layers(node);
    const background = styles.map((style) => style.backgroundColor);
    const [one, two] = [paint(background), paint([...background, styles.at(-1).color])];
    const ratio = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
    if (ratio < 4.5) faint.push(`${ratio.toFixed(2)} ${texts.currentNode.data.trim()}`);
  }
  return [count, faint];";

/// Fails if the view is wider than a window of any width, has faint texts in light or dark, or has a
/// control without a name.
pub(super) async fn check_view(browser: &Browser, view: &str) {
    for width in WIDTHS {
        let size = json!({"width": width, "height": 1200, "deviceScaleFactor": 1, "mobile": false});
        browser.devtools("Emulation.setDeviceMetricsOverride", &size).await;
        let hidden = "const {scrollWidth, clientWidth} = document.documentElement;
            return scrollWidth - clientWidth";
        assert_eq!(browser.run(hidden).await, 0, "{view} is too wide for {width} pixels");
    }
    // The colors do not depend on the width.
    for scheme in ["dark", "light"] {
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        browser.devtools("Emulation.setEmulatedMedia", &media).await;
        let found = browser.run(FAINT_TEXTS).await;
        assert!(found[0].as_u64() > Some(3), "{view} {found}");
        assert_eq!(found[1], json!([]), "{view} {scheme}");
    }
    let nodes = accessible_nodes(browser).await;
    let is_nameless = |(role, name): &&(String, String)| {
        NAMED_ROLES.contains(&role.as_str()) && name.trim().is_empty()
    };
    let nameless: Vec<_> = nodes.iter().filter(is_nameless).collect();
    assert!(nameless.is_empty(), "{view}: {nameless:?} of {nodes:?}");
}

/// Fails unless a screen reader tells nodes with these roles, and names that begin like these.
pub(super) async fn check_names(browser: &Browser, view: &str, expected: &[(&str, &str)]) {
    let nodes = accessible_nodes(browser).await;
    for (role, name) in expected {
        let is_expected =
            |(other, begin): &(String, String)| other == role && begin.starts_with(name);
        assert!(nodes.iter().any(is_expected), "{view} has no {role} {name}: {nodes:?}");
    }
}

/// Returns role and name of all that a screen reader tells.
async fn accessible_nodes(browser: &Browser) -> Vec<(String, String)> {
    let tree = browser.devtools("Accessibility.getFullAXTree", &json!({})).await;
    let text = |node: &Value, key: &str| node[key]["value"].as_str().unwrap_or("").to_owned();
    let nodes = tree["nodes"].as_array().unwrap().iter();
    nodes
        .filter(|node| node["ignored"] == false)
        .map(|node| (text(node, "role"), text(node, "name")))
        .collect()
}

/// Makes the browser add up by how much content moves by itself, from the next page on.
pub(super) async fn observe_shifts(browser: &Browser) {
    const OBSERVE: &str = "window.shifts = 0;
        new PerformanceObserver((list) => list.getEntries().forEach((entry) => {
          if (!entry.hadRecentInput) window.shifts += entry.value;
        })).observe({type: 'layout-shift', buffered: true})";
    browser.devtools("Page.enable", &json!({})).await;
    let source = json!({"source": OBSERVE});
    browser.devtools("Page.addScriptToEvaluateOnNewDocument", &source).await;
}

/// Fails if content has moved by itself since the page was opened, or does so in 30 more frames.
pub(super) async fn check_shifts(browser: &Browser) {
    const SHIFTS: &str = "return new Promise((done) => {
        let frames = 30;
        const next = () => frames-- ? requestAnimationFrame(next) : done(window.shifts);
        next();
      })";
    let shifts = browser.run(SHIFTS).await;
    assert!(shifts.as_f64().unwrap() < 0.01, "{shifts}");
}
