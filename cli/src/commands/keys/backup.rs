//! `keys backup` writes all private keys to a file that only its owner can read.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use jiff::Timestamp;
use kube::ResourceExt as _;
use sealed_secrets_core::manifest::secret_list_text;
use sealed_secrets_crds::names::DEFAULT_KEY_PREFIX;
use tempfile::NamedTempFile;
use zeroize::Zeroizing;

use super::stored::{key_secrets, label, portable, usable_key};
use crate::error::{Error, KeysError};
use crate::io;
use crate::options::ClusterOptions;
use crate::session::Session;

/// Write all private keys to a file that only you can read
#[derive(Debug, Args)]
#[command(
    long_about = "Write all sealing keys of the cluster, private keys included and whatever their phase, to a new file with mode\n\
                  0600: a List of Secrets that `kubeseal keys restore` and `kubectl apply -f` put back, and that\n\
                  --recovery-private-key reads. Nothing is printed. Anybody who has the file can read everything that is sealed for\n\
                  this cluster: encrypt it, and keep it away from the cluster and from Git.",
    after_help = "Example:\n  kubeseal keys backup -o sealing-keys.yaml"
)]
pub(crate) struct Backup {
    /// The file to create
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
    /// Prefix of the names of key Secrets: the controller's --key-prefix
    #[arg(long, value_name = "PREFIX", default_value = DEFAULT_KEY_PREFIX)]
    key_prefix: String,
    #[command(flatten)]
    cluster: ClusterOptions,
}

impl Backup {
    /// Writes the private keys of the cluster to the file.
    ///
    /// # Errors
    /// When the file is not suitable for private keys, or the keys cannot be read; then nothing is written.
    pub(super) fn run(&self) -> Result<(), Error> {
        let file = NewFile::prepare(&self.output, self.force)?;
        let session = Session::new(&self.cluster);
        let api = session.api()?;
        let secrets = key_secrets(api, &self.key_prefix)?;
        if secrets.is_empty() {
            return Err(KeysError::NoKeys(api.namespace.clone()).into());
        }
        let lines: Vec<String> = secrets.iter().map(line).collect();
        let secrets: Vec<_> = secrets.into_iter().map(|secret| portable(secret, &api.namespace)).collect();
        let head = format!(
            "# {} private sealing keys of namespace {}, {:.0}. Anybody who has them can read everything sealed for that cluster.\n",
            secrets.len(),
            api.namespace,
            Timestamp::now()
        );
        file.write(&[head.as_bytes(), Zeroizing::new(secret_list_text(&secrets)).as_bytes()])?;
        for line in &lines {
            io::log(line);
        }
        io::log(&format!(
            "{} sealing keys written to {} (mode 0600). Anybody who has the file can read everything \
             sealed for this cluster. Encrypt it, and keep it away from the cluster and from Git.",
            lines.len(),
            self.output.display()
        ));
        Ok(())
    }
}

fn line(secret: &k8s_openapi::api::core::v1::Secret) -> String {
    match usable_key(secret) {
        Ok(key) => format!("  {}  {}  {}", secret.name_any(), label(secret), key.fingerprint()),
        Err(problem) => format!("  {}  {}  warning: {problem}", secret.name_any(), label(secret)),
    }
}

/// An output file that does not exist yet or may be replaced.
struct NewFile<'a> {
    path: &'a Path,
    replace: bool,
}

impl<'a> NewFile<'a> {
    /// Checks that the path may be written.
    ///
    /// # Errors
    /// When the path is not a plain file, or a file that must not be replaced.
    fn prepare(path: &'a Path, replace: bool) -> Result<Self, KeysError> {
        let name = || path.display().to_string();
        if path == Path::new("-") || path.file_name().is_none() {
            return Err(KeysError::NotAFile(name()));
        }
        // Links are not followed; /dev/stdout is a link.
        match fs::symlink_metadata(path) {
            Ok(metadata) if !metadata.is_file() => Err(KeysError::NotAFile(name())),
            Ok(_) if !replace => Err(KeysError::Exists(name())),
            _ => Ok(Self { path, replace }),
        }
    }

    /// Writes the file atomically, with mode 0600.
    fn write(&self, parts: &[&[u8]]) -> Result<(), Error> {
        let path = || self.path.display().to_string();
        let failed = |operation| move |cause| Error::File { operation, path: path(), cause };
        let folder =
            self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Such files are created with mode 0600.
        let mut new = NamedTempFile::with_prefix_in(".kubeseal-", folder).map_err(failed("open"))?;
        for part in parts {
            new.write_all(part).map_err(failed("write"))?;
        }
        new.as_file().sync_all().map_err(failed("write"))?;
        let persisted = if self.replace { new.persist(self.path) } else { new.persist_noclobber(self.path) };
        persisted.map(drop).map_err(|error| failed("create")(error.error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_file_is_accepted_and_one_that_exists_only_by_force() {
        let folder = tempfile::tempdir().unwrap();
        let present = folder.path().join("present");
        fs::write(&present, "precious").unwrap();
        let refused = |path: &Path, force| NewFile::prepare(path, force).err().map(|error| error.to_string());
        assert!(refused(&present, false).unwrap().contains("--force"));
        assert_eq!(refused(&present, true), None);
        assert_eq!(refused(&folder.path().join("new"), false), None);
        for path in [Path::new("-"), folder.path(), Path::new("/")] {
            assert!(refused(path, true).unwrap().contains("never to a terminal"), "{}", path.display());
        }
    }

    #[test]
    #[cfg(unix)]
    fn terminals_pipes_and_links_are_refused_even_by_force() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        fs::write(folder.path().join("target"), "").unwrap();
        std::os::unix::fs::symlink(folder.path().join("target"), &link).unwrap();
        for path in [
            Path::new("/dev/stdout"),
            Path::new("/dev/null"),
            Path::new("/dev/tty"),
            Path::new("/dev/fd/1"),
            &link,
        ] {
            let refused = NewFile::prepare(path, true).err().map(|error| error.to_string());
            assert!(refused.is_some_and(|text| text.contains("is not a plain file")), "{}", path.display());
        }
    }

    #[test]
    #[cfg(unix)]
    fn the_file_is_its_owners_alone_also_when_it_replaces_another() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.yaml");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        NewFile::prepare(&path, true).unwrap().write(&[b"a", b"b"]).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"ab");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_appears_meanwhile_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.yaml");
        let new = NewFile::prepare(&path, false).unwrap();
        fs::write(&path, "somebody's").unwrap();
        assert!(new.write(&[b"x"]).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"somebody's");
    }
}
