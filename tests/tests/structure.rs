//! The structure of the sources: small folders, the field's words, one owner for each state, citations that lead somewhere.

#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use sealed_secrets_tests::sources::{known_files, shipped, sources};
use sealed_secrets_tests::workspace;

/// The crates that are shipped, and the one that builds them.
const CRATES: [&str; 5] = ["crds", "core", "controller", "cli", "xtask"];
/// Files of one folder, so that they are read at a glance.
const MAX_FILES: usize = 10;

/// Names that were given up for the field's term: (former name, term). A name that ends with `_` stands for all that begin so, and
/// one between two `_` for all names that contain this word. A constant counts as its name in lower case, too.
const FORMER: [(&str, &str); 175] = [
    ("AGAIN_AND_AGAIN", "CONTESTED_HINT"),
    ("ASKED_FOR_RIGHT_EVERY", "PERMISSION_CHECK_INTERVAL"),
    ("Allowance", "TokenBucket"),
    ("Announcement", "StatusEvent"),
    ("Book", "ObjectKeyUsage"),
    ("Cases", "DecryptFailureCache"),
    ("DOUBT", "WATCH_GRACE"),
    ("Desk", "RequestHandler"),
    ("Done", "Success, Applied or a noun of the result"),
    ("Expel", "RemoveCompromised"),
    ("FAREWELL", "DRAIN"),
    ("Fight", "Contested"),
    ("Folded", "RawSealedSecret"),
    ("Followed", "Watched"),
    ("Gate", "SetOnce"),
    ("Guest", "Connection"),
    ("Guests", "ConnectionLimiter"),
    ("Guidance", "Inputs"),
    ("Heeded", "ObservedPolicy"),
    ("Hindrance", "Blocker"),
    ("Holding", "InFlight"),
    ("Holdings", "InFlightLimit"),
    ("How", "Delivery"),
    ("IN_WORK", "IN_FLIGHT"),
    ("IN_WORK_OF_ONE", "IN_FLIGHT_PER_NAMESPACE"),
    ("Interface", "HttpState"),
    ("KeyList", "KeyRefresh"),
    ("Known", "SecretRecord"),
    ("LARGEST", "MAX_SIZE"),
    ("LARGEST_", "MAX_"),
    ("LAST_REQUEST", "REQUEST_GRACE"),
    ("LAST_WORDS", "CLOSE_TIMEOUT"),
    ("LAST_WORK", "WORK_GRACE"),
    ("LEAST", "MIN_RATE"),
    ("LONGEST", "MAX_LENGTH or MAX_BACKOFF"),
    ("LONGEST_", "MAX_"),
    ("Lanes", "PriorityQueue"),
    ("Ledger", "KeyUsageIndex"),
    ("MOST_", "MAX_"),
    ("Making", "GenerationConfig"),
    ("Mark", "KeyCondition"),
    ("Marks", "KeyConditions"),
    ("Need", "UsageReport"),
    ("News", "KeyEvent or LogDedup"),
    ("NoteOffRing", "RecordRemoval"),
    ("NoteUnused", "RecordUnused"),
    ("NoteUsed", "RecordUsed"),
    ("NoteWish", "RecordRequest"),
    ("Occasion", "Trigger"),
    ("OpenError", "ItemError"),
    ("Opening", "Decryption"),
    ("OpeningError", "DecryptionError"),
    ("Overtaken", "Superseded"),
    ("Patience", "ConnectionTimeouts"),
    ("Pauses", "WriterPacing"),
    ("Place", "Permit, Position or Edit"),
    ("Places", "FairSemaphore or Slots"),
    ("Question", "RequestLabels"),
    ("Reading", "ParsedKey"),
    ("Readings", "ParsedKeys"),
    ("Repairs", "DriftBackoff"),
    ("RetiresWhileLeading", "RetiresWhilePrimary"),
    ("Rewrapped", "ReEncrypted"),
    ("Room", "ObjectStates"),
    ("Rules", "EffectivePolicy"),
    ("SHORTEST_", "MIN_"),
    ("Seen", "ObservedVersion"),
    ("Shown", "Observed"),
    ("Statement", "StatusUpdate"),
    ("Surroundings", "TemplateSources"),
    ("Tally", "ObjectKeyUsage"),
    ("Told", "PendingStatus or StatusWrite"),
    ("Trial", "DecryptAttempt"),
    ("Turn", "WorkClass or Permit"),
    ("Turns", "FairSemaphore"),
    ("UNWRITTEN_ALONE", "UNWRITTEN_WITH_FIRST"),
    ("Undone", "WriteFailed"),
    ("Unopened", "Undecryptable"),
    ("Unseen", "StatusOverlay"),
    ("Untold", "DeniedStatusWrites"),
    ("Versions", "SecretRecord"),
    ("ViewNotWhole", "UsageIncomplete"),
    ("Wish", "DesiredState or ApplyRequest"),
    ("Wishes", "DesiredStates"),
    ("Witness", "Source"),
    ("_moment_", "time, timestamp or instant"),
    ("_patience_", "timeout"),
    ("_tell_", "warn, log, report or a verb of the effect"),
    ("announcement", "status_event"),
    ("attend", "update_key_conditions"),
    ("awaited", "deleted_externally"),
    ("backlog", "bulk"),
    ("begin_nothing_after", "close_limits_on_stop"),
    ("burst_is_due", "release_due_burst"),
    ("census", "usage::live"),
    ("chores", "background"),
    ("circumstances", "retry_fingerprint"),
    ("counted", "count_requests or the noun of the count"),
    ("gently", "graceful"),
    ("has_nothing_untold", "clear_denied"),
    ("has_opened", "has_unsealed"),
    ("has_unopened", "has_undecrypted"),
    ("has_written", "record_write"),
    ("heed", "observe"),
    ("heeded", "observed_policy"),
    ("hindrance", "blocker"),
    ("hindrances", "blockers"),
    ("holdings", "in_flight_limit"),
    ("in_this_work", "in_flight_of_kind"),
    ("in_words", "describe"),
    ("in_work", "in_flight"),
    ("is_awaited", "is_deleted_externally"),
    ("is_meant_to_open", "is_meant_to_decrypt"),
    ("is_newer_than", "refresh_unless_newer_than"),
    ("is_news", "count_first_time"),
    ("is_suspicious", "is_lease_in_doubt"),
    ("is_told", "is_reported"),
    ("key_list", "key_refresh"),
    ("lacks_right", "lacks_permission"),
    ("lanes", "queue"),
    ("leaders", "primary_candidates"),
    ("led_by", "with_primary"),
    ("ledger", "key_usage"),
    ("left_as", "version_after_success"),
    ("limited", "the noun of the limit"),
    ("make_as", "apply_generation"),
    ("make_what_fits", "apply_fitting"),
    ("marked_like", "with_annotation_of"),
    ("may_tell", "requeue_denied"),
    ("missing_rights", "missing_permissions"),
    ("must_leave", "close_reason"),
    ("next_look", "next_check"),
    ("object_watch", "watch::objects"),
    ("occasion", "trigger"),
    ("of_one", "per_namespace"),
    ("open_all", "decrypt_all"),
    ("opens", "decrypts"),
    ("overlook", "record_untracked"),
    ("overlooks", "has_untracked"),
    ("own_kinds", "optional_crd_watch"),
    ("places_of", "positions_of"),
    ("rewrap", "re_encrypt"),
    ("rightless", "missing_permissions"),
    ("rights", "permissions"),
    ("said", "logged or message"),
    ("says", "is_annotated"),
    ("says_no_less", "contains"),
    ("says_that_namespace_goes", "is_namespace_terminating"),
    ("says_that_right_is_missing", "is_permission_missing"),
    ("says_the_same", "has_same_content"),
    ("scout", "probe"),
    ("seat", "register"),
    ("secret_watch", "watch::secrets"),
    ("shown", "observed, exported, published or describe"),
    ("stands_in", "is_accepted_successor"),
    ("status_forgets", "crd_prunes_status"),
    ("surroundings", "template_sources"),
    ("takes_watch_for_silent", "take_watch_silence"),
    ("tally", "object_usage"),
    ("tell_what_flags_do_not_do", "warn_about_ineffective_flags"),
    ("told", "logged or reported"),
    ("turn_after", "work_class"),
    ("units_of_one", "units_per_namespace"),
    ("unopened", "undecryptable"),
    ("unseen", "overlay"),
    ("until_opened", "until_decrypted"),
    ("untold", "denied"),
    ("urgent", "is_due_now"),
    ("verdicts", "attempt_conditions"),
    ("version_of", "ObjectVersion::of"),
    ("waits_to_be_asked", "expects_continue"),
    ("was_too_large", "shrink_after"),
    ("wish", "desired"),
    ("wishes", "desired_states"),
    ("yielded", "key_created"),
];

/// Former names of the controller that mean something else in other crates.
const FORMER_IN_CONTROLLER: [(&str, &str); 4] = [
    ("SealingKey", "RingKey, outside of what handles the custom resource"),
    ("folded", "raw"),
    ("is_whole", "is_complete or has_spec"),
    ("marks", "key_conditions"),
];

fn sources_of(package: &str) -> BTreeMap<PathBuf, String> {
    sources(&format!("{package}/src")).unwrap()
}

/// The code of a line, without strings and comments.
fn code(line: &str) -> String {
    let outside: String = line.replace("\\\"", "").split('"').step_by(2).collect::<Vec<_>>().join(" ");
    outside.split("//").next().unwrap().to_owned()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| !character.is_alphanumeric() && character != '_')
}

fn identifiers(source: &str) -> BTreeSet<String> {
    let lines = source.lines().map(code);
    lines.flat_map(|line| words(&line).map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn no_folder_of_the_controller_has_more_files_than_are_read_at_a_glance() {
    let mut files = BTreeMap::<_, usize>::new();
    for path in sources_of("controller").into_keys() {
        *files.entry(path.parent().unwrap().to_owned()).or_default() += 1;
    }
    assert!(files.len() > 10, "{files:?}");
    files.retain(|_, count| *count > MAX_FILES);
    assert!(files.is_empty(), "{files:?}");
}

fn is_former(used: &str, former: &str) -> bool {
    let is_constant = !used.chars().any(char::is_lowercase);
    is_former_name(used, former) || is_constant && is_former_name(&used.to_lowercase(), former)
}

fn is_former_name(used: &str, former: &str) -> bool {
    let word = former.strip_prefix('_').and_then(|rest| rest.strip_suffix('_'));
    word.is_some_and(|word| used.split('_').any(|part| part == word))
        || used == former
        || former.ends_with('_') && used.starts_with(former)
}

fn former_names_in(package: &str, former: &[(&str, &str)]) -> Vec<String> {
    let mut found = Vec::new();
    for (path, source) in sources_of(package) {
        let mut names = identifiers(&source);
        names.extend(path.iter().map(|part| part.to_string_lossy().trim_end_matches(".rs").to_owned()));
        let used = former.iter().filter(|(name, _)| names.iter().any(|used| is_former(used, name)));
        found.extend(used.map(|(name, term)| format!("{}: {name} is called {term}", path.display())));
    }
    found
}

#[test]
fn former_names_are_gone() {
    let found: Vec<_> = CRATES.into_iter().flat_map(|package| former_names_in(package, &FORMER)).collect();
    assert_eq!(found, Vec::<String>::new());
    let mut in_controller = former_names_in("controller", &FORMER_IN_CONTROLLER);
    in_controller.retain(|found| !(found.contains(": SealingKey ") && handles_custom_resource(found)));
    assert_eq!(in_controller, Vec::<String>::new());
}

/// True for a file in which `SealingKey` is the kind in the cluster, and not a private key.
fn handles_custom_resource(found: &str) -> bool {
    let places =
        ["sealing_keys/", "startup/", "optional_crd_watch.rs", "keystore/writer/", "event", "policy"];
    places.into_iter().any(|place| found.contains(place))
}

#[test]
fn a_former_name_is_a_whole_name_a_prefix_or_a_word_and_a_constant_may_bear_it() {
    assert!(is_former("LONGEST_NAME", "LONGEST_") && is_former("LONGEST", "LONGEST"));
    assert!(!is_former("LONGEST_NAME", "LONGEST") && !is_former("NO_LONGEST_NAME", "LONGEST_"));
    assert!(is_former("PATIENCE_WITH_PROMPT", "_patience_") && is_former("can_tell_stale", "_tell_"));
    assert!(is_former("BACKLOG", "backlog") && is_former("tell", "_tell_"));
    assert!(!is_former("patiently", "_patience_") && !is_former("Backlog", "backlog"));
}

#[test]
fn identifiers_are_distinguished_from_strings_and_comments() {
    let found = identifiers("let a = \"Lanes \\\" Room\"; // Folded\n/// Marks\nfn b(_: Cases) {}");
    assert!(["a", "b", "Cases"].iter().all(|name| found.contains(*name)), "{found:?}");
    assert!(!["Lanes", "Room", "Folded", "Marks"].iter().any(|name| found.contains(*name)), "{found:?}");
}

/// Files of the keystore, without tests, in which a text stands, and how often.
fn in_keystore(text: &str) -> BTreeMap<PathBuf, usize> {
    let files = sources("controller/src/keystore").unwrap().into_iter();
    let files = files.filter(|(path, _)| !path.ends_with("tests.rs"));
    let is_called = |line: &str| line.match_indices(text).filter(|(at, _)| is_word_start(line, *at)).count();
    let count = |source: &str| shipped(source).lines().map(|line| is_called(&code(line))).sum::<usize>();
    files.map(|(path, source)| (path, count(&source))).filter(|(_, count)| *count > 0).collect()
}

fn is_word_start(line: &str, at: usize) -> bool {
    let before = line[..at].chars().next_back();
    before.is_none_or(|before| !before.is_alphanumeric() && before != '_')
}

/// Once in each turn, and once more before a deletion.
#[test]
fn the_keystore_plans_once_a_turn_and_once_before_a_deletion() {
    let calls = in_keystore("plan(");
    assert_eq!(calls.values().sum::<usize>(), 2, "{calls:?}");
    assert!(calls.keys().any(|path| path.ends_with("writer/deletion.rs")), "{calls:?}");
}

#[test]
fn each_state_of_the_keystore_has_its_own_owner() {
    let files = in_keystore("impl Keystore {");
    assert_eq!(files.into_values().collect::<Vec<_>>(), [1]);
}

/// Collections of objects in the controller's `sealed_secret` that may stand behind a lock, and why: (path, occurrences, reason).
const COLLECTIONS_OF_OBJECTS: [(&str, usize, &str); 6] = [
    ("state.rs", 1, "the state of every object"),
    ("queue/priority_queue.rs", 4, "orders and counts across objects"),
    ("queue/round_robin.rs", 1, "a queue: orders namespaces and their objects"),
    ("status/denied.rs", 1, "orders the objects of a namespace, of which the first retries for all"),
    ("watch/over_limit_queue.rs", 1, "a queue of reports: orders objects"),
    ("watch/secrets.rs", 1, "the list that is being read, behind no lock"),
];

/// Lines of a source, but for signatures, with a collection by object key, or by a tuple or by namespace and name in its place.
fn collections_of_objects(source: &str) -> usize {
    let is_collection = |line: &str| {
        let by = |collection: &str, key: &str| line.contains(&format!("{collection}<{key}"));
        let keys = ["ObjectKey", "(String, String)", "String, BTreeSet<String", "String, HashSet<String"];
        keys.into_iter().any(|key| ["Map", "Set", "Deque"].into_iter().any(|of| by(of, key)))
    };
    let lines = shipped(source).lines().map(code);
    lines.filter(|line| is_collection(line) && !line.contains("fn ")).count()
}

#[test]
fn the_state_of_each_object_is_behind_one_lock() {
    let folder = "controller/src/sealed_secret";
    let (mut locks, mut found) = (Vec::new(), BTreeMap::new());
    for (path, source) in sources(folder).unwrap() {
        let path = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
        let is_lock = |line: &String| line.contains("Mutex<HashMap<ObjectKey");
        locks.extend(shipped(&source).lines().map(code).filter(is_lock).map(|_| path.clone()));
        found.insert(path, collections_of_objects(&source));
    }
    assert_eq!(locks, ["state.rs"]);
    found.retain(|_, count| *count > 0);
    let expected = COLLECTIONS_OF_OBJECTS.map(|(path, count, _)| (path.to_owned(), count));
    assert_eq!(found, BTreeMap::from(expected));
}

/// True for the signature of a method that is named as a question and may change what it is asked of.
fn is_question_that_changes(line: &str) -> bool {
    let method = line.split("fn ").nth(1).unwrap_or_default();
    ["is_", "has_", "may_", "are_", "can_"].iter().any(|question| method.starts_with(question))
        && method.contains("(&mut self")
}

#[test]
fn methods_that_are_named_as_questions_change_nothing() {
    assert!(is_question_that_changes("    pub(crate) fn is_new<K>(&mut self, event: &K) -> bool {"));
    for package in CRATES {
        for (path, source) in sources_of(package) {
            let found: Vec<_> = source.lines().filter(|line| is_question_that_changes(line)).collect();
            assert!(found.is_empty(), "{}: {found:?}", path.display());
        }
    }
}

/// Files of a crate that are compiled for tests only.
const TEST_FILES: [&str; 3] = ["fixtures.rs", "fuzzed.rs", "tests.rs"];

/// The path of a module below its crate.
type Module = Vec<String>;

/// Paths in the shipped code of one file.
struct Paths {
    used: Vec<Module>,
    /// Paths of `pub use` by their last name: an import of that name is an import of the file behind it.
    passed_on: BTreeMap<String, Module>,
}

impl Paths {
    fn of(source: &str) -> Self {
        let (mut own, mut passed_on, mut is_passed_on) = (String::new(), String::new(), false);
        for line in shipped(source).lines().map(code) {
            is_passed_on |= line.starts_with("pub") && line.contains(" use ");
            let part = if is_passed_on { &mut passed_on } else { &mut own };
            part.push_str(&line);
            part.push('\n');
            is_passed_on &= !line.contains(';');
        }
        let passed_on = paths_in(&passed_on).into_iter().filter(|path| path.len() > 1);
        let passed_on = passed_on.map(|path| (path[path.len() - 1].clone(), path)).collect();
        Self { used: paths_in(&own), passed_on }
    }
}

/// Every path, such as `a::b` and `a::c` in `a::{b, c}`.
fn paths_in(code: &str) -> Vec<Module> {
    let code = code.replace("::*", "::self").replace("::<", " ").replace('{', " { ").replace('}', " } ");
    let (mut found, mut groups, mut before) = (Vec::new(), vec![Module::new()], Module::new());
    let tokens = code.split(|character: char| !character.is_alphanumeric() && !"_:{}".contains(character));
    for token in tokens.filter(|token| !token.is_empty()) {
        match token {
            "{" => groups.push(std::mem::take(&mut before)),
            "}" => drop(groups.pop()),
            _ => {
                let names = token.split("::").filter(|name| !name.is_empty()).map(str::to_owned);
                let path = groups.last().into_iter().flatten().cloned().chain(names).collect();
                if token.ends_with("::") { before = path } else { found.push(path) }
            }
        }
    }
    found
}

/// The files of one crate.
struct Files(BTreeMap<Module, Paths>);

impl Files {
    fn of(sources: impl IntoIterator<Item = (PathBuf, String)>) -> Self {
        let mut files = BTreeMap::new();
        let is_shipped = |path: &Path| !TEST_FILES.iter().any(|name| path.ends_with(name));
        for (path, source) in sources.into_iter().filter(|(path, _)| is_shipped(path)) {
            let names = path.with_extension("");
            let mut module: Module =
                names.iter().skip(2).map(|name| name.to_str().unwrap().to_owned()).collect();
            module.pop_if(|name| ["lib", "main", "mod"].contains(&name.as_str()));
            files.entry(module).or_insert_with(|| Paths::of(&source));
        }
        Self(files)
    }

    /// The file with what `path` means in `module`; `None` if it leads out of the crate.
    fn file(&self, module: &[String], path: &[String]) -> Option<&Module> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            // As in `pub(crate)`.
            "crate" | "super" if rest.is_empty() => None,
            "crate" => self.file_at(rest),
            "self" => self.file_at(&[module, rest].concat()),
            "super" => {
                let levels = path.iter().take_while(|name| *name == "super").count();
                self.file_at(&[&module[..module.len().checked_sub(levels)?], &path[levels..]].concat())
            }
            // Names of other crates are no modules.
            _ if !rest.is_empty() && self.0.contains_key(&[module, &path[..1]].concat()) => {
                self.file_at(&[module, path].concat())
            }
            _ => None,
        }
    }

    fn file_at(&self, path: &[String]) -> Option<&Module> {
        let depth = (0..=path.len()).rev().find(|depth| self.0.contains_key(&path[..*depth]))?;
        let (module, paths) = self.0.get_key_value(&path[..depth])?;
        let passed_on = path.get(depth).and_then(|name| paths.passed_on.get(name));
        let behind = passed_on.and_then(|passed_on| self.file(module, passed_on));
        Some(behind.unwrap_or(module))
    }

    fn imports(&self, module: &Module) -> BTreeSet<&Module> {
        let Paths { used, passed_on } = &self.0[module];
        let used = used.iter().map(|path| passed_on.get(&path[0]).unwrap_or(path));
        used.filter_map(|path| self.file(module, path)).filter(|file| *file != module).collect()
    }

    /// Sets of files that import each other, directly or through others.
    fn circles(&self) -> BTreeSet<BTreeSet<String>> {
        let imports: BTreeMap<_, _> = self.0.keys().map(|module| (module, self.imports(module))).collect();
        let reached_from = |module| {
            let (mut reached, mut open) = (BTreeSet::new(), vec![module]);
            while let Some(next) = open.pop() {
                open.extend(imports[next].iter().copied().filter(|file| reached.insert(*file)));
            }
            reached
        };
        let reached: BTreeMap<_, _> = self.0.keys().map(|module| (module, reached_from(module))).collect();
        let circle = |module: &Module| {
            let back = reached[module].iter().filter(|file| reached[**file].contains(module));
            back.map(|file| file.join("::")).collect::<BTreeSet<_>>()
        };
        self.0.keys().map(circle).filter(|circle| !circle.is_empty()).collect()
    }
}

#[test]
fn no_two_files_import_each_other() {
    for package in CRATES.into_iter().chain(["tests"]) {
        let files = Files::of(sources_of(package));
        let imports: usize = files.0.keys().map(|module| files.imports(module).len()).sum();
        assert!(imports >= files.0.len() / 2, "{package}: only {imports} imports are found");
        assert_eq!(files.circles(), BTreeSet::new(), "{package}");
    }
}

#[test]
fn a_circle_of_imports_is_found_through_groups_passed_on_names_and_calls() {
    let circles = |sources: [(&str, &str); 4]| {
        let file = |(name, source): (&str, &str)| (Path::new("x/src").join(name), source.to_owned());
        let circles = Files::of(sources.map(file)).circles().into_iter();
        circles.map(|circle| circle.into_iter().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
    };
    let lib = ("lib.rs", "mod a;\nmod b;\n\npub use a::A;");
    let c = ("b/c.rs", "//! crate::a::A\nuse std::fmt;\n#[cfg(test)]\nmod tests {\n    use crate::b::B;\n}");
    assert_eq!(
        circles([lib, c, ("a.rs", "use crate::b::{\n    c::C,\n};"), ("b/mod.rs", "use crate::A;")]),
        [""; 0]
    );
    assert_eq!(
        circles([lib, c, ("a.rs", "use crate::b::{B, c::C};"), ("b/mod.rs", "use crate::A;")]),
        ["a b"]
    );
    assert_eq!(
        circles([lib, c, ("a.rs", "fn f() {\n    super::b::f()\n}"), ("b/mod.rs", "use super::*;")]),
        [""; 0]
    );
    let c = ("b/c.rs", "use super::B;");
    assert_eq!(
        circles([lib, c, ("a.rs", ""), ("b/mod.rs", "mod c;\n\nfn f() {\n    c::f();\n}")]),
        ["b b::c"]
    );
    assert_eq!(circles([lib, c, ("a.rs", ""), ("b/mod.rs", "mod c;\n\npub use c::C;")]), [""; 0]);
    assert_eq!(
        circles([lib, c, ("a.rs", ""), ("b/mod.rs", "mod c;\n\npub use c::C;\nfn f(_: C) {}")]),
        ["b b::c"]
    );
}

/// A text on one line, without the marks of comments, so that a citation may be broken.
fn unbroken(text: &str) -> String {
    let marks = ["//!", "///", "//"];
    let line = |line: &str| {
        let line = line.trim();
        marks.iter().find_map(|mark| line.strip_prefix(mark)).unwrap_or(line).trim().to_owned()
    };
    text.lines().map(line).collect::<Vec<_>>().join(" ")
}

/// Begins a citation of a decision record.
const DECISION: &str = "decision ";

/// The numbers that follow each occurrence of `name`: one, or several as in `1, 2 and 7`.
fn cited<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    text.match_indices(name).flat_map(|(at, _)| numbers(&text[at + name.len()..])).collect()
}

fn numbers(rest: &str) -> Vec<&str> {
    let mut numbers = Vec::new();
    for word in rest.split(' ').filter(|word| *word != "and") {
        let end = word.find(|character: char| !character.is_ascii_digit() && character != '.');
        let number = word[..end.unwrap_or(word.len())].trim_end_matches('.');
        numbers.extend(Some(number).filter(|number| !number.is_empty()));
        if number.is_empty() || !word.trim_end_matches(',').ends_with(number) {
            break;
        }
    }
    numbers
}

/// Citations in `text` of decisions that do not exist.
fn dangling(text: &str, decisions: &BTreeSet<String>) -> Vec<String> {
    let cited = cited(text, DECISION).into_iter().filter(|number| !decisions.contains(*number));
    cited.map(|number| format!("{DECISION}{number}")).collect()
}

/// Every source and page that Git knows or is about to know, without this file.
fn texts() -> BTreeMap<String, String> {
    let files = known_files(&["*.rs", "*.md"]).unwrap().into_iter();
    let files = files.filter(|path| !path.ends_with("tests/structure.rs"));
    let read = |path: &str| fs::read_to_string(workspace::root().join(path)).ok();
    files.filter_map(|path| read(&path).map(|text| (path, unbroken(&text)))).collect()
}

/// The numbers of the decision records.
fn decisions() -> BTreeSet<String> {
    let files = fs::read_dir(workspace::root().join("docs/decisions")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| Some(name.split_once('-')?.0.to_owned())).collect()
}

#[test]
fn every_cited_decision_exists() {
    let (texts, decisions) = (texts(), decisions());
    let all: usize = texts.values().map(|text| cited(text, DECISION).len()).sum();
    assert!(all >= 4, "decisions are cited {all} times");
    for (path, text) in &texts {
        assert_eq!(dangling(text, &decisions), Vec::<String>::new(), "{path}");
    }
}

/// Names of notes that are no pages of this repository.
#[test]
fn no_page_is_cited_that_the_repository_does_not_have() {
    for (path, text) in texts() {
        let words = words_of_paths(&text).map(Path::new);
        let is_page =
            |word: &&Path| word.starts_with("docs") && word.extension().is_some_and(|end| end == "md");
        for page in words.filter(is_page) {
            assert!(workspace::root().join(page).exists(), "{path}: {}", page.display());
        }
    }
}

/// Sources that a page names by their path from the root.
#[test]
fn every_source_that_a_page_names_exists() {
    let pages =
        texts().into_iter().filter(|(path, _)| Path::new(path).extension().is_some_and(|end| end == "md"));
    let mut checked = 0;
    for (path, text) in pages {
        let is_source = |word: &&str| CRATES.iter().any(|name| word.starts_with(&format!("{name}/src/")));
        for source in words_of_paths(&text).filter(is_source) {
            assert!(workspace::root().join(source).exists(), "{path}: {source}");
            checked += 1;
        }
    }
    assert!(checked > 4, "only {checked} were found");
}

fn words_of_paths(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|character: char| !character.is_alphanumeric() && !"_-./".contains(character));
    words.map(|word| word.trim_matches('.'))
}

#[test]
fn a_citation_of_a_decision_that_does_not_exist_is_found() {
    let text = unbroken("/// As (decision\n/// 0001), and decision 9999.\n//! decisions.");
    assert_eq!(dangling(&text, &decisions()), ["decision 9999"]);
    assert_eq!(cited("(decision 0001, 0002 and 0005), 8 keys", DECISION), ["0001", "0002", "0005"]);
}
