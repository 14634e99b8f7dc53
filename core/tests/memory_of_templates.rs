//! What templates hold on the heap, against what their budget admits.
//!
//! The heap is one for the process, so there is one test, which measures one rendering after the other.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking, its helpers too")]

mod world;
mod worst;

use std::fmt::Write as _;

use peak_alloc::PeakAlloc;
use sealed_secrets_core::template::{Budget, Data, render_text};

use self::world::Still;

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// What a rendering may have on the heap beyond its budget, its items and its text.
const BEYOND: usize = 2 << 20;

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

fn templates() -> Vec<String> {
    let mut templates: Vec<String> = worst::table().flat_map(worst::calls).collect();
    templates.extend(worst::templates());
    templates.push(TWO_OF_THEM.to_owned());
    templates
}

#[test]
fn no_template_takes_more_memory_than_its_budget_admits() {
    let items = worst::items();
    let mut wrong = String::new();
    for template in templates() {
        let items = used(&template, &items);
        for memory in [Budget::default().memory, 8 << 20, 1 << 20] {
            let budget = Budget { memory, ..Budget::default() };
            let peak = peak(&template, &items, &budget);
            if peak > memory + BEYOND {
                let start: String = template.chars().take(200).collect();
                writeln!(wrong, "{} KiB with a budget of {}: {start}", peak >> 10, memory >> 10).unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
