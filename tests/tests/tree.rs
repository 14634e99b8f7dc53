//! The direction of dependencies, and who writes what, as ARCHITECTURE.md says it.

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    use sealed_secrets_tests::workspace;
    use serde_json::Value;

    /// Which packages of this workspace each one may use outside of its own tests.
    const DIRECTION: [(&str, &[&str]); 6] = [
        ("sealed-secrets-crds", &[]),
        ("sealed-secrets-core", &["sealed-secrets-crds"]),
        ("sealed-secrets-controller", &["sealed-secrets-core", "sealed-secrets-crds"]),
        ("kubeseal", &["sealed-secrets-core", "sealed-secrets-crds"]),
        ("sealed-secrets-tests", &[]),
        ("xtask", &["sealed-secrets-core", "sealed-secrets-crds", "sealed-secrets-tests"]),
    ];

    /// What could reach files, network, time or the environment from the package that decides without them.
    const NEVER_IN_CORE: [&str; 6] = ["kube", "tokio", "hyper", "tempfile", "tracing", "futures"];

    /// Who writes in the cluster, and what.
    const WRITERS: [(&str, &str); 8] = [
        ("event.rs", "events"),
        ("home.rs", "a question that is posted: whose account this is"),
        ("keystore/change.rs", "key Secrets that are there"),
        ("keystore/make.rs", "new key Secrets"),
        ("policy/mod.rs", "the status of SealingKeyPolicies"),
        ("sealed_secret/apply.rs", "Secrets of SealedSecrets"),
        ("sealed_secret/status.rs", "the status of SealedSecrets"),
        ("sealing_keys/mod.rs", "SealingKeys"),
    ];
    /// The client library writes nothing without one of these.
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

    /// The sources below a folder, without their tests, by their path below `root`.
    fn sources(root: &Path, folder: &Path, found: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(root, &path, found);
            } else if !path.ends_with("tests.rs") {
                let text = fs::read_to_string(&path).unwrap();
                let shipped = text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned();
                found.insert(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), shipped);
            }
        }
    }

    #[test]
    fn each_kind_has_one_writer() {
        let root = workspace::root().join("controller/src");
        let mut all = BTreeMap::new();
        sources(&root, &root, &mut all);
        let writes = |text: &&String| PARAMETERS_OF_WRITES.iter().any(|parameters| text.contains(parameters));
        let found: Vec<_> =
            all.iter().filter(|(_, text)| writes(text)).map(|(file, _)| file.as_str()).collect();
        assert_eq!(found, WRITERS.map(|(file, _)| file));
    }

    /// What takes a private key of the crate `rsa`, whose operations take time that depends on the key.
    const PRIVATE_SIDE_OF_RSA: [&str; 4] = ["RsaPrivateKey", "DecodePrivateKey", "rsa::pkcs1v15", "rsa::pss"];

    /// RUSTSEC-2023-0071 does not concern these programs as long as this holds (deny.toml).
    #[test]
    fn no_program_has_a_private_key_of_the_crate_rsa() {
        for package in ["crds", "core", "controller", "cli", "xtask"] {
            let (mut found, root) = (BTreeMap::new(), workspace::root().join(package).join("src"));
            sources(&root, &root, &mut found);
            for (path, source) in found {
                let used = PRIVATE_SIDE_OF_RSA.iter().find(|name| source.contains(**name));
                assert_eq!(used, None, "{package}/src/{path}");
            }
        }
    }

    #[test]
    fn the_core_cannot_reach_the_world() {
        let used = &dependencies()["sealed-secrets-core"];
        let forbidden: Vec<_> = NEVER_IN_CORE.into_iter().filter(|name| used.contains(*name)).collect();
        assert!(forbidden.is_empty(), "sealed-secrets-core must not use {forbidden:?}");
    }
}
