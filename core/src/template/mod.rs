//! `spec.template.data`: Go's text/template with the functions of sprig, rendered within a budget.
//!
//! The engine prints what Go prints, byte for byte, and a hostile template cannot exhaust the controller: the engine does no I/O,
//! it recurses no deeper than a constant, and every value it makes is paid for before it is allocated. Time, randomness and time
//! zones come from the caller.

mod budget;
mod compiled;
mod context;
mod duration;
mod error;
mod exec;
mod format;
mod functions;
mod json;
mod sources;
mod syntax;
mod value;
mod zeroizing;

use std::collections::{BTreeMap, BTreeSet};

use zeroize::Zeroizing;

pub use self::budget::Budget;
pub use self::duration::{parse_duration, parse_duration_with_days};
pub use self::error::{Class, TemplateError};
pub use self::sources::{Elapsed, Sources};

use self::budget::Meter;
use self::context::Cx;
use self::error::Located;
use self::exec::execute;
use self::value::heap::Heap;
use self::value::{Bytes, Entries, MapType, Value};
use self::zeroizing::Buffer;

/// Decrypted or rendered values by data key.
pub type Data = BTreeMap<String, Zeroizing<Vec<u8>>>;

/// The data of a Secret.
#[derive(Default, PartialEq, Eq)]
pub struct Rendered {
    /// All values: the encrypted items, and what the templates give.
    pub data: Data,
    /// Keys of `data` whose template uses the clock or random bytes, so that another rendering would differ.
    pub volatile: BTreeSet<String>,
}

impl std::fmt::Debug for Rendered {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys: Vec<_> = self.data.keys().collect();
        formatter.debug_struct("Rendered").field("keys", &keys).field("volatile", &self.volatile).finish()
    }
}

/// Renders `spec.template.data` over decrypted items, as upstream 0.40 does.
///
/// A template sees every item and the text of every other template (as it is written, not rendered); an item hides a template of
/// the same key, and its value is what the Secret gets, though the hidden template is still run and may still fail. A `None`
/// (`null` in the manifest) removes its key from the Secret, also an encrypted one that only feeds templates.
///
/// # Errors
/// The first template, in key order, that is not valid, fails or exceeds the budget. Nothing is rendered then.
pub fn render_secret(
    templates: &BTreeMap<String, Option<String>>,
    items: &Data,
    budget: &Budget,
    sources: &mut dyn Sources,
) -> Result<Rendered, TemplateError> {
    let mut cx = Cx::new(Meter::new(budget), sources);
    let mut own = Heap::default();
    let context = Value::Map(own.map(MapType::Text, context(templates, items)));
    let mut rendered = Rendered { data: items.clone(), volatile: BTreeSet::new() };
    for (key, text) in templates {
        let Some(text) = text else {
            rendered.data.remove(key);
            continue;
        };
        cx.used_volatile = false;
        let output = render(&mut cx, key, text, &context).map_err(|failure| failure.in_text(key, text))?;
        if items.contains_key(key) {
            continue;
        }
        if cx.used_volatile {
            rendered.volatile.insert(key.clone());
        }
        rendered.data.insert(key.clone(), output.into_zeroizing());
    }
    Ok(rendered)
}

/// Renders one template over `context` alone.
///
/// # Errors
/// As [`render_secret`]; `key` names the template.
pub fn render_text(
    key: &str,
    text: &str,
    context: &Data,
    budget: &Budget,
    sources: &mut dyn Sources,
) -> Result<Zeroizing<Vec<u8>>, TemplateError> {
    let mut cx = Cx::new(Meter::new(budget), sources);
    let mut own = Heap::default();
    let context = Value::Map(own.map(MapType::Text, self::context(&BTreeMap::new(), context)));
    let output = render(&mut cx, key, text, &context).map_err(|failure| failure.in_text(key, text))?;
    Ok(output.into_zeroizing())
}

/// True if a template names a function that uses the clock or random bytes, whether or not it comes to call it.
///
/// A sibling's text is seen as it is written and not run, so volatility does not pass from one key to another.
#[must_use]
pub fn is_volatile(template: &str) -> bool {
    let names = syntax::functions_named_in(template);
    names.iter().any(|name| functions::is_volatile(name))
}

fn context(templates: &BTreeMap<String, Option<String>>, items: &Data) -> Entries {
    let texts = templates.iter().filter_map(|(key, text)| Some((key, text.as_ref()?.as_bytes())));
    let items = items.iter().map(|(key, item)| (key, item.as_slice()));
    texts.chain(items).map(|(key, value)| (Bytes::from(key.as_str()), Value::Text(value.into()))).collect()
}

fn render(cx: &mut Cx, key: &str, text: &str, context: &Value) -> Result<Buffer, Located> {
    cx.work(text.len()).map_err(|failure| Located::new(0, failure))?;
    let templates = syntax::parse(key, text, cx)?;
    execute(cx, &templates, key, context)
}
