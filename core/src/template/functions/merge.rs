//! `merge` and `mergeOverwrite`, after Go's `mergo`: they change their first argument in place.

use std::rc::Rc;

use crate::template::context::{Args, Cx, as_map};
use crate::template::error::Outcome;
use crate::template::value::{Entries, Map, MapType, Value};

pub(super) fn merge(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    merge_all(cx, args, false)
}

pub(super) fn merge_overwrite(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    merge_all(cx, args, true)
}

fn merge_all(cx: &mut Cx, args: &Args, overwrite: bool) -> Outcome<Value> {
    let target = match args.map(0) {
        Some(map) => map.clone(),
        None => cx.new_map(MapType::Any, Entries::new())?,
    };
    for source in args.from(1).iter().filter_map(as_map) {
        merge_into(cx, &target, source, overwrite, 0)?;
    }
    Ok(Value::Map(target))
}

fn merge_into(cx: &mut Cx, target: &Map, source: &Map, overwrite: bool, depth: usize) -> Outcome<()> {
    cx.meter.nesting(depth)?;
    if Rc::ptr_eq(&target.entries, &source.entries) {
        return Ok(());
    }
    cx.pay_for_elements(source.entries.borrow().len())?;
    for key in source.keys() {
        let entry_count = target.entries.borrow().len();
        cx.pay_for_entry(entry_count)?;
        let (Some(new), old) = (cx.get(source, &key)?, cx.get(target, &key)?) else {
            continue;
        };
        if new.is_nil() && !overwrite {
            continue;
        }
        let is_old_true = old.as_ref().is_some_and(Value::is_true);
        if let (Some(Value::Map(old)), Value::Map(new)) = (&old, &new) {
            merge_into(cx, old, new, overwrite, depth + 1)?;
            if is_old_true {
                continue;
            }
        }
        if overwrite || !is_old_true {
            target.entries.borrow_mut().insert(key, new);
        }
    }
    Ok(())
}
