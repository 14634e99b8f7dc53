//! Rules of fuzz/README.md for the fuzz targets.

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::process::Command;

    use sealed_secrets_tests::workspace;
    use serde_json::Value;

    /// The tests that run the bodies of the targets.
    const REPLAYING: [&str; 3] =
        ["core/tests/fuzz_corpus.rs", "controller/src/fuzzed.rs", "cli/src/fuzzed.rs"];
    const MAX_BYTES: u64 = 300 << 10;

    /// The names in a folder, without extensions.
    fn names(folder: &str) -> BTreeSet<String> {
        let entries = fs::read_dir(workspace::root().join(folder)).unwrap();
        entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn every_fuzz_target_has_a_corpus_that_a_test_runs() {
        let targets = names("fuzz/fuzz_targets");
        assert_eq!(names("fuzz/corpus"), targets);
        let tests = REPLAYING.map(|file| fs::read_to_string(workspace::root().join(file)).unwrap()).concat();
        for target in targets {
            assert!(tests.contains(&format!("replay(\"{target}\", ")), "{target}");
        }
    }

    #[test]
    fn every_corpus_is_small_enough_for_a_test_of_seconds() {
        for target in names("fuzz/fuzz_targets") {
            let file = workspace::root().join("fuzz/corpus").join(&target).with_extension("txt");
            let bytes = file.metadata().unwrap().len();
            assert!(bytes <= MAX_BYTES, "{target}: {bytes} bytes");
        }
    }

    /// The dependencies of a package, without those of its tests.
    fn dependencies(folder: &str) -> BTreeSet<String> {
        let arguments = ["metadata", "--no-deps", "--format-version", "1", "--offline"];
        let folder = workspace::root().join(folder);
        let manifest = folder.join("Cargo.toml");
        let output = Command::new(env!("CARGO")).args(arguments).current_dir(folder).output().unwrap();
        let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
        let mut packages = metadata["packages"].as_array().unwrap().iter();
        let package =
            packages.find(|package| package["manifest_path"] == manifest.to_str().unwrap()).unwrap();
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        let shipped = dependencies.filter(|dependency| dependency["kind"] != "dev");
        shipped.map(|dependency| dependency["name"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn kubeseal_finds_its_dependencies_where_it_is_fuzzed() {
        let (of_kubeseal, of_targets) = (dependencies("cli"), dependencies("fuzz"));
        let missing: Vec<_> = of_kubeseal.difference(&of_targets).collect();
        assert!(missing.is_empty(), "fuzz/Cargo.toml lacks {missing:?}");
    }
}
