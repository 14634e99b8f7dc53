//! Heap of template renderings, compared with their budget.
//!
//! The heap is one for the process, so there is one test, which measures one rendering after the other.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, its helpers too"
)]

mod world;
mod worst;

use std::fmt::Write as _;

use peak_alloc::PeakAlloc;
use sealed_secrets_core::template::{Budget, Data, render_text};

use self::world::Still;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// Bytes of heap that a rendering may take beyond its budget and its items.
const BEYOND: usize = 2 << 20;
/// Everything is tried with an eighth of what is usual, so that the test is quick.
const PART: usize = 8;
/// With so little, what a function takes without asking shows.
const LITTLE: usize = 128 << 10;

/// Bytes on the heap at the same time while the template is rendered, beyond its items.
fn peak(template: &str, items: &Data, budget: &Budget) -> usize {
    let before = HEAP.current_usage();
    HEAP.reset_peak_usage();
    let _ = render_text("key", template, items, budget, &mut Still::forever());
    let of_items: usize = items.values().map(|item| item.len()).sum();
    HEAP.peak_usage().saturating_sub(before + of_items)
}

fn used(template: &str, items: &Data) -> Data {
    let used = items.iter().filter(|(name, _)| template.contains(&format!(".{name}")));
    used.map(|(name, item)| (name.clone(), item.clone())).collect()
}

/// Two small SealedSecrets with this template ended a controller.
const TWO_OF_THEM: &str = "{{$x := fromJson (print \"[\" (repeat 50000 \"{\\\"a\\\":{}},\") \"1]\")}}\
                           {{range 4}}{{$y := derivePassword 1 \"long\" \"p\" \"u\" \"s\"}}{{end}}{{len $x}}";

/// Every function at its largest arguments, and the largest expressions that are kept.
fn templates() -> Vec<String> {
    let calls = worst::table().flat_map(worst::calls).chain(worst::templates());
    let mut templates: Vec<String> = calls.map(|call| call.replace("range 14", "range 11")).collect();
    for expression in [r"\\pL{50}%d", r"(?s)(.)*[01]{14}%d"] {
        templates.push(format!(
            "{{{{range $i := 8}}}}{{{{$x := regexReplaceAll (printf \"{expression}\" $i) $.digits \"$1\"}}}}{{{{end}}}}"
        ));
    }
    templates
}

#[test]
fn no_template_takes_more_memory_than_its_budget_admits() {
    let whole = Budget::default();
    let part = Budget { value: whole.value / PART, steps: whole.steps / 8, ..whole.clone() };
    let items = worst::items(part.value);
    let mut wrong = String::new();
    let mut assert_fits = |template: &str, budget: &Budget, beyond: usize| {
        let peak = peak(template, &used(template, &items), budget);
        if peak > budget.memory + beyond {
            let start: String = template.chars().take(200).collect();
            writeln!(wrong, "{} KiB with a budget of {}: {start}", peak >> 10, budget.memory >> 10).unwrap();
        }
    };
    assert_fits(TWO_OF_THEM, &whole, BEYOND);
    for template in templates() {
        for memory in [whole.memory / PART, LITTLE] {
            assert_fits(&template, &Budget { memory, ..part.clone() }, BEYOND / PART);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
