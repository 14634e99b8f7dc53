//! The files of `deploy/gitops`, used as users do: with kubectl, git and kubeseal. (`gitops_judges` tests the health checks.)

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sealed_secrets_tests::programs::ControlPlanePrograms;
use sealed_secrets_tests::sources::files_below;
use sealed_secrets_tests::{Edition, Kubeseal, shipped_manifests, workspace};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::secret;

const CERTIFICATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../core/tests/data/rsa2048.crt");

fn recipes() -> PathBuf {
    workspace::root().join("deploy/gitops")
}

fn documents(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap();
    serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

#[test]
fn every_file_but_helms_templates_is_yaml() {
    let mut files = files_below(&recipes(), "yaml").unwrap();
    files.retain(|file| file.iter().all(|part| part != "templates"));
    assert!(files.len() >= 8, "{files:?}");
    for file in files {
        assert!(documents(&file).iter().all(Value::is_object), "{}", file.display());
    }
}

/// The path or URL of our manifests in an object of a GitOps tool.
fn installs(object: &Value) -> Option<&str> {
    let path = object.pointer("/spec/source/path").or_else(|| object.pointer("/spec/path"))?;
    path.as_str().filter(|path| path.contains("deploy/"))
}

#[test]
fn the_resources_that_the_tools_install_and_wait_for_exist() {
    let shipped = shipped_manifests().unwrap();
    let identity = |object: &Value, place: &str| {
        let text = |field: &str| object.pointer(&format!("{place}{field}")).cloned();
        (object["kind"].clone(), text("/name"), text("/namespace"))
    };
    let shipped: Vec<_> = shipped.iter().map(|object| identity(object, "/metadata")).collect();
    for file in ["argo-cd/application.yaml", "flux/sealed-secrets.yaml"] {
        let objects = documents(&recipes().join(file));
        let paths: Vec<_> = objects.iter().filter_map(installs).collect();
        assert_eq!(paths.len(), 1, "{file}");
        assert!(workspace::root().join(paths[0]).join("kustomization.yaml").is_file(), "{file}");
        for awaited in objects.iter().filter_map(|object| object.pointer("/spec/healthChecks")?.as_array()) {
            assert!(awaited.iter().all(|object| shipped.contains(&identity(object, ""))), "{awaited:?}");
        }
    }
}

#[test]
fn nothing_that_holds_the_crd_is_pruned() {
    let argo = documents(&recipes().join("argo-cd/application.yaml"));
    let flux = documents(&recipes().join("flux/sealed-secrets.yaml"));
    let installing = argo.iter().chain(&flux).filter(|object| installs(object).is_some());
    for object in installing {
        let prune =
            object.pointer("/spec/prune").or_else(|| object.pointer("/spec/syncPolicy/automated/prune"));
        assert_eq!(prune, Some(&Value::Bool(false)), "{object}");
    }
}

fn kustomize(folder: &Path) -> String {
    let kubectl = ControlPlanePrograms::prepare().unwrap().kubectl;
    let output = Command::new(kubectl).arg("kustomize").arg(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Copies a folder of recipes, as users do first.
fn copy(name: &str, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(recipes().join(name)).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

/// The annotations of the application's Pods for this sealed password.
fn pods_with(folder: &Path, password: &str) -> String {
    fs::write(folder.join("plain/database.env"), format!("password={password}\n")).unwrap();
    let plain = kustomize(&folder.join("plain"));
    let sealed = folder.join("app/sealed-database.yaml");
    let arguments = ["--cert", CERTIFICATE, "-w", sealed.to_str().unwrap()];
    Kubeseal::of(Edition::Ours).unwrap().run(&arguments, &plain).unwrap().ok().unwrap();
    let objects: Vec<Value> = serde_saphyr::from_multiple(&kustomize(&folder.join("app"))).unwrap();
    let of_kind = |kind: &str| objects.iter().find(|object| object["kind"] == kind).unwrap();
    let sealed = of_kind("SealedSecret");
    let used = "/spec/template/spec/containers/0/envFrom/0/secretRef/name";
    assert_eq!(Some(&sealed["metadata"]["name"]), of_kind("Deployment").pointer(used));
    assert_eq!(sealed["metadata"]["namespace"], "shop");
    let annotation = of_kind("Deployment")["spec"]["template"]["metadata"]["annotations"]["sealed"].clone();
    assert_eq!(annotation, of_kind("ConfigMap")["metadata"]["name"]);
    annotation.as_str().unwrap().to_owned()
}

#[test]
fn kustomize_makes_secrets_to_seal_and_pods_that_start_anew_when_a_sealed_value_changes() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["plain", "app"] {
        copy(&format!("kustomize/{name}"), &folder.path().join(name));
    }
    let first = pods_with(folder.path(), "one");
    assert!(first.starts_with("sealed-database-"), "{first}");
    let again = serde_saphyr::from_multiple::<Value>(&kustomize(&folder.path().join("app"))).unwrap();
    assert!(again.iter().any(|object| object["metadata"]["name"] == first.as_str()), "{again:?}");
    assert_ne!(pods_with(folder.path(), "two"), first);
    let ignored = fs::read_to_string(folder.path().join("plain/.gitignore")).unwrap();
    assert!(ignored.lines().any(|line| line == "*.env"), "plain values stay out of Git");
}

/// A repository with the hook installed.
struct Repository(TempDir);

impl Repository {
    fn new() -> Self {
        let repository = Self(tempfile::tempdir().unwrap());
        assert!(repository.git(&["init", "--quiet"]).status.success());
        fs::copy(hook(), repository.0.path().join(".git/hooks/pre-commit")).unwrap();
        repository
    }

    fn git(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("git");
        command.current_dir(&self.0).args(["-c", "user.name=t", "-c", "user.email=t@example.com"]);
        command.args(arguments).env("GIT_CONFIG_GLOBAL", "/dev/null").env("PATH", path()).output().unwrap()
    }

    /// Checks all files, or those that are named.
    fn lint(&self, files: &[&str]) -> Output {
        let mut command = Command::new(workspace::built_program("kubeseal").unwrap());
        command.current_dir(&self.0).arg("lint").args(files).output().unwrap()
    }

    fn write(&self, file: &str, text: &str) {
        let file = self.0.path().join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    /// Commits all files; the error is the output of a refused commit.
    fn commit(&self) -> Result<(), String> {
        assert!(self.git(&["add", "--all"]).status.success());
        let committed = self.git(&["commit", "--quiet", "--message=x"]);
        let said = String::from_utf8_lossy(&committed.stdout) + String::from_utf8_lossy(&committed.stderr);
        if committed.status.success() { Ok(()) } else { Err(said.into_owned()) }
    }
}

fn hook() -> PathBuf {
    recipes().join("git/pre-commit")
}

/// A PATH on which the hook finds kubeseal.
fn path() -> OsString {
    let kubeseal = workspace::built_program("kubeseal").unwrap();
    let others = std::env::var_os("PATH").unwrap();
    let folders =
        std::iter::once(kubeseal.parent().unwrap().to_owned()).chain(std::env::split_paths(&others));
    std::env::join_paths(folders).unwrap()
}

/// One SealedSecret, as kubeseal writes it.
fn sealed(format: &str) -> String {
    let input = secret("shop", "db", "password", "hunter2");
    let kubeseal = Kubeseal::of(Edition::Ours).unwrap();
    kubeseal.run(&["--cert", CERTIFICATE, "-o", format], &input).unwrap().ok().unwrap()
}

/// The object in flow style, on one line.
fn in_one_line(sealed: &str) -> String {
    let (before, item) = sealed.split_once("encryptedData:\n    ").unwrap();
    let (item, after) = item.split_once('\n').unwrap();
    format!("{before}encryptedData: {{{item}}}\n{after}")
}

fn indented(document: &str) -> String {
    format!("  {}\n", document.trim_end().replace('\n', "\n  ")).replace("  ---", "---")
}

const PLAIN: &str = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\nstringData:\n  password: hunter2\n";

#[test]
fn the_hook_lets_sealed_secrets_and_other_objects_through() {
    let reference =
        "kind: Pod\nspec:\n  volumes:\n    - secret: {secretName: db}\n  data:\n    kind: Secret\n";
    let with_template = sealed("yaml")
        + "---\napiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {name: t, namespace: shop}\nspec:\n  encryptedData: {}\n  template:\n    data:\n      a: '{{ .b }}'\n";
    let ignored = format!("# no-plain-secrets: ignore\n{PLAIN}");
    let repository = Repository::new();
    for (file, text) in [
        ("sealed.yaml", sealed("yaml").as_str()),
        ("a b/sealed.json", &sealed("json")),
        ("windows.yml", &sealed("yaml").replace('\n', "\r\n")),
        (
            "quoted.yaml",
            &sealed("yaml").replace("password: A", "'password': 'A").replace("\n  template", "'\n  template"),
        ),
        ("template.yaml", &with_template),
        ("pod.yaml", reference),
        ("empty.yaml", ""),
        ("other.yaml", "kind: Vault\nspec:\n  encryptedData:\n    a: not ours\n"),
        ("definition.yaml", include_str!("../data/existing-cluster/crd.yaml")),
        ("nothing.yaml", "kind: Secret\nmetadata: {name: made-elsewhere}\n"),
        ("example.yaml", &ignored),
        ("chart.yaml", &format!("{{{{- if .Values.sealed }}}}\n{}{{{{- end }}}}\n", sealed("yaml"))),
        (
            "values.yaml",
            "{{- if .a }}\napiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {name: t, namespace: shop}\nspec:\n  encryptedData:\n    {{- range $k, $v := .b }}\n    {{ $k }}: {{ $v }}\n    {{- end }}\n{{- end }}\n",
        ),
        ("one-line.yaml", &in_one_line(&sealed("yaml"))),
        ("one-line.json", &sealed("json").replace(['\n', ' '], "")),
        ("indented.yaml", &indented(&sealed("yaml"))),
        (
            "list.yaml",
            "kind: List\nitems:\n- spec: {valuesFrom: [{kind: Secret, name: db}]}\n- kind: ConfigMap\n  data: {a: b}\n",
        ),
        ("notes.txt", PLAIN),
    ] {
        repository.write(file, text);
        assert_eq!(repository.commit(), Ok(()), "{file}");
    }
    let all = repository.lint(&[]);
    assert!(all.status.success(), "{}", String::from_utf8_lossy(&all.stdout));
}

#[test]
fn the_hook_refuses_plain_secrets_and_names_their_files() {
    let list = format!("kind: List\nitems:\n- {}", PLAIN.trim_end().replace('\n', "\n  "));
    let second = format!("{}---\n{PLAIN}", sealed("yaml"));
    let line_of_second = second.lines().position(|line| line == "kind: Secret").unwrap() + 1;
    for (file, text, line) in [
        ("plain.yaml", PLAIN, 2),
        ("plain.yml", &PLAIN.replace('\n', "\r\n"), 2),
        ("quoted.yaml", &PLAIN.replace("Secret", "\"Secret\"  # plain"), 2),
        ("data.yaml", "data: {password: aHVudGVyMg==}\nkind: Secret\n", 2),
        ("flow.yaml", "{kind: Secret, stringData: {password: hunter2}}\n", 1),
        ("in a folder/plain.json", &secret("shop", "db", "password", "hunter2"), 1),
        ("list.yaml", &list, 4),
        ("second.yaml", &second, line_of_second),
        ("chart.yaml", &format!("{{{{- if .Values.plain }}}}\n{PLAIN}{{{{- end }}}}\n"), 3),
        ("items.yaml", "kind: List\nitems: [{kind: Secret, stringData: {password: hunter2}}]\n", 2),
        ("kind.yaml", "kind: SecretList\nitems:\n- stringData:\n    password: hunter2\n", 3),
        ("indented.yaml", &indented(PLAIN), 2),
        ("mark.yaml", "\u{feff}kind: Secret\nstringData: {password: hunter2}\n", 1),
        ("brace.json", "{\"kind\": \"Secret\",\n\"stringData\":\n{\"password\": \"hunter2\"}}\n", 1),
        ("CAPITALS.YAML", PLAIN, 2),
    ] {
        let repository = Repository::new();
        repository.write(file, text);
        let refused = repository.commit().expect_err(file);
        let finding = format!("{file}:{line}: error[KS001]: a Secret that is not sealed\n");
        assert!(refused.starts_with(&finding), "{refused}");
        assert!(refused.contains("kubeseal seal -i") && !refused.contains("hunter2"), "{refused}");
        for files in [&[file][..], &[]] {
            assert_eq!(repository.lint(files).status.code(), Some(3), "{file}, {files:?}");
        }
    }
}

#[test]
fn the_hook_refuses_items_that_somebody_typed_in_plain() {
    let item = |text: &str| {
        let begin = text.find("AQ").or(text.find("\"AQ")).unwrap();
        text[begin..].split(['"', '\n', '}']).next().unwrap().to_owned()
    };
    let one_line = sealed("json").replace(['\n', ' '], "");
    for (file, good) in [
        ("db.yaml", sealed("yaml")),
        ("db.json", sealed("json")),
        ("braces.yaml", in_one_line(&sealed("yaml"))),
        ("one-line.json", one_line),
    ] {
        for typed in ["hunter2", "aHVudGVyMg==", "AQhunter2"] {
            let repository = Repository::new();
            repository.write(file, &good.replace(&item(&good), typed));
            let refused = repository.commit().expect_err(typed);
            assert!(refused.contains("KS010") && refused.contains("password"), "{refused}");
            assert!(!refused.contains(typed), "{refused}");
        }
    }
}

#[test]
fn the_hook_checks_staged_files_and_not_the_work_tree() {
    let repository = Repository::new();
    repository.write("db.yaml", PLAIN);
    assert!(repository.git(&["add", "."]).status.success());
    repository.write("db.yaml", &sealed("yaml"));
    assert!(!repository.git(&["commit", "--quiet", "--message=x"]).status.success());
}

#[test]
fn the_hook_is_found_by_the_pre_commit_framework() {
    let hooks = documents(&workspace::root().join(".pre-commit-hooks.yaml"));
    assert_eq!(hooks[0][0]["id"], "kubeseal-lint");
    assert_eq!(hooks[0][0]["entry"], "kubeseal lint");
}
