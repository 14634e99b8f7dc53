//! Templates that keep the processor busy: however large its arguments, no function works for long without a look at the clock, and
//! neither does the parser.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, its helpers too"
)]

mod worst;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use sealed_secrets_core::template::{Budget, Data, Elapsed, Sources, render_text};

use self::worst::{calls, items, table};

/// The longest time between two checks of the clock.
const LIMIT: Duration = Duration::from_millis(200);

/// The processor time of this thread, which does not pass while others use the processor.
#[cfg(target_os = "linux")]
fn processor_time() -> Duration {
    #[expect(clippy::disallowed_methods, reason = "the measurement is in the test, not in the crate")]
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(statistics.split(' ').next().unwrap().parse().unwrap())
}

/// Elsewhere all time.
#[cfg(not(target_os = "linux"))]
fn processor_time() -> Duration {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(now);
    START.elapsed()
}

/// A clock that shows processor time, and remembers how long it was not looked at, but for what is slow by design.
struct Stopwatch {
    looked: Instant,
    /// The moment at which the processor time was read, which takes longer than reading a clock, and its value.
    read: Instant,
    processor: Duration,
    /// The longest time between two looks, of those beyond the limit.
    longest: Duration,
}

impl Stopwatch {
    fn started() -> Self {
        let (now, processor) = (now(), processor_time());
        Self { looked: now, read: now, processor, longest: Duration::ZERO }
    }

    fn look(&mut self) {
        let now = now();
        let is_late = now - self.looked > LIMIT;
        if is_late || now - self.read > LIMIT / 10 {
            let processor = processor_time();
            if is_late {
                self.longest = self.longest.max(processor.saturating_sub(self.processor));
            }
            (self.read, self.processor) = (now, processor);
        }
        self.looked = now;
    }
}

#[expect(clippy::disallowed_methods, reason = "the measurement is in the test, not in the crate")]
fn now() -> Instant {
    Instant::now()
}

impl Sources for Stopwatch {
    fn now(&mut self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn local_zone(&mut self) -> TimeZone {
        TimeZone::UTC
    }

    fn zone(&mut self, name: &str) -> Option<TimeZone> {
        TimeZone::get(name).ok()
    }

    fn fill_random(&mut self, bytes: &mut [u8]) {
        bytes.fill(7);
    }

    fn elapsed(&mut self) -> Elapsed {
        self.look();
        Elapsed { processor: self.processor, wall: Duration::ZERO }
    }

    fn slowly(&mut self, work: &mut dyn FnMut()) {
        self.look();
        work();
        *self = Self { longest: self.longest, ..Self::started() };
    }
}

/// With memory for the largest values of which functions take several.
fn budget() -> Budget {
    Budget { memory: 32 << 20, ..Budget::default() }
}

/// The longest time without a look at the clock if it is beyond the limit, from the beginning of a rendering to what is left to do
/// after it.
fn longest_wait(template: &str, items: &Data) -> Duration {
    let used = items.iter().filter(|(name, _)| template.contains(&format!(".{name}")));
    let used: Data = used.map(|(name, item)| (name.clone(), item.clone())).collect();
    let mut clock = Stopwatch::started();
    let _ = render_text("key", template, &used, &budget(), &mut clock);
    clock.look();
    clock.longest
}

/// Tries again what took too long, since the machine may have been at fault.
fn assert_quick(templates: &[String], items: &Data) {
    let wait = |template: &String| {
        let waits = (0..3).map(|_| longest_wait(template, items));
        waits.take_while_inclusive(|wait| *wait > LIMIT).min().unwrap()
    };
    let slow: Vec<String> = templates
        .iter()
        .map(|template| (wait(template), template))
        .filter(|(wait, _)| *wait > LIMIT)
        .map(|(wait, template)| format!("{wait:?}: {}", template.chars().take(200).collect::<String>()))
        .collect();
    assert!(slow.is_empty(), "{}", slow.join("\n"));
}

trait TakeWhileInclusive: Iterator + Sized {
    /// All items up to the first that does not fit, that one included.
    fn take_while_inclusive(self, fits: impl Fn(&Self::Item) -> bool) -> impl Iterator<Item = Self::Item> {
        let mut is_over = false;
        self.map_while(move |item| {
            let taken = (!is_over).then_some(item)?;
            is_over = !fits(&taken);
            Some(taken)
        })
    }
}

impl<I: Iterator> TakeWhileInclusive for I {}

#[test]
fn no_function_of_the_table_works_for_long_without_a_look_at_the_clock() {
    let names: BTreeSet<_> = table().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(names.len(), table().count());
    let templates: Vec<String> = table().flat_map(calls).collect();
    assert_quick(&templates, &items(Budget::default().value));
}

#[test]
fn no_function_works_for_long_on_its_worst_arguments() {
    assert_quick(&worst::templates(), &items(Budget::default().value));
}

#[test]
fn the_parser_does_not_work_for_long_without_a_look_at_the_clock() {
    let define = |name: &str, body: &str| format!("{{{{define \"{name}\"}}}}{body}{{{{end}}}}");
    let numbered = |before: &str, after: &str| {
        let all: Vec<String> = (0..20_000).map(|number| format!("{{{{{before}{number}{after}}}}}")).collect();
        all.concat()
    };
    let (declarations, references) = (numbered("$v", " := 1"), numbered("$v", ""));
    let templates = [
        format!("{declarations}{references}"),
        format!("{declarations}{{{{range 2000}}}}{{{{$v0}}}}{{{{end}}}}"),
        define("t", &format!("{}{{{{.}}}}", " ".repeat(700_000))) + &define("t", "").repeat(30_000),
        define("t", &" ".repeat(700_000)) + &define("t", " ").repeat(30_000),
        format!("{{{{${} := 1}}}}", "é".repeat(700_000)),
        format!("{{{{.{}}}}}", "é".repeat(700_000)),
        format!("{{{{{}}}}}", "é ".repeat(500_000)),
        format!("{{{{$x := .}}}}{}", format!("{{{{$x.{}}}}}", "é".repeat(2000)).repeat(300)),
        format!("{{{{{}}}}}", "1".repeat(1_500_000)),
        format!("{{{{{}}}}}", "1 ".repeat(700_000)),
        format!("{{{{print {}}}}}", "\"\" ".repeat(100_000)),
        format!("{{{{\"{}", "\\".repeat(1_500_000)),
        format!("{{{{\"{}\"}}}}", "\\x41".repeat(350_000)),
        format!("{{{{`{}`}}}}", "\r".repeat(1_500_000)),
        format!("{{{{{}1}}}}", " ".repeat(1_500_000)),
        format!("{{{{$d := dict}}}}{{{{$_ := set $d \"a\" $d}}}}{{{{$d{}}}}}", ".a".repeat(500_000)),
        "{{/*".repeat(300_000),
        "{{/**/}}".repeat(180_000),
        "{{1}}".repeat(300_000),
        "{{break}}".repeat(150_000),
        "{{if 1}}".repeat(199) + &"{{break}}".repeat(100_000),
        "{{range 1}}".to_owned() + &"{{if 1}}".repeat(190) + &"{{break}}".repeat(100_000),
        "{{if 1}}{{else if 1}}".to_owned() + &"{{else if 1}}".repeat(100_000) + "{{end}}",
        "{{(".repeat(500_000),
        "{{1|".repeat(300_000),
    ];
    assert_quick(&templates, &items(Budget::default().value));
}
