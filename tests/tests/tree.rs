//! The direction of dependencies and the writers of each kind, as in ARCHITECTURE.md.

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;
    use std::process::Command;

    use sealed_secrets_tests::{sources, workspace};
    use serde_json::Value;

    /// The packages of this workspace that each package may use outside of its own tests.
    const DIRECTION: [(&str, &[&str]); 6] = [
        ("sealed-secrets-crds", &[]),
        ("sealed-secrets-core", &["sealed-secrets-crds"]),
        ("sealed-secrets-controller", &["sealed-secrets-core", "sealed-secrets-crds"]),
        ("kubeseal", &["sealed-secrets-core", "sealed-secrets-crds"]),
        ("sealed-secrets-tests", &[]),
        ("xtask", &["sealed-secrets-core", "sealed-secrets-crds", "sealed-secrets-tests"]),
    ];

    /// Crates with access to files, network, time or the environment, which the core package must not use.
    const NEVER_IN_CORE: [&str; 6] = ["kube", "tokio", "hyper", "tempfile", "tracing", "futures"];

    /// The only sources that write to the cluster, with the kind that each writes.
    const WRITERS: [(&str, &str); 9] = [
        ("api/event.rs", "events"),
        ("installation.rs", "a question that is posted: whose account this is"),
        ("keystore/generate/generator.rs", "new key Secrets"),
        ("keystore/writer/mod.rs", "key Secrets that are there"),
        ("leadership/election.rs", "the Lease of the leader election"),
        ("policy/mod.rs", "the status of SealingKeyPolicies"),
        ("sealed_secret/secret/apply.rs", "Secrets of SealedSecrets"),
        ("sealed_secret/status/mod.rs", "the status of SealedSecrets"),
        ("sealing_keys/mod.rs", "SealingKeys"),
    ];
    /// Types of the client library, without one of which nothing can be written.
    const PARAMETERS_OF_WRITES: [&str; 3] = ["PostParams", "PatchParams", "DeleteParams"];

    /// The names of the normal and build dependencies of each package of the workspace.
    fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
        let arguments = ["metadata", "--no-deps", "--format-version", "1", "--offline"];
        let output =
            Command::new(env!("CARGO")).args(arguments).current_dir(workspace::root()).output().unwrap();
        let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
        let packages = metadata["packages"].as_array().unwrap().iter();
        packages.map(|package| (package["name"].as_str().unwrap().to_owned(), used_by(package))).collect()
    }

    fn used_by(package: &Value) -> BTreeSet<String> {
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        let shipped = dependencies.filter(|dependency| dependency["kind"] != "dev");
        shipped.map(|dependency| dependency["name"].as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn every_package_has_its_place() {
        let known: BTreeSet<_> = DIRECTION.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(dependencies().into_keys().collect::<BTreeSet<_>>(), known);
    }

    #[test]
    fn dependencies_point_one_way() {
        let dependencies = dependencies();
        for (name, allowed) in DIRECTION {
            let own: Vec<_> = dependencies[name]
                .iter()
                .filter(|used| DIRECTION.iter().any(|(own, _)| own == used))
                .collect();
            let forbidden: Vec<_> =
                own.into_iter().filter(|used| !allowed.contains(&used.as_str())).collect();
            assert!(forbidden.is_empty(), "{name} must not use {forbidden:?}");
        }
    }

    #[test]
    fn each_kind_has_one_writer() {
        let all = shipped("controller");
        let writes = |text: &&String| PARAMETERS_OF_WRITES.iter().any(|parameters| text.contains(parameters));
        let found: Vec<_> =
            all.iter().filter(|(_, text)| writes(text)).map(|(file, _)| file.as_str()).collect();
        assert_eq!(found, WRITERS.map(|(file, _)| file));
    }

    /// The sources of a package, without tests and fuzz targets, by their paths below its folder `src`.
    fn shipped(package: &str) -> BTreeMap<String, String> {
        let root = format!("{package}/src");
        let mut found = sources::sources(&root).unwrap();
        found.retain(|path, _| !["fuzzed.rs", "tests.rs"].iter().any(|name| path.ends_with(name)));
        let name = |path: &Path| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        found.iter().map(|(path, text)| (name(path), sources::shipped(text).to_owned())).collect()
    }

    /// The identifiers of a text, in its order.
    fn words(text: &str) -> impl Iterator<Item = &str> {
        text.split(|character: char| !character.is_alphanumeric() && character != '_')
    }

    #[test]
    fn flags_of_kubeseal_become_typed_options_in_one_place() {
        let may_ask = |file: &str| file == "main.rs" || file == "options.rs" || file.starts_with("flags/");
        for (file, source) in shipped("cli") {
            assert!(may_ask(&file) || words(&source).all(|word| word != "Flags"), "cli/src/{file}");
        }
    }

    /// The modules below the root of a crate that each of them imports.
    fn imports(package: &str) -> BTreeMap<String, BTreeSet<String>> {
        let mut imports = BTreeMap::<_, BTreeSet<String>>::new();
        for (file, source) in shipped(package) {
            let module = file.split(['/', '.']).next().unwrap().to_owned();
            for path in source.split("crate::").skip(1) {
                let count = if path.starts_with('{') { usize::MAX } else { 1 };
                let used = words(path.split(';').next().unwrap()).take(count).map(str::to_owned);
                imports.entry(module.clone()).or_default().extend(used.filter(|used| *used != module));
            }
            imports.entry(module).or_default();
        }
        let modules: BTreeSet<String> = imports.keys().cloned().collect();
        for used in imports.values_mut() {
            used.retain(|used| modules.contains(used));
        }
        imports
    }

    #[test]
    fn imports_of_kubeseal_go_one_way() {
        let mut left = imports("cli");
        assert!(left["session"].contains("kubeconfig") && left["commands"].len() > 5, "{left:?}");
        while let Some(lowest) = left.iter().find(|(_, used)| used.is_empty()).map(|(name, _)| name.clone()) {
            left.remove(&lowest);
            for used in left.values_mut() {
                used.remove(&lowest);
            }
        }
        assert!(left.is_empty(), "these import each other: {left:?}");
    }

    /// Names from the crate `rsa` for private keys, whose operations take time that depends on the key.
    const PRIVATE_SIDE_OF_RSA: [&str; 4] = ["RsaPrivateKey", "DecodePrivateKey", "rsa::pkcs1v15", "rsa::pss"];

    /// RUSTSEC-2023-0071 does not affect these programs as long as this holds (deny.toml).
    #[test]
    fn no_program_has_a_private_key_of_the_crate_rsa() {
        for package in ["crds", "core", "controller", "cli", "xtask"] {
            for (path, source) in shipped(package) {
                let used = PRIVATE_SIDE_OF_RSA.iter().find(|name| source.contains(**name));
                assert_eq!(used, None, "{package}/src/{path}");
            }
        }
    }

    /// `aws-lc-sys` leaves out its AVX-512 code when it is built for size, and an RSA operation takes three times as long.
    #[test]
    fn releases_build_private_key_operations_for_speed() {
        let manifest = std::fs::read_to_string(workspace::root().join("Cargo.toml")).unwrap();
        let (_, profile) = manifest.split_once("[profile.release.package.aws-lc-sys]\n").unwrap();
        assert_eq!(profile.lines().next(), Some("opt-level = 3"));
    }

    #[test]
    fn the_core_cannot_reach_the_world() {
        let used = &dependencies()["sealed-secrets-core"];
        let forbidden: Vec<_> = NEVER_IN_CORE.into_iter().filter(|name| used.contains(*name)).collect();
        assert!(forbidden.is_empty(), "sealed-secrets-core must not use {forbidden:?}");
    }
}
