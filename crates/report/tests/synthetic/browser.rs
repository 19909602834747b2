//! A browser, where there is one: what it makes of a page. Where there is none, that is said, and nothing is tested.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Names under which the browser may be found.
const BROWSERS: [&str; 4] =
    ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// Width and height of a picture, in pixels.
const SIZE: [u32; 2] = [1_200, 2_400];

/// A page of many colours takes so many times the bytes of one of the same size that has only one.
const TIMES_EMPTY: usize = 5;

/// The page's elements after its script has run; nothing if there is no browser.
pub(crate) fn dump(page: &str, name: &str) -> Option<String> {
    let scene = Scene::new(page, name);
    let output = scene.browse(&["--dump-dom"])?;
    let log = String::from_utf8_lossy(&output.stderr);
    let spoken: Vec<&str> = log.lines().filter(|line| line.contains(":CONSOLE")).collect();
    assert_eq!(spoken, Vec::<&str>::new(), "the page's console");
    Some(String::from_utf8(output.stdout).expect("a page in UTF-8"))
}

/// Looks at the page as a person does: the picture has its size, and more on it than one colour.
pub(crate) fn is_seen(page: &str, name: &str) {
    let empty = "<!doctype html><title>empty</title><body style=\"background: #fff\">";
    let Some(empty) = picture(empty, &format!("{name}-empty")) else { return };
    let drawn = picture(page, name).expect("the browser was here a moment ago");
    assert_eq!((size(&empty), size(&drawn)), (Some(SIZE), Some(SIZE)), "{name}");
    let (least, bytes) = (empty.len() * TIMES_EMPTY, drawn.len());
    assert!(
        bytes > least,
        "{name}: a picture of {bytes} bytes, and an empty one has {}",
        empty.len()
    );
}

/// A picture of the page as the bytes of its file; nothing if there is no browser.
fn picture(page: &str, name: &str) -> Option<Vec<u8>> {
    let scene = Scene::new(page, name);
    let file = scene.0.join("page.png");
    let [width, height] = SIZE;
    let (window, to) =
        (format!("--window-size={width},{height}"), format!("--screenshot={}", file.display()));
    let output = scene.browse(&["--hide-scrollbars", &window, &to])?;
    let said = String::from_utf8_lossy(&output.stderr);
    Some(std::fs::read(&file).unwrap_or_else(|error| panic!("{name}: no picture: {error}: {said}")))
}

/// Width and height of a PNG; nothing of what is none.
fn size(picture: &[u8]) -> Option<[u32; 2]> {
    let rest = picture.strip_prefix(b"\x89PNG\r\n\x1a\n")?;
    let number = |at: usize| Some(u32::from_be_bytes(rest.get(at..at + 4)?.try_into().ok()?));
    // Length and name of the first chunk come before its width and height.
    Some([number(8)?, number(12)?])
}

/// A folder with the page in it; dropping it removes it.
struct Scene(PathBuf);

impl Scene {
    fn new(page: &str, name: &str) -> Self {
        let name = format!("pitchover-page-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("a folder for tests");
        std::fs::write(folder.join("report.html"), page).expect("a file for tests");
        Self(folder)
    }

    fn browse(&self, words: &[&str]) -> Option<Output> {
        let folder: &Path = &self.0;
        for browser in BROWSERS {
            let output = Command::new(browser)
                .args(["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"])
                .arg("--virtual-time-budget=2000")
                .arg(format!("--user-data-dir={}", folder.join("profile").display()))
                .args(words)
                .arg(format!("file://{}", folder.join("report.html").display()))
                .stdin(Stdio::null())
                .output();
            if let Ok(output) = output {
                return Some(output);
            }
        }
        // Not by a macro of printing, whose text a test that passes would swallow.
        let skipped = format!(
            "SKIPPED, NOT TESTED: none of {BROWSERS:?} is here; {} was not drawn\n",
            folder.display()
        );
        std::io::stderr().write_all(skipped.as_bytes()).expect("standard error");
        None
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

#[test]
fn the_size_of_a_picture_is_read_from_its_head() {
    let head = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x04\xb0\0\0\x09\x60\x08\x02";
    assert_eq!(size(head), Some(SIZE));
    assert_eq!((size(b"GIF89a"), size(&head[..20])), (None, None));
}
