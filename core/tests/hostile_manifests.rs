//! Small manifests that expand to large documents.

#![cfg(test)]

use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use peak_alloc::PeakAlloc;
use sealed_secrets_core::manifest::{documents, only_document, read_secret, secrets_of};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

static RUNNING: Mutex<()> = Mutex::new(());

/// Maximum length of a request body, in bytes.
const MAX_LENGTH: usize = 2 << 20;
/// Eight times the longest request, and an allowance for the test harness: its threads share the heap and allocate
/// some KiB whenever they start or report a test.
const MAX_HEAP: usize = 8 * MAX_LENGTH + (256 << 10);

/// Runs the tests one after another: they share one heap, and whatever one of them allocates is in what another one measures.
fn alone() -> MutexGuard<'static, ()> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the peak heap use of `work`, in bytes.
fn peak(work: impl FnOnce()) -> usize {
    let before = HEAP.current_usage();
    HEAP.reset_peak_usage();
    work();
    HEAP.peak_usage().saturating_sub(before)
}

fn billion_laughs() -> String {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let before = format!("*a{}", level - 1);
        writeln!(text, "a{level}: &a{level} [{}]", vec![before; 10].join(", ")).unwrap();
    }
    text
}

/// Returns a manifest in which every level doubles the one before: some hundred thousand nodes.
fn doubled() -> String {
    let mut text = "a0: &a0 [x]\n".to_owned();
    for level in 1..17 {
        writeln!(text, "a{level}: &a{level} [*a{0}, *a{0}]", level - 1).unwrap();
    }
    text
}

fn nested_anchors(content: &str) -> String {
    let mut text = String::new();
    for level in 0..58 {
        write!(text, "&a{level} [").unwrap();
    }
    text + content + &"]".repeat(58)
}

fn repeated(piece: &str) -> String {
    piece.repeat(MAX_LENGTH / piece.len())
}

#[test]
fn multiplied_content_is_refused_before_it_takes_memory() {
    let _alone = alone();
    let texts = [
        ("billion laughs", billion_laughs()),
        ("doubled", doubled()),
        ("doubled in many documents", format!("---\n{}", doubled()).repeat(20)),
        (
            "a long text many times",
            format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), "*a, ".repeat(10_000)),
        ),
        ("a long text under many anchors", nested_anchors(&"x".repeat(1 << 20))),
        ("merged many times", format!("a: &a {{{}}}\nb: [{}]\n", keys(10_000), "{<<: *a}, ".repeat(1_000))),
    ];
    for (name, text) in texts {
        let heap = peak(|| assert!(documents(&text).is_err(), "{name}"));
        assert!(heap < MAX_HEAP, "{name}: {heap} bytes");
        let heap = peak(|| assert!(only_document(&text).is_none(), "{name}"));
        assert!(heap < MAX_HEAP, "{name} in a request: {heap} bytes");
    }
}

fn keys(count: usize) -> String {
    let mut text = String::new();
    for number in 0..count {
        write!(text, "k{number}: x, ").unwrap();
    }
    text
}

#[test]
fn a_request_of_any_form_takes_little_memory() {
    let _alone = alone();
    let texts = [
        ("nested anchors", nested_anchors(&"x,".repeat(480_000))),
        ("a flat list", format!("[{}]", repeated("x,"))),
        ("a flat mapping", format!("{{{}}}", keys(150_000))),
        ("documents", repeated("---\na\n")),
        ("empty documents", repeated("---\n")),
        ("ended documents", repeated("...\n")),
        ("values of JSON", repeated("{}")),
        ("brackets", repeated("[")),
        ("braces", repeated("{")),
        ("deep JSON", repeated("{\"a\":")),
        ("dashes", repeated("- ")),
        ("question marks", repeated("? ")),
        ("anchors", repeated("&a ")),
        ("tags", repeated("!a ")),
        ("directives", repeated("%TAG !a! tag:a,2000:\n")),
        ("words on one line", repeated("a ")),
        ("words on many lines", repeated("a\n")),
        ("blank lines", repeated("\n")),
        ("comments", repeated("# c\n")),
        ("an open quotation", format!("\"{}", repeated("\n"))),
        ("escapes", format!("a: \"{}\"", repeated("\\x41"))),
        ("a block", format!("a: |\n{}", repeated(" \n"))),
        ("lists in a key", format!("? [{}", repeated("[a],"))),
    ];
    for (name, text) in texts {
        let heap = peak(|| drop(only_document(&text)));
        assert!(heap < MAX_HEAP, "{name}: {heap} bytes");
    }
}

#[test]
fn large_files_of_honest_people_are_read() {
    let _alone = alone();
    let secret = |number: usize, value: &str| {
        format!("- {{apiVersion: v1, kind: Secret, metadata: {{name: s{number}}}, data: {{a: {value}}}}}\n")
    };
    let many: String = (0..2_000).map(|number| secret(number, "YQ==")).collect();
    let list = format!("apiVersion: v1\nkind: List\nitems:\n{many}");
    assert_eq!(secrets_of(&documents(&list).unwrap()).unwrap().len(), 2_000);

    let value = "QUFB".repeat((1 << 20) / 3);
    let one = format!("apiVersion: v1\nkind: Secret\ndata:\n  a: &a {value}\n");
    let document = only_document(&one).unwrap();
    let read = read_secret(&document, &document.root).unwrap();
    assert_eq!(read.data.unwrap()["a"].0.len(), (1 << 20) / 3 * 3);
}

#[test]
fn a_hundred_thousand_documents_are_counted_in_one_pass() {
    let _alone = alone();
    let found = documents(&"---\na\n".repeat(100_000)).unwrap();
    let last = found.last().unwrap();
    assert_eq!((found.len(), last.number, last.lines_before), (100_000, 100_000, 199_998));
}
