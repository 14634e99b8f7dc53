//! `git merge`, the merge driver, in real merges and rebases.
#![cfg(unix)]

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::run::{PROGRAM, kubeseal};
use crate::workspace::{KEY, Workspace, git};

/// The values of the items of a file.
fn opened(folder: &Path, file: &str) -> String {
    let ran = kubeseal(folder, &["--recovery-unseal", "--recovery-private-key", KEY, "-f", file], b"");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let data = ran.stdout.split_once("\"data\": {").unwrap().1.split_once('}').unwrap().0.to_owned();
    data.split_whitespace().collect()
}

struct Repository {
    workspace: Workspace,
    /// The work tree that is used.
    folder: PathBuf,
    file: &'static str,
}

impl Repository {
    /// A repository with the driver, and one commit of a file with the items a, b and c.
    fn new(file: &'static str) -> Self {
        let workspace = Workspace::repository();
        workspace.done("git install --no-hook", "");
        let folder = workspace.path().to_owned();
        let repository = Self { workspace, folder, file };
        let words = "create generic db -n shop --from-literal a=1 --from-literal b=1 --from-literal c=1 --cert cert.pem -w";
        let words: Vec<&str> = words.split(' ').chain([file]).collect();
        assert_eq!(kubeseal(&repository.folder, &words, b"").code, Some(0));
        repository.commit();
        repository
    }

    fn commit(&self) {
        self.git(&["add", "--", self.file]);
        self.git(&["commit", "--quiet", "--message=x"]);
    }

    fn git(&self, arguments: &[&str]) -> String {
        let (is_done, told) = git(&self.folder, arguments);
        assert!(is_done, "{arguments:?}: {told}");
        told
    }

    /// Changes the file by a command, with this stdin, and commits it.
    fn change(&self, command: &[&str], input: &str) {
        let words = [&command[..1], &[self.file], &command[1..]].concat();
        let ran = kubeseal(&self.folder, &words, input.as_bytes());
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        self.commit();
    }

    fn set(&self, key: &str, value: &str) {
        self.change(&["set", key, "--cert", "cert.pem"], value);
    }

    /// Makes changes on a branch `other`, and others on `main`.
    fn diverge(&self, theirs: impl FnOnce(&Self), ours: impl FnOnce(&Self)) {
        self.git(&["checkout", "--quiet", "-b", "other"]);
        theirs(self);
        self.git(&["checkout", "--quiet", "main"]);
        ours(self);
    }

    fn read(&self) -> String {
        fs::read_to_string(self.folder.join(self.file)).unwrap()
    }

    fn write(&self, text: &str) {
        fs::write(self.folder.join(self.file), text).unwrap();
        self.commit();
    }

    fn opened(&self) -> String {
        opened(&self.folder, self.file)
    }
}

fn change_neighbours(repository: &Repository) {
    repository.diverge(
        |theirs| {
            theirs.set("b", "2");
            theirs.set("e", "5");
        },
        |ours| {
            ours.set("a", "2");
            ours.change(&["unset", "c"], "");
            ours.set("d", "4");
        },
    );
}

const MERGED: &str = "\"a\":\"Mg==\",\"b\":\"Mg==\",\"d\":\"NA==\",\"e\":\"NQ==\"";

#[test]
fn changes_of_different_items_merge_in_either_order_and_lose_nothing() {
    for (onto, merged) in [("main", "other"), ("other", "main")] {
        let repository = Repository::new("db.yaml");
        change_neighbours(&repository);
        repository.git(&["checkout", "--quiet", onto]);
        repository.git(&["merge", "--quiet", "--no-edit", merged]);
        assert_eq!(repository.opened(), MERGED);
        assert_eq!(repository.read().matches("# kubeseal: SHA256:").count(), 4, "receipts");
        assert!(!repository.git(&["status", "--short"]).contains("db.yaml"));
    }
}

#[test]
fn a_rebase_and_a_cherry_pick_merge_items_too() {
    let repository = Repository::new("db.yaml");
    change_neighbours(&repository);
    repository.git(&["rebase", "--quiet", "other"]);
    assert_eq!(repository.opened(), MERGED);
    let repository = Repository::new("db.yaml");
    repository.diverge(|theirs| theirs.set("b", "2"), |ours| ours.set("a", "2"));
    repository.git(&["cherry-pick", "other"]);
    assert_eq!(repository.opened(), "\"a\":\"Mg==\",\"b\":\"Mg==\",\"c\":\"MQ==\"");
}

#[test]
fn without_the_driver_the_same_changes_conflict() {
    let repository = Repository::new("db.yaml");
    change_neighbours(&repository);
    repository.workspace.done("git uninstall", "");
    let (is_done, told) = git(&repository.folder, &["merge", "other"]);
    assert!(!is_done && told.contains("CONFLICT"), "{told}");
}

#[test]
fn without_the_driver_changes_merge_in_either_order_if_an_unchanged_line_lies_between() {
    for (onto, merged) in [("main", "other"), ("other", "main")] {
        let repository = Repository::new("db.yaml");
        repository.workspace.done("git uninstall", "");
        repository.diverge(|theirs| theirs.set("a", "2"), |ours| ours.set("c", "3"));
        repository.git(&["checkout", "--quiet", onto]);
        repository.git(&["merge", "--quiet", "--no-edit", merged]);
        assert_eq!(repository.opened(), "\"a\":\"Mg==\",\"b\":\"MQ==\",\"c\":\"Mw==\"");
        assert_eq!(repository.read().matches("# kubeseal: SHA256:").count(), 3, "receipts");
    }
}

/// A change of one place: the lines of the old text that it replaces, and the new ones.
struct Hunk {
    lines: Range<usize>,
    new: Vec<String>,
}

impl Hunk {
    fn between(before: &[&str], after: &str) -> Self {
        let after: Vec<&str> = after.lines().collect();
        let head = before.iter().zip(&after).take_while(|(a, b)| a == b).count();
        let (rest, rest_after) = (&before[head..], &after[head..]);
        let tail = rest.iter().rev().zip(rest_after.iter().rev()).take_while(|(a, b)| a == b).count();
        let new = rest_after[..rest_after.len() - tail].iter().map(|line| (*line).to_owned());
        Self { lines: head..before.len() - tail, new: new.collect() }
    }
}

/// The changes of one item that `set` and `unset` make to a file with the items b, d, f, h and j.
fn changes_of_one_item(workspace: &Workspace) -> Vec<String> {
    let literals = ["b", "d", "f", "h", "j"].map(|key| format!("--from-literal {key}=1"));
    workspace
        .done(&format!("create generic db -n shop {} -w db.yaml --cert cert.pem", literals.join(" ")), "");
    let base = workspace.read("db.yaml");
    let mut versions = vec![base.clone()];
    let mut add = |line: &str| {
        workspace.write("db.yaml", &base);
        workspace.done(line, "");
        versions.push(workspace.read("db.yaml"));
    };
    for key in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"] {
        add(&format!("set db.yaml {key} --generate --cert cert.pem"));
    }
    for key in ["b", "d", "f", "h", "j"] {
        add(&format!("unset db.yaml {key}"));
    }
    versions
}

#[test]
fn any_two_changes_of_items_with_an_unchanged_line_between_merge_by_git_alone_in_either_order() {
    let workspace = Workspace::new();
    let versions = changes_of_one_item(&workspace);
    let base: Vec<&str> = versions[0].lines().collect();
    workspace.write("base", &versions[0]);
    let hunks: Vec<(&String, Hunk)> =
        versions[1..].iter().map(|version| (version, Hunk::between(&base, version))).collect();
    let mut count = 0;
    for (ours, first) in &hunks {
        for (theirs, second) in hunks.iter().filter(|(_, second)| second.lines.start > first.lines.end) {
            let mut expected: Vec<String> = base.iter().map(|line| (*line).to_owned()).collect();
            expected.splice(second.lines.clone(), second.new.iter().cloned());
            expected.splice(first.lines.clone(), first.new.iter().cloned());
            workspace.write("a", ours);
            workspace.write("b", theirs);
            for sides in [["a", "base", "b"], ["b", "base", "a"]] {
                let merged = workspace.git(&[&["merge-file", "-p"], &sides[..]].concat());
                assert_eq!(merged.lines().collect::<Vec<_>>(), expected);
            }
            count += 1;
        }
    }
    assert!(count > 60, "{count} pairs of changes");
}

#[test]
fn one_item_that_both_change_is_the_only_conflict() {
    let repository = Repository::new("db.yaml");
    repository.diverge(
        |theirs| {
            theirs.set("a", "2");
            theirs.set("b", "3");
        },
        |ours| {
            ours.set("b", "4");
            ours.set("c", "2");
        },
    );
    let (is_done, told) = git(&repository.folder, &["merge", "other"]);
    let told_line = told.lines().find(|line| line.starts_with("db.yaml:")).unwrap_or_default();
    assert!(!is_done && told_line.ends_with(": b: both sides changed this item"), "{told}");
    let text = repository.read();
    let line: usize = told_line.split(':').nth(1).unwrap().parse().unwrap();
    assert_eq!(text.lines().nth(line - 1), Some("<<<<<<< ours"));
    let inside = text.split_once("<<<<<<< ours\n").unwrap().1.split_once(">>>>>>> theirs\n").unwrap().0;
    let shape: Vec<_> = inside.lines().map(|line| line.trim().chars().take(4).collect::<String>()).collect();
    assert_eq!(shape, ["b: A", "====", "b: A"]);
    let (ours, rest) = text.split_once("<<<<<<< ours\n").unwrap();
    let (conflict, end) = rest.split_once("=======\n").unwrap();
    fs::write(
        repository.folder.join("db.yaml"),
        [ours, conflict, end.split_once(">>>>>>> theirs\n").unwrap().1].concat(),
    )
    .unwrap();
    assert_eq!(repository.opened(), "\"a\":\"Mg==\",\"b\":\"NA==\",\"c\":\"Mg==\"");
}

#[test]
fn a_conflict_shows_the_ancestor_if_git_is_set_so() {
    let repository = Repository::new("db.yaml");
    repository.git(&["config", "merge.conflictStyle", "diff3"]);
    repository.diverge(|theirs| theirs.set("b", "3"), |ours| ours.change(&["unset", "b"], ""));
    assert!(!git(&repository.folder, &["merge", "other"]).0);
    let text = repository.read();
    let inside = text.split_once("<<<<<<< ours\n").unwrap().1;
    assert!(inside.starts_with("||||||| base\n    b: A") && inside.contains("\n=======\n    b: A"), "{text}");
}

#[test]
fn other_text_merges_as_git_merges_it() {
    let repository = Repository::new("db.yaml");
    let with = |from: &'static str, to: &'static str| {
        move |own: &Repository| own.write(&own.read().replace(from, to))
    };
    repository.diverge(
        |theirs| {
            theirs.set("b", "2");
            with("kind:", "# theirs\nkind:")(theirs);
        },
        |ours| {
            ours.set("c", "2");
            with("    a: ", "    # about a\n    a: ")(ours);
        },
    );
    repository.git(&["merge", "--quiet", "--no-edit", "other"]);
    let text = repository.read();
    assert!(text.contains("# theirs\nkind:") && text.contains("    # about a\n    a: "), "{text}");
    assert_eq!(repository.opened(), "\"a\":\"MQ==\",\"b\":\"Mg==\",\"c\":\"Mg==\"");
    let repository = Repository::new("db.yaml");
    repository.diverge(
        |theirs| {
            theirs.set("b", "2");
            with("kind:", "# theirs\nkind:")(theirs);
        },
        |ours| {
            ours.set("c", "2");
            with("kind:", "# ours\nkind:")(ours);
        },
    );
    let (is_done, _) = git(&repository.folder, &["merge", "other"]);
    let text = repository.read();
    assert!(
        !is_done && text.contains("<<<<<<< ours\n# ours\n=======\n# theirs\n>>>>>>> theirs\nkind:"),
        "{text}"
    );
    let outside = text.split_once(">>>>>>> theirs\n").unwrap().1;
    assert!(!outside.contains("<<<<") && outside.matches("    b: ").count() == 1, "{text}");
}

#[test]
fn names_with_blanks_line_breaks_and_letters_of_any_language_merge() {
    for file in ["a b.yaml", "grüße 世界.yaml", "two\nlines.yaml", "it's $(x) \"q\".yml", "-n.yaml"] {
        let name: &'static str = if file.starts_with('-') { "./-n.yaml" } else { file };
        let repository = Repository::new(name);
        repository.diverge(|theirs| theirs.set("b", "2"), |ours| ours.set("a", "2"));
        repository.git(&["merge", "--quiet", "--no-edit", "other"]);
        assert_eq!(repository.opened(), "\"a\":\"Mg==\",\"b\":\"Mg==\",\"c\":\"MQ==\"", "{file}");
    }
}

#[test]
fn json_merges_item_by_item() {
    let repository = Repository::new("db.json");
    repository.diverge(
        |theirs| {
            theirs.set("b", "2");
            theirs.set("e", "5");
        },
        |ours| {
            ours.set("a", "2");
            ours.set("d", "4");
        },
    );
    repository.git(&["merge", "--quiet", "--no-edit", "other"]);
    assert_eq!(
        repository.opened(),
        "\"a\":\"Mg==\",\"b\":\"Mg==\",\"c\":\"MQ==\",\"d\":\"NA==\",\"e\":\"NQ==\""
    );
}

#[test]
fn linked_work_trees_merge_and_so_do_files_with_other_line_breaks() {
    let mut repository = Repository::new("db.yaml");
    repository.diverge(|theirs| theirs.set("b", "2"), |ours| ours.set("a", "2"));
    repository.git(&["worktree", "add", "--quiet", "-b", "third", "linked"]);
    repository.folder = repository.folder.join("linked");
    repository.git(&["merge", "--quiet", "--no-edit", "other"]);
    assert_eq!(repository.opened(), "\"a\":\"Mg==\",\"b\":\"Mg==\",\"c\":\"MQ==\"");

    let repository = Repository::new("db.yaml");
    repository.git(&["config", "core.autocrlf", "true"]);
    repository.diverge(|theirs| theirs.set("b", "2"), |ours| ours.set("a", "2"));
    repository.git(&["merge", "--quiet", "--no-edit", "other"]);
    assert!(
        repository.read().lines().count() == repository.read().matches("\r\n").count(),
        "{}",
        repository.read()
    );
    assert_eq!(repository.opened(), "\"a\":\"Mg==\",\"b\":\"Mg==\",\"c\":\"MQ==\"");
}

#[test]
fn a_file_that_is_not_a_manifest_merges_as_git_merges_it() {
    let repository = Repository::new("db.yaml");
    repository.diverge(
        |theirs| theirs.write("a: [\nb\nc\nd\ne\n"),
        |ours| ours.write(&format!("{}# more\n", ours.read())),
    );
    let (is_done, told) = git(&repository.folder, &["merge", "other"]);
    assert!(!is_done && told.contains("resolve the conflicts that are marked"), "{told}");
    assert!(repository.read().contains("=======\na: [\n"), "{}", repository.read());

    let repository = Repository::new("db.yaml");
    let ours: Vec<u8> = "kind: Secret\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    repository.diverge(
        |theirs| theirs.set("b", "2"),
        |own| {
            fs::write(own.folder.join("db.yaml"), &ours).unwrap();
            own.commit();
        },
    );
    let (is_done, told) = git(&repository.folder, &["merge", "other"]);
    assert!(!is_done && told.contains("db.yaml: ") && told.contains("our version stays"), "{told}");
    assert_eq!(fs::read(repository.folder.join("db.yaml")).unwrap(), ours);
}

#[test]
fn the_result_replaces_our_version_and_bad_words_are_refused() {
    let workspace = Workspace::new();
    for (name, text) in [("base", "a: 1\n"), ("ours", "a: 1\n"), ("theirs", "a: 2\n")] {
        workspace.write(name, text);
    }
    assert_eq!(workspace.done("git merge base ours theirs", ""), "");
    assert_eq!(
        (workspace.read("ours"), workspace.read("theirs")),
        ("a: 2\n".to_owned(), "a: 2\n".to_owned())
    );
    workspace.refused("git merge base ours none", 1, "open none: no such file or directory");
    let ran = workspace.run("git merge base ours");
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
}

#[test]
fn where_the_program_is_missing_git_shows_and_merges_files_as_it_does_by_itself() {
    let repository = Repository::new("db.yaml");
    let (workspace, gone) = (&repository.workspace, "/no/such folder/kubeseal");
    for name in ["diff.kubeseal.textconv", "merge.kubeseal.driver"] {
        let value = repository.git(&["config", name]).trim_end().replace(PROGRAM, gone);
        assert!(value.contains(gone), "{value}");
        workspace.git(&["config", name, &value]);
    }
    repository.diverge(|theirs| theirs.set("b", "2"), |ours| ours.set("b", "3"));
    let (is_done, told) = git(&repository.folder, &["diff", "HEAD~1"]);
    assert!(is_done && told.contains("\n-    b: AQ") && told.contains("\n+    b: AQ"), "{told}");
    let (is_done, told) = git(&repository.folder, &["merge", "other"]);
    assert!(!is_done && told.contains("CONFLICT (content)"), "{told}");
    let text = workspace.read("db.yaml");
    assert!(text.contains("\n=======\n    b: AQ") && text.contains("\n>>>>>>> theirs\n"), "{text}");
    workspace.git(&["merge", "--abort"]);
    repository.git(&["checkout", "--quiet", "-b", "third", "HEAD~1"]);
    workspace.write("db.yaml", &workspace.read("db.yaml").replace("\nmetadata:", "\n# third\nmetadata:"));
    repository.commit();
    repository.git(&["merge", "other"]);
    assert!(workspace.read("db.yaml").contains("\n# third\n"));
}
