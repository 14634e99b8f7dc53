//! `edit`, with scripts in place of an editor.
#![cfg(target_os = "linux")]

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::prompts::Terminal;
use crate::run::{PROGRAM, Ran, SECRET};
use crate::workspace::Workspace;

const CREATE: &str = "create generic db -n shop --from-literal password=hunter1 --from-literal user=app -w db.yaml --cert cert.pem";

/// A workspace with a file, and a folder in memory.
struct Fixture {
    workspace: Workspace,
    memory: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let workspace = Workspace::new();
        workspace.done(CREATE, "");
        Self { workspace, memory: tempfile::tempdir_in("/dev/shm").unwrap() }
    }

    /// A command that edits with a script, whose first argument is the file.
    fn command(&self, script: &str, words: &[&str]) -> Command {
        self.workspace.write("the editor.sh", script);
        let mut command = Command::new(PROGRAM);
        command
            .current_dir(self.workspace.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("KUBECONFIG", "none");
        command
            .env("XDG_RUNTIME_DIR", self.memory.path())
            .env("KUBE_EDITOR", "sh 'the editor.sh'")
            .env("VISUAL", "false");
        command.args(["edit", "--cert", "cert.pem"]).args(words).stdin(Stdio::null());
        command
    }

    fn edit_with(&self, script: &str, words: &[&str]) -> Ran {
        let output = self.command(script, words).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let ran =
            Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) };
        assert!(!ran.stderr.contains("hunter") && ran.stdout.is_empty(), "{}", ran.stderr);
        self.expect_nothing_left();
        ran
    }

    /// Edits `db.yaml`; returns what is reported.
    fn edit(&self, script: &str) -> String {
        let ran = self.edit_with(script, &["db.yaml"]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        ran.stderr
    }

    /// Asserts that an edit fails with this message, and the file stays.
    fn refused(&self, script: &str, code: i32, message: &str) {
        let before = self.workspace.read("db.yaml");
        let ran = self.edit_with(script, &["db.yaml"]);
        assert_eq!(ran.code, Some(code), "{script}: {}", ran.stderr);
        assert!(ran.stderr.contains(message), "{script}: {}", ran.stderr);
        assert_eq!(self.workspace.read("db.yaml"), before, "{script}");
    }

    fn expect_nothing_left(&self) {
        assert_eq!(fs::read_dir(self.memory.path()).unwrap().count(), 0);
        assert!(
            self.workspace.names().iter().all(|name| !name.contains("kubeseal-")),
            "{:?}",
            self.workspace.names()
        );
    }

    fn read(&self) -> String {
        self.workspace.read("db.yaml")
    }
}

/// The lines that differ, by number from 1.
fn differences(before: &str, after: &str) -> Vec<usize> {
    assert_eq!(before.lines().count(), after.lines().count(), "{after}");
    (1..).zip(before.lines().zip(after.lines())).filter(|(_, (a, b))| a != b).map(|(line, _)| line).collect()
}

#[test]
fn a_value_that_is_typed_over_another_is_sealed_and_every_other_byte_stays() {
    let fixture = Fixture::new();
    fixture.workspace.write("db.yaml", &fixture.read().replace("kind:", "# top \nkind:"));
    let before = fixture.read();
    let told = fixture.edit(
        "cp \"$1\" shown.txt; stat -c %a \"$1\" \"$(dirname \"$1\")\" > modes.txt; basename \"$1\" > name.txt\n\
         sed -i \"s/<sealed 1>/'hunter 2 # no comment'/\" \"$1\"",
    );
    let after = fixture.read();
    let [line] = differences(&before, &after)[..] else { panic!("one line differs: {after}") };
    let key = crate::workspace::FINGERPRINT;
    assert_eq!(
        told,
        format!("db.yaml:{line}: password replaced in shop/db (strict), key {key}, certificate cert.pem\n")
    );
    assert!(
        after.lines().nth(line - 1).unwrap().contains(&format!("  # kubeseal: {key} strict shop/db ")),
        "{after}"
    );
    let opened = fixture.workspace.opened("db.yaml");
    assert!(
        opened.contains("\"password\": \"aHVudGVyIDIgIyBubyBjb21tZW50\"")
            && opened.contains("\"user\": \"YXBw\""),
        "{opened}"
    );
    let shown = fixture.workspace.read("shown.txt");
    assert!(
        shown.starts_with("#~ <sealed N> stands for a ciphertext.") && shown.contains("# top \nkind:"),
        "{shown}"
    );
    assert!(
        shown.contains("    password: <sealed 1>\n    user: <sealed 2>\n") && !shown.contains("# kubeseal"),
        "{shown}"
    );
    assert_eq!(
        (fixture.workspace.read("modes.txt").as_str(), fixture.workspace.read("name.txt").as_str()),
        ("600\n700\n", "db.yaml\n")
    );
}

#[test]
fn items_are_added_renamed_and_removed_and_other_text_changes() {
    let fixture = Fixture::new();
    let before = fixture.read();
    let told = fixture
        .edit("sed -i 's/^    user: .*/    token: |\\n      one\\n      two\\n    name: <sealed 2>/' \"$1\"");
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines[0].contains(": token added to shop/db (strict), key "), "{told}");
    assert!(
        lines[1].ends_with(": name added to shop/db") && lines[2].ends_with(": user removed from shop/db"),
        "{told}"
    );
    let opened = fixture.workspace.opened("db.yaml");
    for item in ["\"name\": \"YXBw\"", "\"password\": \"aHVudGVyMQ==\"", "\"token\": \"b25lCnR3bwo=\""] {
        assert!(opened.contains(item), "{opened}");
    }
    let user = before.lines().find(|line| line.contains("user: ")).unwrap();
    assert!(fixture.read().contains(&user.replace("user: ", "name: ")), "ciphertext and receipt move");
    assert_eq!(fixture.edit("sed -i 's/^metadata:/# why\\nmetadata:/' \"$1\""), "db.yaml: edited\n");
    assert!(fixture.read().contains("# why\nmetadata:"));
}

#[test]
fn an_item_is_copied_to_several_keys_and_moved_between_objects_of_the_same_place() {
    let fixture = Fixture::new();
    let told = fixture.edit("sed -i 's/^    user: .*/    login: <sealed 2>\\n    name: <sealed 2>\\n    user: <sealed 2>/' \"$1\"");
    let added = |key: &str| told.lines().any(|line| line.ends_with(&format!(": {key} added to shop/db")));
    assert!(added("login") && added("name") && told.lines().count() == 2, "{told}");
    let line = |key: &str| {
        let text = fixture.read();
        text.lines().find_map(|line| line.strip_prefix(&format!("    {key}: "))).unwrap().to_owned()
    };
    assert!(
        line("login") == line("user") && line("name") == line("user"),
        "ciphertext and receipt are copied"
    );
    assert!(line("user").contains("  # kubeseal: "), "{}", line("user"));
    // A second object of the same place, and one of another.
    let one = fixture.read();
    let items = one.find("  encryptedData:").unwrap();
    let empty = format!("{}  encryptedData: {{}}\n", &one[..items]);
    fixture.workspace.write("db.yaml", &format!("{one}{empty}{}", empty.replace("name: db", "name: web")));
    let moved = "sed -i -e '/^    login: /d' -e '0,/encryptedData: {}/s//encryptedData:\\n    moved: <sealed 2>/' \"$1\"";
    fixture.edit(moved);
    let text = fixture.read();
    let documents: Vec<&str> = text.split("---\n").collect();
    assert!(!documents[1].contains("    login: ") && documents[2].contains("    moved: AQ"), "{text}");
    fixture.workspace.write("second.yaml", documents[2]);
    assert!(fixture.workspace.opened("second.yaml").contains("\"moved\": \"YXBw\""), "{text}");
    let other = "sed -i '$s/encryptedData: {}/encryptedData:\\n    moved: <sealed 1>/' \"$1\"";
    fixture.refused(other, 1, "moved: <sealed 1> decrypts in shop/db only; type the value anew");
}

#[test]
fn a_ciphertext_that_is_pasted_is_kept_and_not_sealed_again() {
    let fixture = Fixture::new();
    let raw = "--raw -n shop --name db --cert cert.pem";
    let pasted = fixture.workspace.run_with(raw, b"pasted").stdout;
    let pasted = pasted.trim_end();
    let told = fixture
        .edit(&format!("sed -i 's|<sealed 1>|{pasted}|; s|^    user: .*|&\\n    zeta: {pasted}|' \"$1\""));
    let text = fixture.read();
    for key in ["password", "zeta"] {
        // It may be of another place, so that it gets no receipt.
        assert!(text.contains(&format!("\n    {key}: {pasted}\n")), "{text}");
        let line = format!(": {key} {} shop/db", if key == "zeta" { "added to" } else { "replaced in" });
        assert!(told.lines().any(|told| told.ends_with(&line)), "{told}");
    }
    let opened = fixture.workspace.opened("db.yaml");
    assert!(
        opened.contains("\"password\": \"cGFzdGVk\"") && opened.contains("\"zeta\": \"cGFzdGVk\""),
        "{opened}"
    );
}

#[test]
fn without_a_variable_the_editor_is_vi_and_a_variable_is_no_line_of_a_shell() {
    let fixture = Fixture::new();
    fixture.workspace.write("bin/vi", "#!/bin/sh\nsed -i 's/<sealed 1>/new/' \"$1\"\n");
    let vi = fixture.workspace.file("bin/vi");
    fs::set_permissions(&vi, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", fixture.workspace.file("bin").display());
    let run = |name: &str, editor: &str| {
        let mut command = fixture.command("", &["db.yaml"]);
        command.env("PATH", &path).env_remove("KUBE_EDITOR").env_remove("VISUAL");
        if !name.is_empty() {
            command.env(name, editor);
        }
        let output = command.output().unwrap();
        fixture.expect_nothing_left();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, told) = run("", "");
    assert!(code == Some(0) && told.contains(": password replaced in shop/db"), "{told}");
    let before = fixture.read();
    for (editor, code) in [
        ("true; touch evil", 1),
        ("true && touch evil", 0),
        ("true $(touch evil)", 0),
        ("true `touch evil`", 0),
        ("false | touch evil", 1),
    ] {
        for name in ["KUBE_EDITOR", "VISUAL", "EDITOR"] {
            let ran = run(name, editor);
            assert_eq!(ran.0, Some(code), "{name}={editor}: {}", ran.1);
            assert!(!fixture.workspace.file("evil").exists(), "{name}={editor}");
        }
    }
    assert_eq!(fixture.read(), before);
}

#[test]
fn a_text_that_is_saved_as_it_was_is_not_written() {
    let fixture = Fixture::new();
    let file = fixture.workspace.file("db.yaml");
    let inode = fs::metadata(&file).unwrap().ino();
    let hint = "a graphical editor must be started with its wait flag, e.g. KUBE_EDITOR='code --wait'\n";
    for script in ["true", "touch \"$1\"", "sed -i '/^#~/d' \"$1\""] {
        assert_eq!(fixture.edit(script), format!("db.yaml: no changes\n{hint}"), "{script}");
    }
    assert_eq!(fixture.edit("sleep 1.2"), "db.yaml: no changes\n");
    assert_eq!(fs::metadata(&file).unwrap().ino(), inode);
}

#[test]
fn json_windows_line_breaks_and_a_missing_final_line_break_stay() {
    let fixture = Fixture::new();
    let yaml = fixture.read();
    fixture.workspace.done(&CREATE.replace("db.yaml", "db.json"), "");
    for (name, text) in [
        ("db.json", fixture.workspace.read("db.json")),
        ("crlf.yaml", yaml.replace('\n', "\r\n")),
        ("open.yaml", yaml.trim_end().to_owned()),
        ("bom.yaml", format!("\u{feff}{yaml}")),
        ("own.yaml", format!("#~ own\n{yaml}")),
    ] {
        fixture.workspace.write(name, &text);
        // Editors end a file with a line break.
        let ran =
            fixture.edit_with("sed -i -e 's/<sealed 2>/new/' -e '$a\\' \"$1\"", &[name, "--no-receipt"]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let (before, after) = (text, fixture.workspace.read(name));
        let [line] = differences(&before, &after)[..] else { panic!("{name}: one line differs: {after}") };
        assert!(before.lines().nth(line - 1).unwrap().contains("user"), "{after}");
        let end = |text: &str| text.chars().rev().take_while(|last| last.is_whitespace()).collect::<String>();
        assert_eq!(end(&after), end(&before), "{name}");
        assert_eq!(after.starts_with('\u{feff}'), before.starts_with('\u{feff}'));
        assert!(fixture.workspace.opened(name).contains("\"user\": \"bmV3\""), "{name}");
    }
}

#[test]
fn a_text_that_cannot_be_saved_is_refused_by_line_and_the_file_stays() {
    let fixture = Fixture::new();
    let line = |with: &str| format!("sed -i 's/^    user: .*/{with}/' \"$1\"");
    let number = 3 + fixture.read().lines().position(|line| line.starts_with("    user:")).unwrap() + 1;
    for (with, reason) in [
        ("user: [a", "not valid YAML or JSON"),
        ("user: a: b", "not valid YAML or JSON"),
        ("password: a", "duplicate key \"password\""),
        ("hunter 2: a", "an invalid KEY: "),
        ("user: yes", "user: this unquoted value is not a string in YAML 1.1 (kubectl); quote it"),
        ("user: 012", "quote it"),
        ("user:", "user: there is no value; write '' for an empty one"),
        ("user: [a, b]", "user: a value is a text, not a mapping or list"),
        ("user: <sealed 3>", "user: there was no <sealed 3>"),
        ("user: <sealed 0>", "user: there was no <sealed 0>"),
        ("user: my <sealed 1>", "user: <sealed …> stands for a whole value, and this value has more"),
        ("# user: <sealed 2>", "<sealed …> stands for the value of an item; it has no meaning here"),
        ("user: *x", "unknown anchor"),
        ("user: \\&x hunter2", "user is an alias, or has an anchor or tag; write it out first"),
    ] {
        let script = line(&format!("    {with}"));
        fixture.refused(&script, 1, reason);
        let ran = fixture.edit_with(&script, &["db.yaml"]);
        let place = ran.stderr.split(':').nth(2).unwrap_or_default().parse::<usize>().unwrap();
        assert!(place >= number && place <= number + 3, "{with}: {} and not {number}", ran.stderr);
    }
    fixture.refused(
        "sed -i 's/  name: db/  name: web/' \"$1\"",
        1,
        "password: <sealed 1> decrypts in shop/db only; type the value anew",
    );
    // Values at a wrong place would be written in the clear.
    let unsealed = "a SealedSecret has no such field, and its value would not be sealed";
    fixture.refused(&line("  token: hunter2"), 1, unsealed);
    fixture.refused("echo 'token: hunter2' >> \"$1\"", 1, unsealed);
    fixture.refused("sed -i 's/^  name: db/  token: hunter2\\n  name: db/' \"$1\"", 1, unsealed);
    fixture.refused("sed -i 's/^      name: db/      name: db\\n      token: hunter2/' \"$1\"", 1, unsealed);
    let list = "sed -i -e '/<sealed .>/d' -e 's/encryptedData:/encryptedData: [hunter2]/' \"$1\"";
    fixture.refused(
        list,
        1,
        "encryptedData is a mapping of keys to values; anything else would not be sealed",
    );
    fixture.refused("sed -i 's/encryptedData:/encrypted:/; s/<sealed .>/hunter2/' \"$1\"", 1, unsealed);
    let other = "spec.encryptedData is for objects of kind SealedSecret";
    fixture.refused("sed -i 's/kind: SealedSecret/kind: Sealed/; s/<sealed .>/hunter2/' \"$1\"", 1, other);
    let secret = "printf -- '---\\nkind: Secret\\nstringData: {a: hunter2}\\n' >> \"$1\"";
    fixture.refused(secret, 1, "a Secret that is not sealed; write its values below encryptedData");
    fixture.refused("echo 'kind: ConfigMap' > \"$1\"", 1, "no SealedSecret in this file");
    fixture.refused("printf '\\377' > \"$1\"", 1, "not UTF-8 text");
    fixture.refused("rm \"$1\"", 1, "no such file or directory");
}

#[test]
fn a_name_that_changes_together_with_all_values_is_sealed_for_the_new_place() {
    let fixture = Fixture::new();
    let told =
        fixture.edit("sed -i 's/  name: db/  name: web/; s/<sealed 1>/one/; s/<sealed 2>/two/' \"$1\"");
    assert!(
        told.contains(": password added to shop/web (strict), key ")
            && told.contains(": user removed from shop/db"),
        "{told}"
    );
    let opened = fixture.workspace.opened("db.yaml");
    assert!(opened.contains("\"password\": \"b25l\"") && opened.contains("\"name\": \"web\""), "{opened}");
}

#[test]
fn a_template_keeps_its_expressions_and_none_is_sealed() {
    let fixture = Fixture::new();
    let text = fixture
        .read()
        .replace("  name: db\n", "  name: {{ .Release.Name }}\n")
        .replace("    user:", "    {{- if .x }}\n    other: {{ .y }}\n    {{- end }}\n    user:");
    fixture.workspace.write("db.yaml", &text);
    fixture.refused(
        "sed -i 's/<sealed 1>/hunter2/' \"$1\"",
        2,
        "a template fills in the name; set it with --name",
    );
    let ran = fixture.edit_with("sed -i 's/<sealed 1>/new/' \"$1\"", &["db.yaml", "--name", "db"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(differences(&text, &fixture.read()).len(), 1);
    fixture.refused(
        "sed -i 's/<sealed 1>/{{ hunter2 }}/' \"$1\"",
        1,
        "cannot be sealed: the rendered value is unknown; use `kubeseal set` for such a value",
    );
}

#[test]
fn an_editor_that_fails_changes_nothing() {
    let fixture = Fixture::new();
    let change = "sed -i 's/<sealed 1>/hunter2/' \"$1\"\n";
    fixture.refused(
        &format!("{change}exit 3"),
        1,
        "db.yaml: the editor sh: exit status: 3; nothing was written",
    );
    fixture.refused(&format!("{change}kill -TERM $$"), 1, "db.yaml: the editor sh: signal: 15");
    fixture.refused(
        &format!("{change}kill -INT $$"),
        130,
        "db.yaml: the editor was interrupted; nothing was written",
    );
    for (editor, message) in [
        (
            "no-such-editor -x",
            "the editor no-such-editor: no such file or directory; name another one in KUBE_EDITOR",
        ),
        ("'", "$KUBE_EDITOR: the quotes in this command do not match: '"),
    ] {
        let output = fixture.command("", &["db.yaml"]).env("KUBE_EDITOR", editor).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(1) && told.contains(message), "{told}");
        fixture.expect_nothing_left();
    }
    // An empty variable does not count.
    let output = fixture.command("", &["db.yaml"]).env("KUBE_EDITOR", " ").output().unwrap();
    assert!(String::from_utf8(output.stderr).unwrap().contains("the editor false: exit status: 1"));
}

#[test]
fn a_file_that_cannot_be_edited_is_refused_before_the_editor_starts() {
    let fixture = Fixture::new();
    for (name, text, code, message) in [
        ("secret.yaml", SECRET, 1, "secret.yaml:1: a Secret that is not sealed"),
        ("other.yaml", "kind: ConfigMap\n", 1, "other.yaml: no SealedSecret in this file"),
        ("broken.yaml", "kind: [\n", 1, "broken.yaml:"),
        ("twice.yaml", "kind: SealedSecret\nkind: SealedSecret\n", 1, "twice.yaml:2: duplicate key \"kind\""),
        ("old.yaml", "kind: SealedSecret\nspec: {data: AgX}\n", 1, "old.yaml:2: spec.data is the old form"),
        ("number.yaml", "kind: SealedSecret\nspec: {encryptedData: {a: 5}}\n", 1, "number.yaml:2: "),
    ] {
        fixture.workspace.write(name, text);
        let ran = fixture.edit_with("touch started", &[name]);
        assert_eq!(ran.code, Some(code), "{}", ran.stderr);
        assert!(ran.stderr.contains(message), "{}", ran.stderr);
    }
    for (words, code, message) in [
        (&["none.yaml"][..], 1, "none.yaml: no such file or directory"),
        (&["."], 1, ".: is a folder; name a file"),
        (&["-"], 2, "FILE is the file that is edited"),
        (&["db.yaml", "hunter2"], 2, "there is an argument too many, which is not shown"),
        (&["db.yaml", "--for", "prod"], 2, "--for names a cluster"),
        (&["db.yaml", "--cert", "none.pem"], 1, "none.pem"),
    ] {
        let mut command = Command::new(PROGRAM);
        command
            .current_dir(fixture.workspace.path())
            .env_clear()
            .env("KUBE_EDITOR", "touch started")
            .arg("edit");
        let output = command.args(words).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{words:?}: {told}");
        assert!(told.contains(message) && !told.contains("hunter2"), "{words:?}: {told}");
    }
    assert!(!fixture.workspace.file("started").exists());
}

#[test]
fn a_change_that_somebody_else_makes_meanwhile_is_kept() {
    let fixture = Fixture::new();
    let other = format!(
        "printf other | {PROGRAM} set db.yaml user --cert cert.pem\nprintf x | {PROGRAM} set db.yaml token --cert cert.pem\nsed -i 's/^kind:/# theirs\\nkind:/' db.yaml"
    );
    let told = fixture.edit(&format!("{other}\nsed -i 's/<sealed 1>/mine/' \"$1\""));
    assert!(told.ends_with("certificate cert.pem\n"), "{told}");
    let opened = fixture.workspace.opened("db.yaml");
    for item in ["\"password\": \"bWluZQ==\"", "\"user\": \"b3RoZXI=\"", "\"token\": \"eA==\""] {
        assert!(opened.contains(item), "{opened}");
    }
    assert!(fixture.read().contains("# theirs\nkind:"));
}

#[test]
fn a_conflict_keeps_the_other_change_and_the_edited_text_is_saved_beside_it() {
    let fixture = Fixture::new();
    let other = format!("printf other | {PROGRAM} set db.yaml password --cert cert.pem");
    let ran = fixture.edit_with(&format!("{other}\nsed -i 's/<sealed 1>/mine/' \"$1\""), &["db.yaml"]);
    let message = "db.yaml: what you saved is sealed in db.yaml.edited\n\
                   error: db.yaml: the file has changed while it was edited, at the same items or lines, and stays\n";
    assert!(ran.code == Some(1) && ran.stderr.ends_with(message), "{}", ran.stderr);
    assert!(fixture.workspace.opened("db.yaml").contains("\"password\": \"b3RoZXI=\""));
    assert!(fixture.workspace.opened("db.yaml.edited").contains("\"password\": \"bWluZQ==\""));
    let ran = fixture.edit_with("rm db.yaml\nsed -i 's/<sealed 2>/mine/' \"$1\"", &["db.yaml"]);
    assert!(
        ran.code == Some(1) && ran.stderr.contains("what you saved is sealed in db.yaml.edited"),
        "{}",
        ran.stderr
    );
    assert!(fixture.workspace.opened("db.yaml.edited").contains("\"user\": \"bWluZQ==\""));
}

#[test]
fn another_folder_is_used_if_it_is_named_and_a_disk_is_warned_of() {
    let fixture = Fixture::new();
    fixture.workspace.write("own/x", "");
    let ran = fixture.edit_with(
        "dirname \"$1\" > place.txt; sed -i 's/<sealed 1>/new/' \"$1\"",
        &["db.yaml", "--tmpdir", "own"],
    );
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let is_disk = !fs::read_to_string("/proc/mounts").unwrap().lines().any(|line| {
        let mut words = line.split(' ').skip(1);
        let (folder, kind) = (words.next().unwrap(), words.next().unwrap());
        kind == "tmpfs" && folder != "/" && fixture.workspace.path().starts_with(folder)
    });
    let warning = "warning: --tmpdir own: this may be on a disk, which can keep the values that you type";
    assert_eq!(ran.stderr.contains(warning), is_disk, "{}", ran.stderr);
    assert!(fixture.workspace.read("place.txt").contains("/own/kubeseal-"));
    assert_eq!(fs::read_dir(fixture.workspace.file("own")).unwrap().count(), 1);
    let memory = fixture.memory.path().to_str().unwrap();
    let ran = fixture.edit_with("sed -i 's/<sealed 1>/newer/' \"$1\"", &["db.yaml", "--tmpdir", memory]);
    assert!(ran.code == Some(0) && !ran.stderr.contains("warning"), "{}", ran.stderr);
}

/// A terminal on which `db.yaml` is edited with a script.
fn terminal(fixture: &Fixture, script: &str) -> Terminal {
    fixture.workspace.write("the editor.sh", script);
    let memory = fixture.memory.path().display();
    let line = format!(
        "XDG_RUNTIME_DIR={memory} KUBE_EDITOR=\"sh 'the editor.sh'\" {PROGRAM} edit db.yaml --cert cert.pem"
    );
    Terminal::shell(&fixture.workspace, &line)
}

/// Leaves a bad text at first, and mends it when it is asked again.
const MENDED: &str = "grep 'user: yes' \"$1\" && sed -i \"s/user: yes/user: 'yes'/\" \"$1\" || sed -i 's/<sealed 2>/yes/' \"$1\"";

#[test]
fn on_a_terminal_a_bad_text_is_opened_again_after_enter() {
    let fixture = Fixture::new();
    let mut terminal = terminal(&fixture, MENDED);
    terminal.wait_for("quote it");
    terminal.wait_for("press Enter to edit this text again, or Ctrl-C to give up");
    terminal.enter(b"\r");
    assert!(terminal.end(0).contains(": user replaced in shop/db (strict), key "));
    assert!(fixture.workspace.opened("db.yaml").contains("\"user\": \"eWVz\""));
    fixture.expect_nothing_left();
}

#[test]
fn sigint_and_the_end_of_stdin_instead_of_enter_give_up() {
    for (keys, code) in [(&b"\x03"[..], 130), (b"\x04", 1)] {
        let fixture = Fixture::new();
        let before = fixture.read();
        let mut terminal = terminal(&fixture, MENDED);
        terminal.wait_for("or Ctrl-C to give up");
        terminal.enter(keys);
        terminal.end(code);
        fixture.expect_nothing_left();
        assert_eq!(fixture.read(), before);
    }
}

#[test]
fn sigint_is_left_to_the_editor_while_it_runs() {
    let fixture = Fixture::new();
    let script =
        "trap 'echo caught' INT\necho started\nread line\nread line\nsed -i 's/<sealed 2>/new/' \"$1\"\n";
    let mut terminal = terminal(&fixture, script);
    terminal.wait_for("started");
    terminal.enter(b"\x03");
    terminal.wait_for("caught");
    terminal.enter(b"x\rx\r");
    assert!(terminal.end(0).contains(": user replaced in shop/db"));
    fixture.expect_nothing_left();
    let fixture = Fixture::new();
    let mut terminal = self::terminal(&fixture, "echo started\nsleep 60");
    terminal.wait_for("started");
    terminal.enter(b"\x03");
    terminal.end(130);
    fixture.expect_nothing_left();
}

fn ended(child: &mut Child) -> Option<i32> {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_mins(1) {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the program does not end");
}

/// Waits until the file has content.
fn wait_for_file(file: &Path) {
    let begun = Instant::now();
    while fs::read_to_string(file).unwrap_or_default().is_empty() {
        assert!(begun.elapsed() < Duration::from_mins(1), "{} does not appear", file.display());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn sigterm_ends_the_editor_and_leaves_nothing() {
    let fixture = Fixture::new();
    let before = fixture.read();
    // The second editor does not end at SIGTERM.
    for script in [
        "sed -i 's/<sealed 1>/hunter2/' \"$1\"\necho $$ > started\nexec sleep 60",
        "trap '' TERM\nsed -i 's/<sealed 1>/hunter2/' \"$1\"\necho $$ > started\nsleep 8",
    ] {
        let mut child = fixture.command(script, &["db.yaml"]).stderr(Stdio::null()).spawn().unwrap();
        wait_for_file(&fixture.workspace.file("started"));
        assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
        assert_eq!(ended(&mut child), Some(143));
        if script.contains("exec") {
            let editor = fs::read_to_string(fixture.workspace.file("started")).unwrap();
            let is_there = Path::new("/proc").join(editor.trim()).exists();
            assert!(!is_there, "the editor {editor} runs on");
        }
        fixture.expect_nothing_left();
        assert_eq!(fixture.read(), before);
        fs::remove_file(fixture.workspace.file("started")).unwrap();
    }
}
