//! Any text as a template over a small context: it is rendered or refused without a panic, within its budget.

use sealed_secrets_core::template::{Budget, Data, is_volatile, render_text};

use crate::world::Still;

pub(crate) fn run(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let items = Data::from([
        ("text".to_owned(), b"h\xffllo".to_vec().into()),
        ("json".to_owned(), b"{\"a\":[1,null]}".to_vec().into()),
    ]);
    let budget = Budget { steps: 50_000, costly: 0, ..Budget::default() };
    if let Ok(rendered) = render_text("fuzz", text, &items, &budget, &mut Still::forever()) {
        assert!(rendered.len() <= budget.output);
    }
    let _ = is_volatile(text);
}
