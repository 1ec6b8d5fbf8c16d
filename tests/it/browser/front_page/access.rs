//! The page for people who use a keyboard, a screen reader, a small window or a dark screen.

use serde_json::{Value, json};

use super::visitor::Visitor;
use crate::browser::chromium::{Browser, browse};
use crate::support::{PASSWORD, Service};

const VIEWS: [&str; 8] =
    ["", "top/week", "search/nothing", "write", "mine", "mine/drafts", "account", "post/1"];

/// Signs up, and writes a post with a long word and a draft.
async fn settle(browser: &Browser, url: &str) {
    let visitor = Visitor::open(browser, url).await;
    visitor.sign_up("ada@example.com").await;
    visitor.write(&"Wide".repeat(40), &"wider ".repeat(40)).await;
}

/// Opens every view of the page, and calls `check` with its name.
async fn in_each_view(browser: &Browser, url: &str, check: impl AsyncFn(&str)) {
    browser.open(&format!("{url}/")).await;
    for view in ["join", "login"] {
        browser.run(&format!("location.hash = '#/{view}'")).await;
        browser.wait_for(".card").await;
        check(view).await;
    }
    settle(browser, url).await;
    for view in VIEWS {
        browser.run(&format!("location.hash = '#/{view}'")).await;
        browser.wait_until_gone(".skeleton").await;
        check(view).await;
    }
}

#[tokio::test]
async fn page_fits_into_320_pixels() {
    let service = Service::start(&[]);
    let url = service.url.clone();
    browse(async move |browser| {
        let size = json!({"width": 320, "height": 1200, "deviceScaleFactor": 1, "mobile": false});
        browser.devtools("Emulation.setDeviceMetricsOverride", &size).await;
        in_each_view(&browser, &url, async |view| {
            let width = browser.run("return document.documentElement.scrollWidth").await;
            assert_eq!(width, 320, "{view}");
        })
        .await;
    })
    .await;
}

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

#[tokio::test]
async fn texts_have_enough_contrast_in_light_and_dark() {
    for scheme in ["light", "dark"] {
        let service = Service::start(&[]);
        let url = service.url.clone();
        browse(async move |browser| {
            let scheme = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
            browser.devtools("Emulation.setEmulatedMedia", &scheme).await;
            in_each_view(&browser, &url, async |view| {
                let found = browser.run(FAINT_TEXTS).await;
                assert!(found[0].as_u64() > Some(5), "{view} {found}");
                assert_eq!(found[1], json!([]), "{view} {scheme}");
            })
            .await;
        })
        .await;
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

#[tokio::test]
async fn every_control_has_a_role_and_a_name() {
    const CONTROLS: [&str; 9] = [
        "button",
        "link",
        "textbox",
        "searchbox",
        "checkbox",
        "combobox",
        "navigation",
        "dialog",
        "DisclosureTriangle",
    ];
    let service = Service::start(&[]);
    let url = service.url.clone();
    browse(async move |browser| {
        in_each_view(&browser, &url, async |view| {
            let nodes = accessible_nodes(&browser).await;
            let nameless: Vec<_> = nodes
                .iter()
                .filter(|(role, name)| CONTROLS.contains(&role.as_str()) && name.is_empty())
                .collect();
            assert!(nameless.is_empty(), "{view}: {nameless:?}");
            let has = |role: &str, name: &str| {
                nodes.iter().any(|(r, n)| r == role && n.starts_with(name))
            };
            assert!(has("main", "") && has("link", "Posts"), "{view}: {nodes:?}");
            let expected: &[(&str, &str)] = match view {
                "join" => &[
                    ("heading", "Sign up"),
                    ("textbox", "E-mail"),
                    ("textbox", "Password"),
                    ("checkbox", "Stay signed in"),
                    ("button", "Sign up"),
                ],
                "" => &[
                    ("heading", "Posts"),
                    ("navigation", "Main"),
                    ("navigation", "Order"),
                    ("searchbox", "Search titles"),
                    ("article", ""),
                    ("group", "Votes"),
                    ("button", "Vote up: Wide"),
                    ("link", "Wide"),
                ],
                "top/week" => &[("combobox", "Time")],
                "write" => &[("textbox", "Title"), ("textbox", "Text"), ("button", "Publish")],
                "account" => &[("heading", "Account"), ("button", "Log out everywhere")],
                "post/1" => &[("heading", "Wide"), ("link", "Edit"), ("button", "Delete")],
                _ => &[("heading", "")],
            };
            for (role, name) in expected {
                assert!(has(role, name), "{view} has no {role} {name}: {nodes:?}");
            }
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn keyboard_is_enough() {
    const TAB: &str = "\u{e004}";
    const ENTER: &str = "\u{e007}";
    const SPACE: &str = " ";
    let service = Service::start(&[]);
    let url = service.url.clone();
    browse(async move |browser| {
        browser.open(&format!("{url}/")).await;
        browser.wait_for(".card").await;
        let focused = "const node = document.activeElement;
            const isField = node.matches('input, textarea');
            return isField ? node.name : node.ariaLabel || node.textContent";
        // Presses Tab until this has the focus.
        let go_to = async |name: &str| {
            for _ in 0..40 {
                browser.press(TAB).await;
                if browser.run(focused).await.as_str().unwrap().trim() == name {
                    let outline = "return getComputedStyle(document.activeElement).outlineStyle";
                    assert_eq!(browser.run(outline).await, "solid", "{name}");
                    return;
                }
            }
            panic!("Tab does not reach {name}");
        };
        go_to("Skip to the content").await;
        browser.press(ENTER).await;
        go_to("email").await;
        browser.press("ada@example.com").await;
        go_to("password").await;
        browser.press(PASSWORD).await;
        go_to("stay").await;
        browser.press(SPACE).await;
        go_to("Sign up").await;
        browser.press(ENTER).await;
        browser.wait_for(".columns").await;
        go_to("Write").await;
        browser.press(ENTER).await;
        go_to("title").await;
        browser.press("By keyboard").await;
        go_to("content").await;
        browser.press("Text").await;
        go_to("Publish").await;
        browser.press(ENTER).await;
        browser.wait_for("main > article").await;
        go_to("Vote up: By keyboard").await;
        browser.press(SPACE).await;
        browser.wait_for("[aria-pressed=true]").await;
        go_to("Delete").await;
        browser.press(ENTER).await;
        browser.wait_for("dialog[open]").await;
        go_to("Delete").await;
        browser.press(ENTER).await;
        browser.wait_for_text(".empty", "No posts yet").await;
    })
    .await;
}

/// Nothing moves by itself once the first view is there.
#[tokio::test]
async fn first_view_does_not_shift() {
    const OBSERVE: &str = "window.shifts = 0;
        new PerformanceObserver((list) => list.getEntries().forEach((entry) => {
          if (!entry.hadRecentInput) window.shifts += entry.value;
        })).observe({type: 'layout-shift', buffered: true})";
    let service = Service::start(&[]);
    let url = service.url.clone();
    browse(async move |browser| {
        browser.devtools("Page.enable", &json!({})).await;
        let source = json!({"source": OBSERVE});
        browser.devtools("Page.addScriptToEvaluateOnNewDocument", &source).await;
        settle(&browser, &url).await;
        browser.open(&format!("{url}/docs/oauth2-redirect")).await;
        browser.open(&format!("{url}/")).await;
        browser.wait_for(".rows article").await;
        let shifts = browser.run("return window.shifts").await;
        assert!(shifts.as_f64().unwrap() < 0.01, "{shifts}");
    })
    .await;
}
