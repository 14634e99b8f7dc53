//! The context of function calls, the functions that it calls, and their arguments.

use super::budget::Meter;
use super::compiled::Compiled;
use super::error::{Failure, Outcome};
use super::sources::{Elapsed, Sources};
use super::value::heap::Heap;
use super::value::time::{Time, Zone};
use super::value::{Bytes, Entries, List, ListType, Map, MapType, Rune, Value, runes};
use super::zeroizing::Buffer;

/// The type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ty {
    Any,
    Int,
    Uint32,
    Float,
    Bool,
    Text,
    Map,
    List,
    Time,
    Zone,
    Duration,
    Version,
    Certificate,
}

/// Properties of a function besides its result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nature {
    /// The same arguments give the same result.
    Pure,
    /// Uses the clock or random bytes.
    Volatile,
    /// Slow by design; may be called only a few times.
    Costly,
    /// Both.
    CostlyAndVolatile,
}

pub(crate) type Body = fn(&mut Cx, &Args) -> Outcome<Value>;

/// A function or method. A method's receiver is its argument 0 and not among its parameters.
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) parameters: &'static [Ty],
    pub(crate) variadic: Option<Ty>,
    pub(crate) nature: Nature,
    pub(crate) run: Body,
}

impl Function {
    pub(crate) fn parameter(&self, position: usize) -> Ty {
        self.parameters.get(position).copied().or(self.variadic).unwrap_or(Ty::Any)
    }
}

/// A method, whose result depends on nothing but its receiver and arguments.
pub(crate) const fn method_of(name: &'static str, parameters: &'static [Ty], run: Body) -> Function {
    Function { name, parameters, variadic: None, nature: Nature::Pure, run }
}

/// Bytes that a list or map takes, without its elements, as the allocator counts.
const CONTAINER: usize = 104;
/// Bytes that a string takes beside its own.
const TEXT: usize = 72;
/// Bytes that an entry of a map takes, without its key and value.
const ENTRY: usize = 128;
/// Bytes that the first entry takes in addition: a map has room for eleven at least.
const FIRST_ENTRY: usize = 11 * (size_of::<Bytes>() + size_of::<Value>());
/// Bytes that are read or copied as a whole in one step.
const BYTES_PER_STEP: usize = 64;
/// Bytes that are looked at one by one in one step.
const SINGLE_BYTES_PER_STEP: usize = 8;
/// Bytes that are looked at one by one before the next look at the clock.
pub(crate) const PIECE: usize = 4096;
/// Steps that a look into the database of time zones costs.
const STEPS_TO_FIND_A_ZONE: u64 = 64;
/// Bytes of the longest name of a time zone, and more.
const MAX_ZONE_NAME_LENGTH: usize = 256;

/// The context of function calls: the budget, the owner of lists and maps, and the caller's clock and randomness.
pub(crate) struct Cx<'s> {
    pub(crate) meter: Meter,
    heap: Heap,
    sources: &'s mut dyn Sources,
    /// The readings of both clocks at which the time is up.
    ends: Elapsed,
    pub(crate) patterns: Compiled,
    /// True if the clock or random bytes were used.
    pub(crate) used_volatile: bool,
}

impl<'s> Cx<'s> {
    pub(crate) fn new(meter: Meter, sources: &'s mut dyn Sources) -> Self {
        let ends = meter.ends_of_time(sources.elapsed());
        Self {
            meter,
            heap: Heap::default(),
            sources,
            ends,
            patterns: Compiled::default(),
            used_volatile: false,
        }
    }

    /// Counts steps, and checks the deadline from time to time.
    pub(crate) fn step(&mut self, count: u64) -> Outcome<()> {
        if self.meter.step(count)? { self.check_deadline() } else { Ok(()) }
    }

    /// Checks the deadlines of both clocks.
    ///
    /// # Errors
    /// If one of them has passed.
    pub(crate) fn check_deadline(&mut self) -> Outcome<()> {
        let elapsed = self.sources.elapsed();
        if elapsed.processor > self.ends.processor {
            return Err(Failure::expired());
        }
        if elapsed.wall > self.ends.wall { Err(Failure::interrupted()) } else { Ok(()) }
    }

    /// Counts the work of reading, copying or comparing `bytes` bytes as a whole, before it is done.
    pub(crate) fn work(&mut self, bytes: usize) -> Outcome<()> {
        self.step(u64::try_from(bytes / BYTES_PER_STEP).unwrap_or(u64::MAX).saturating_add(1))
    }

    /// Counts the work of looking at `bytes` bytes one by one, of which there should be no more than a [`PIECE`].
    pub(crate) fn scan(&mut self, bytes: usize) -> Outcome<()> {
        self.step(u64::try_from(bytes / SINGLE_BYTES_PER_STEP).unwrap_or(u64::MAX).saturating_add(1))
    }

    /// Gives `each` the bytes of `text` piece by piece, with a look at the clock before each piece.
    pub(crate) fn pieces<'t>(
        &mut self,
        text: &'t [u8],
        mut each: impl FnMut(&'t [u8]) -> Outcome<()>,
    ) -> Outcome<()> {
        text.chunks(PIECE).try_for_each(|piece| {
            self.scan(piece.len())?;
            each(piece)
        })
    }

    /// Gives `each` the characters of `text` one by one, with looks at the clock between them.
    pub(crate) fn characters(
        &mut self,
        text: &[u8],
        mut each: impl FnMut(Rune) -> Outcome<()>,
    ) -> Outcome<()> {
        let mut paid = 0;
        for rune in runes(text) {
            if rune.start >= paid {
                self.step(1)?;
                paid = rune.start.saturating_add(SINGLE_BYTES_PER_STEP);
            }
            each(rune)?;
        }
        Ok(())
    }

    /// `strings.Map` with a function that keeps every character.
    pub(crate) fn map_characters(
        &mut self,
        text: &[u8],
        mut change: impl FnMut(char) -> char,
    ) -> Outcome<Buffer> {
        let mut output = self.buffer();
        self.characters(text, |rune| output.push_char(change(rune.char)))?;
        Ok(output)
    }

    /// Counts the work of finding `key` among `entries` that are in order.
    pub(crate) fn search(&mut self, key: &[u8], entries: usize) -> Outcome<()> {
        let comparisons = usize::try_from(entries.max(1).ilog2()).unwrap_or(usize::MAX).saturating_add(1);
        self.work(key.len().saturating_mul(comparisons))
    }

    /// Returns the value of a map under `key`.
    pub(crate) fn get(&mut self, map: &Map, key: &[u8]) -> Outcome<Option<Value>> {
        let entries = map.entries.borrow();
        self.search(key, entries.len())?;
        Ok(entries.get(key).cloned())
    }

    /// Runs work that is slow by design and takes `memory` bytes meanwhile. The number of calls is limited, but not their processor
    /// time, so that they succeed on any machine.
    pub(crate) fn slowly<T>(&mut self, memory: usize, work: impl FnOnce() -> T) -> Outcome<T> {
        const NO_RESULT: Failure = Failure::function("the function gave no result");
        self.meter.affords(memory)?;
        let before = self.sources.elapsed().processor;
        let (mut work, mut result) = (Some(work), None);
        self.sources.slowly(&mut || result = work.take().map(|work| work()));
        let used = self.sources.elapsed().processor.saturating_sub(before);
        self.ends.processor = self.ends.processor.saturating_add(used);
        result.ok_or(NO_RESULT)
    }

    pub(crate) fn enter(&mut self, function: &Function) -> Outcome<()> {
        if matches!(function.nature, Nature::Volatile | Nature::CostlyAndVolatile) {
            self.used_volatile = true;
        }
        if matches!(function.nature, Nature::Costly | Nature::CostlyAndVolatile) {
            self.meter.costly()?;
            self.check_deadline()?;
        }
        self.step(1)
    }

    pub(crate) fn buffer(&self) -> Buffer {
        Buffer::new(self.meter.room())
    }

    /// Makes a string, paid for by its length.
    pub(crate) fn text(&mut self, bytes: impl AsRef<[u8]> + Into<Bytes>) -> Outcome<Value> {
        Ok(Value::Text(self.bytes(bytes)?))
    }

    pub(crate) fn bytes(&mut self, bytes: impl AsRef<[u8]> + Into<Bytes>) -> Outcome<Bytes> {
        let length = bytes.as_ref().len();
        self.meter.allocate(length + TEXT)?;
        self.work(length)?;
        Ok(bytes.into())
    }

    /// Makes a string of several.
    pub(crate) fn joined(&mut self, parts: &[&[u8]]) -> Outcome<Value> {
        self.meter.affords(parts.iter().map(|part| part.len()).sum())?;
        self.text(parts.concat())
    }

    pub(crate) fn finish(&mut self, buffer: Buffer) -> Outcome<Value> {
        self.text(buffer.into_bytes())
    }

    /// Pays for a list of `count` elements before it is built.
    pub(crate) fn pay_for_elements(&mut self, count: usize) -> Outcome<()> {
        self.meter.allocate(count.saturating_mul(size_of::<Value>()).saturating_add(CONTAINER))?;
        self.step(u64::try_from(count / 8).unwrap_or(u64::MAX))
    }

    pub(crate) fn list(&mut self, of: ListType, items: Vec<Value>) -> Outcome<Value> {
        self.new_list(of, items).map(Value::List)
    }

    pub(crate) fn new_list(&mut self, of: ListType, items: Vec<Value>) -> Outcome<List> {
        self.pay_for_elements(items.capacity())?;
        Ok(self.heap.list(of, items))
    }

    pub(crate) fn nil_list(&mut self, of: ListType) -> Outcome<Value> {
        self.meter.allocate(CONTAINER)?;
        Ok(Value::List(self.heap.nil_list(of)))
    }

    pub(crate) fn map(&mut self, of: MapType, entries: Entries) -> Outcome<Value> {
        self.new_map(of, entries).map(Value::Map)
    }

    pub(crate) fn new_map(&mut self, of: MapType, entries: Entries) -> Outcome<Map> {
        self.meter.allocate(CONTAINER.saturating_add(memory_of_entries(entries.len())))?;
        self.step(u64::try_from(entries.len()).unwrap_or(u64::MAX))?;
        Ok(self.heap.map(of, entries))
    }

    /// Pays for one more entry of a map that has `count` already.
    pub(crate) fn pay_for_entry(&mut self, count: usize) -> Outcome<()> {
        self.meter.fits(memory_of_entries(count.saturating_add(1)))?;
        self.meter.allocate(if count == 0 { memory_of_entries(1) } else { ENTRY })?;
        self.step(1)
    }

    pub(crate) fn now(&mut self) -> Time {
        self.used_volatile = true;
        Time::from_timestamp(self.sources.now(), self.local_zone())
    }

    pub(crate) fn local_zone(&mut self) -> Zone {
        Zone::Local(self.sources.local_zone())
    }

    pub(crate) fn zone(&mut self, name: &str) -> Outcome<Option<Zone>> {
        self.step(STEPS_TO_FIND_A_ZONE)?;
        Ok(match name {
            "" | "UTC" => Some(Zone::Utc),
            "Local" => Some(self.local_zone()),
            _ if name.len() > MAX_ZONE_NAME_LENGTH => None,
            // Names are case-sensitive in Go, and need not be for the source.
            _ => self.sources.zone(name).filter(|zone| zone.iana_name() == Some(name)).map(Zone::Named),
        })
    }

    pub(crate) fn fill_random(&mut self, bytes: &mut [u8]) {
        self.used_volatile = true;
        self.sources.fill_random(bytes);
    }
}

/// Bytes that so many entries of a map take, without their keys and values.
pub(crate) fn memory_of_entries(count: usize) -> usize {
    if count == 0 { 0 } else { count.saturating_mul(ENTRY).saturating_add(FIRST_ENTRY) }
}

/// Refuses text that is longer than anything of its kind.
pub(crate) fn short(text: &[u8], most: usize) -> Outcome<&[u8]> {
    if text.len() > most { Err(Failure::budget("a value is too large")) } else { Ok(text) }
}

/// The arguments of one call. They have been checked against the function's parameters, so a getter finds what it asks for.
pub(crate) struct Args(Vec<Value>);

impl Args {
    pub(crate) fn new(values: Vec<Value>) -> Self {
        Self(values)
    }

    pub(crate) fn any(&self, position: usize) -> &Value {
        self.0.get(position).unwrap_or(&Value::Nil)
    }

    pub(crate) fn from(&self, position: usize) -> &[Value] {
        self.0.get(position..).unwrap_or_default()
    }

    pub(crate) fn text(&self, position: usize) -> &[u8] {
        match self.any(position) {
            Value::Text(text) => text,
            _ => &[],
        }
    }

    pub(crate) fn string(&self, position: usize) -> String {
        String::from_utf8_lossy(self.text(position)).into_owned()
    }

    pub(crate) fn int(&self, position: usize) -> i64 {
        match self.any(position) {
            Value::Int(value, _) => *value,
            _ => 0,
        }
    }

    pub(crate) fn bool(&self, position: usize) -> bool {
        matches!(self.any(position), Value::Bool(true))
    }

    /// None for Go's nil map.
    pub(crate) fn map(&self, position: usize) -> Option<&Map> {
        as_map(self.any(position))
    }

    pub(crate) fn list(&self, position: usize) -> Vec<Value> {
        match self.any(position) {
            Value::List(list) => list.to_vec(),
            _ => Vec::new(),
        }
    }

    pub(crate) fn time(&self, position: usize) -> Time {
        match self.any(position) {
            Value::Time(time) => time.clone(),
            _ => Time::default(),
        }
    }
}

pub(crate) fn as_map(value: &Value) -> Option<&Map> {
    match value {
        Value::Map(map) => Some(map),
        _ => None,
    }
}
