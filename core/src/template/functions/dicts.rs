//! Maps with string keys.

use std::collections::HashSet;

use super::conversion::to_text;
use crate::template::context::{Args, Cx, as_map};
use crate::template::error::{Failure, Outcome};
use crate::template::value::{Bytes, Entries, ListType, Map, MapType, Value};

const NIL_MAP: Failure = Failure::function("the map is nil");
const NOT_A_DICT: Failure = Failure::function("expected a dict");

pub(super) fn dict(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let mut entries = Entries::new();
    for pair in args.from(0).chunks(2) {
        let (key, value) = match pair {
            [key, value] => (key, value.clone()),
            [key] => (key, Value::text("")),
            _ => continue,
        };
        let key = to_text(cx, key)?;
        cx.search(&key, entries.len())?;
        entries.insert(key, value);
    }
    cx.map(MapType::Any, entries)
}

fn found(cx: &mut Cx, args: &Args) -> Outcome<Option<Value>> {
    args.map(0).map_or(Ok(None), |map| cx.get(map, args.text(1)))
}

pub(super) fn get(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    Ok(found(cx, args)?.unwrap_or_else(|| Value::text("")))
}

pub(super) fn set(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let map = args.map(0).ok_or(NIL_MAP)?;
    let entry_count = map.entries.borrow().len();
    cx.pay_for_entry(entry_count)?;
    cx.search(args.text(1), entry_count)?;
    let key = cx.bytes(args.text(1))?;
    map.entries.borrow_mut().insert(key, args.any(2).clone());
    Ok(Value::Map(map.clone()))
}

pub(super) fn unset(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let Some(map) = args.map(0) else {
        return Ok(Value::Nil);
    };
    cx.search(args.text(1), map.entries.borrow().len())?;
    map.entries.borrow_mut().remove(args.text(1));
    Ok(Value::Map(map.clone()))
}

pub(super) fn has_key(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    Ok(Value::Bool(found(cx, args)?.is_some()))
}

pub(super) fn pluck(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let mut found = Vec::new();
    for map in args.from(1).iter().filter_map(as_map) {
        found.extend(cx.get(map, args.text(0))?);
    }
    cx.list(ListType::Any, found)
}

/// Returns the keys in order; Go returns them in random order.
pub(super) fn keys(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let maps = || args.from(0).iter().filter_map(as_map);
    let count = maps().map(|map| map.entries.borrow().len()).sum();
    cx.pay_for_elements(count)?;
    let mut keys = Vec::with_capacity(count);
    for map in maps() {
        keys.extend(map.keys().into_iter().map(Value::Text));
    }
    cx.list(ListType::Text, keys)
}

/// Returns the values in the order of their keys; Go returns them in random order.
pub(super) fn values(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let mut values = Vec::new();
    if let Some(map) = args.map(0) {
        cx.pay_for_elements(map.entries.borrow().len())?;
        values.extend(map.entries.borrow().values().cloned());
    }
    cx.list(ListType::Any, values)
}

pub(super) fn pick(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    select(cx, args, true)
}

pub(super) fn omit(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    select(cx, args, false)
}

/// Returns the entries with the given keys, or all others.
fn select(cx: &mut Cx, args: &Args, keeps_named: bool) -> Outcome<Value> {
    let mut named: HashSet<&[u8]> = HashSet::new();
    for position in 1..=args.from(1).len() {
        cx.work(args.text(position).len())?;
        named.insert(args.text(position));
    }
    let mut kept = Entries::new();
    if let Some(map) = args.map(0) {
        for (key, value) in map.entries.borrow().iter() {
            cx.work(key.len())?;
            if named.contains(key.as_ref()) == keeps_named {
                cx.pay_for_entry(kept.len())?;
                cx.search(key, kept.len())?;
                kept.insert(key.clone(), value.clone());
            }
        }
    }
    cx.map(MapType::Any, kept)
}

pub(super) fn dig(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let [path @ .., default, dict] = args.from(0) else {
        return Err(Failure::function("needs at least three arguments"));
    };
    if path.is_empty() {
        return Err(Failure::function("needs at least three arguments"));
    }
    let mut path_keys: Vec<Bytes> = Vec::new();
    for key in path {
        match key {
            Value::Text(key) => path_keys.push(key.clone()),
            _ => return Err(Failure::function("keys must be strings")),
        }
    }
    let mut current = dict.clone();
    for key in path_keys {
        cx.step(1)?;
        let Some(next) = cx.get(any_map(&current).ok_or(NOT_A_DICT)?, &key)? else {
            return Ok(default.clone());
        };
        current = next;
    }
    Ok(current)
}

fn any_map(value: &Value) -> Option<&Map> {
    as_map(value).filter(|map| map.of == MapType::Any)
}
