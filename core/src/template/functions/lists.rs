//! Lists.

use std::collections::VecDeque;

use super::conversion::{texts_of, to_int};
use crate::template::context::{Args, Cx};
use crate::template::error::{Failure, Outcome};
use crate::template::value::compare::deep_equal;
use crate::template::value::{Bytes, List, ListType, Value};

const NOT_A_LIST: Failure = Failure::function("expected a list");
const OUT_OF_RANGE: Failure = Failure::function("out of range");

fn list_of(value: &Value) -> Outcome<&List> {
    match value {
        Value::List(list) => Ok(list),
        _ => Err(NOT_A_LIST),
    }
}

fn items(cx: &mut Cx, args: &Args, position: usize) -> Outcome<Vec<Value>> {
    let list = list_of(args.any(position))?;
    cx.pay_for_elements(list.len())?;
    Ok(list.to_vec())
}

pub(super) fn list(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    cx.list(ListType::Any, args.from(0).to_vec())
}

pub(super) fn push(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let mut items = items(cx, args, 0)?;
    items.push(args.any(1).clone());
    cx.list(ListType::Any, items)
}

pub(super) fn prepend(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let mut items = items(cx, args, 0)?;
    items.insert(0, args.any(1).clone());
    cx.list(ListType::Any, items)
}

pub(super) fn concat(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let mut all = Vec::new();
    for position in 0..args.from(0).len() {
        all.append(&mut items(cx, args, position)?);
    }
    if all.is_empty() { cx.nil_list(ListType::Any) } else { cx.list(ListType::Any, all) }
}

pub(super) fn first(_: &mut Cx, args: &Args) -> Outcome<Value> {
    Ok(list_of(args.any(0))?.get(0).unwrap_or(Value::Nil))
}

pub(super) fn last(_: &mut Cx, args: &Args) -> Outcome<Value> {
    let list = list_of(args.any(0))?;
    Ok(list.len().checked_sub(1).and_then(|last| list.get(last)).unwrap_or(Value::Nil))
}

pub(super) fn rest(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let mut items = items(cx, args, 0)?;
    if items.is_empty() {
        return cx.nil_list(ListType::Any);
    }
    items.remove(0);
    cx.list(ListType::Any, items)
}

pub(super) fn initial(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let mut items = items(cx, args, 0)?;
    match items.pop() {
        None => cx.nil_list(ListType::Any),
        Some(_) => cx.list(ListType::Any, items),
    }
}

pub(super) fn reverse(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let mut items = items(cx, args, 0)?;
    items.reverse();
    cx.list(ListType::Any, items)
}

pub(super) fn compact(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let mut items = items(cx, args, 0)?;
    items.retain(Value::is_true);
    cx.list(ListType::Any, items)
}

fn is_among(cx: &mut Cx, items: &[Value], wanted: &Value) -> Outcome<bool> {
    for item in items {
        if deep_equal(cx, wanted, item, 0)? {
            return Ok(true);
        }
    }
    Ok(false)
}

pub(super) fn uniq(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let mut kept = Vec::new();
    for item in items(cx, args, 0)? {
        if !is_among(cx, &kept, &item)? {
            kept.push(item);
        }
    }
    cx.list(ListType::Any, kept)
}

pub(super) fn without(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let mut kept = Vec::new();
    for item in items(cx, args, 0)? {
        if !is_among(cx, args.from(1), &item)? {
            kept.push(item);
        }
    }
    cx.list(ListType::Any, kept)
}

pub(super) fn has(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    if matches!(args.any(1), Value::Nil) {
        return Ok(Value::Bool(false));
    }
    let items = items(cx, args, 1)?;
    is_among(cx, &items, args.any(0)).map(Value::Bool)
}

pub(super) fn slice(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let list = list_of(args.any(0))?;
    let length = list.len();
    if length == 0 {
        return Ok(Value::Nil);
    }
    let mut index = |position| usize::try_from(to_int(cx, args.any(position))?).map_err(|_| OUT_OF_RANGE);
    let start = if args.from(1).is_empty() { 0 } else { index(1)? };
    let end = if args.from(2).is_empty() { length } else { index(2)? };
    let part = list.items.borrow().get(start..end).ok_or(OUT_OF_RANGE)?.to_vec();
    cx.list(list.of, part)
}

pub(super) fn chunk(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let items = items(cx, args, 1)?;
    let Some(size) = usize::try_from(args.int(0)).ok().filter(|size| *size > 0) else {
        return chunk_of_no_size(cx, args.int(0), items);
    };
    let mut chunks = Vec::new();
    for chunk in items.chunks(size) {
        chunks.push(cx.list(ListType::Any, chunk.to_vec())?);
    }
    cx.list(ListType::Lists, chunks)
}

/// Chunks with a size below one, as Go computes them: the only element, no chunk, or an error for an invalid length.
fn chunk_of_no_size(cx: &mut Cx, size: i64, items: Vec<Value>) -> Outcome<Value> {
    let last = i128::try_from(items.len()).unwrap_or(0) - 1;
    let mut chunks = Vec::new();
    if last == 0 && size < -1 {
        chunks.push(cx.list(ListType::Any, items)?);
    } else if size == 0 || last <= 0 || last > -i128::from(size) {
        return Err(OUT_OF_RANGE);
    }
    cx.list(ListType::Lists, chunks)
}

pub(super) fn sort_alpha(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let Value::List(list) = args.any(0) else {
        let texts = texts_of(cx, args.any(0))?;
        let texts = if texts.is_empty() { vec!["<nil>".into()] } else { texts };
        return cx.list(ListType::Text, texts.into_iter().map(Value::Text).collect());
    };
    let texts = texts_of(cx, args.any(0))?;
    let sorted: Vec<Value> = sorted(cx, texts)?.into_iter().map(Value::Text).collect();
    if list.of == ListType::Text {
        list.items.replace(sorted);
        return Ok(Value::List(list.clone()));
    }
    cx.list(ListType::Text, sorted)
}

/// Merge sort. The standard library's sort cannot be interrupted when the budget is exhausted.
fn sorted(cx: &mut Cx, texts: Vec<Bytes>) -> Outcome<Vec<Bytes>> {
    let mut runs: VecDeque<Vec<Bytes>> = texts.into_iter().map(|text| vec![text]).collect();
    while runs.len() > 1 {
        let (left, right) = (runs.pop_front().unwrap_or_default(), runs.pop_front().unwrap_or_default());
        runs.push_back(merged(cx, left, right)?);
    }
    Ok(runs.pop_front().unwrap_or_default())
}

fn merged(cx: &mut Cx, left: Vec<Bytes>, right: Vec<Bytes>) -> Outcome<Vec<Bytes>> {
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    while let (Some(first), Some(second)) = (left.peek(), right.peek()) {
        cx.work(first.len().min(second.len()))?;
        let smaller = if first <= second { left.next() } else { right.next() };
        merged.extend(smaller);
    }
    merged.extend(left.chain(right));
    Ok(merged)
}

pub(super) fn join(cx: &mut Cx, args: &Args) -> Outcome<Value> {
    let mut output = cx.buffer();
    for (position, text) in texts_of(cx, args.any(1))?.iter().enumerate() {
        if position > 0 {
            cx.work(args.text(0).len())?;
            output.push(args.text(0))?;
        }
        cx.work(text.len())?;
        output.push(text)?;
    }
    cx.finish(output)
}
