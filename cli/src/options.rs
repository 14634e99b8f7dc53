//! Typed options of each command. Only this module looks up flags by name.

use std::env;
use std::path::Path;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, FromArgMatches};
use sealed_secrets_core::crypto::Fingerprint;
use sealed_secrets_core::manifest::Format;
use sealed_secrets_crds::Scope;
use secrecy::SecretString;

use crate::error::Error;
use crate::flags::{self, CommandLine, FLAGS, Flag, Flags, Group};
use crate::io;

/// A command in the flag grammar, with its options.
pub(crate) enum Command {
    Help,
    Version,
    /// The words of a subcommand, which has a grammar of its own.
    Subcommand(Vec<String>),
    Validate(ValidateOptions),
    ReEncrypt(ReEncryptOptions),
    RecoveryUnseal(RecoveryUnsealOptions),
    FetchCert(FetchCertOptions),
    MergeInto(MergeIntoOptions),
    Raw(RawOptions),
    /// The command of a line without a flag for another command.
    Seal(SealOptions),
}

/// Options of sealing Secrets. Here and below `input` is a file, or `None` for stdin.
pub(crate) struct SealOptions {
    pub(crate) input: Option<String>,
    pub(crate) output: OutputOptions,
    pub(crate) certificate: CertificateOptions,
    pub(crate) secret: SecretOptions,
}

/// Options of sealing one value.
pub(crate) struct RawOptions {
    /// A file that must exist, and is not read.
    pub(crate) input: Option<String>,
    /// `[KEY=]FILE` of the value; empty for stdin.
    pub(crate) from_files: Vec<String>,
    /// The output file; `None` for stdout.
    pub(crate) output: Option<String>,
    pub(crate) certificate: CertificateOptions,
    pub(crate) secret: SecretOptions,
}

/// Options of sealing into an existing file.
pub(crate) struct MergeIntoOptions {
    /// The file of one SealedSecret that is edited.
    pub(crate) target: String,
    pub(crate) input: Option<String>,
    pub(crate) certificate: CertificateOptions,
    pub(crate) secret: SecretOptions,
}

/// Options of validation by the controller.
pub(crate) struct ValidateOptions {
    pub(crate) input: Option<String>,
}

/// Options of re-encryption by the controller.
pub(crate) struct ReEncryptOptions {
    pub(crate) input: Option<String>,
    /// The output file; `None` for the input file, or stdout.
    pub(crate) output: Option<String>,
}

/// Options of decryption without a cluster.
pub(crate) struct RecoveryUnsealOptions {
    pub(crate) input: Option<String>,
    pub(crate) output: OutputOptions,
    /// Files of private keys.
    pub(crate) private_keys: Vec<String>,
    /// Namespace of SealedSecrets that name none.
    pub(crate) namespace: Option<String>,
}

/// Options of printing the certificate.
pub(crate) struct FetchCertOptions {
    pub(crate) certificate: CertificateOptions,
    /// The output file; `None` for stdout.
    pub(crate) output: Option<String>,
}

/// File and format of the output.
pub(crate) struct OutputOptions {
    /// `None` for stdout.
    pub(crate) file: Option<String>,
    pub(crate) format: Format,
}

/// The source of the certificate, and the key that it must belong to.
pub(crate) struct CertificateOptions {
    /// File or address; `None` for the controller.
    pub(crate) cert: Option<String>,
    /// The fingerprint of the only accepted key; `None` for any.
    pub(crate) pin: Option<Fingerprint>,
}

/// Name, namespace and scope of a Secret; `None` where no flag gives them.
pub(crate) struct SecretOptions {
    pub(crate) name: Option<String>,
    pub(crate) namespace: Option<String>,
    pub(crate) scope: Option<Scope>,
    pub(crate) allow_empty_data: bool,
}

/// The cluster and the controller in it. Each field is the flag of its name; `None` where that was not given.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClusterOptions {
    pub(crate) controller_namespace: Option<String>,
    pub(crate) controller_name: Option<String>,
    /// Unparsed: an invalid one is an error only if a request is made.
    pub(crate) request_timeout: Option<String>,
    pub(crate) kubeconfig: Option<String>,
    pub(crate) context: Option<String>,
    pub(crate) cluster: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) server: Option<String>,
    pub(crate) tls_server_name: Option<String>,
    pub(crate) certificate_authority: Option<String>,
    pub(crate) insecure_skip_tls_verify: Option<bool>,
    pub(crate) proxy_url: Option<String>,
    pub(crate) disable_compression: bool,
    pub(crate) client_certificate: Option<String>,
    pub(crate) client_key: Option<String>,
    pub(crate) token: Option<SecretString>,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<SecretString>,
    /// `--as` and its companions.
    pub(crate) impersonate: Option<String>,
    pub(crate) impersonate_uid: Option<String>,
    pub(crate) impersonate_groups: Option<Vec<String>>,
}

/// Converts a command line to a command and its cluster; flags that were not given are read from their environment variables.
/// `suggestions` is the command whose subcommands are suggested for a misspelt word.
///
/// # Errors
/// When a word is neither flag, value nor subcommand, or options contradict each other or cannot be used.
pub(crate) fn parse(
    mut line: CommandLine,
    suggestions: fn() -> clap::Command,
) -> Result<(Command, ClusterOptions), Error> {
    let is_version = line.flags.is_on("version");
    if !line.subcommand.is_empty() && !is_version {
        return Ok((Command::Subcommand(line.subcommand_words()), ClusterOptions::default()));
    }
    let is_information = is_version || line.flags.is_on("help");
    if let Some(complaint) = flags::complaint(&line, suggestions).filter(|_| !is_information) {
        return Err(Error::Argument(complaint));
    }
    fill_from_environment(&mut line.flags, |_| true);
    Ok((Command::of(&line.flags)?, ClusterOptions::of(&line.flags)))
}

fn fill_from_environment(flags: &mut Flags, wanted: impl Fn(&Flag) -> bool) {
    for ignored in flags.fill_from(wanted, |name| env::var(name).ok()) {
        io::warn(&ignored);
    }
}

impl Command {
    fn of(flags: &Flags) -> Result<Self, Error> {
        if flags.is_on("version") {
            return Ok(Self::Version);
        }
        if flags.is_on("help") {
            return Ok(Self::Help);
        }
        if flags.is_on("rotate") {
            io::log("Flag --rotate has been deprecated, please use --re-encrypt instead");
        }
        if !flags.texts("from-file").is_empty() && !flags.is_on("raw") {
            return Err(Error::FromFileWithoutRaw);
        }
        if flags.is_on_command_line("recovery-private-key") && !flags.is_on("recovery-unseal") {
            return Err(Error::KeyWithoutRecovery);
        }
        let input = owned(flags, "secret-file");
        let output = owned(flags, "sealed-secret-file");
        if flags.is_on("validate") {
            no_output_file(output, "--validate")?;
            Ok(Self::Validate(ValidateOptions { input }))
        } else if flags.is_on("re-encrypt") || flags.is_on("rotate") {
            Ok(Self::ReEncrypt(ReEncryptOptions { input, output }))
        } else if flags.is_on("recovery-unseal") {
            let private_keys = flags.texts("recovery-private-key").to_vec();
            let (output, namespace) = (OutputOptions::of(flags)?, owned(flags, "namespace"));
            Ok(Self::RecoveryUnseal(RecoveryUnsealOptions { input, output, private_keys, namespace }))
        } else if flags.is_on("fetch-cert") {
            let certificate = CertificateOptions::of(flags)?;
            Ok(Self::FetchCert(FetchCertOptions { certificate, output }))
        } else {
            Self::of_sealing(flags, input, output)
        }
    }

    fn of_sealing(flags: &Flags, input: Option<String>, output: Option<String>) -> Result<Self, Error> {
        let secret = SecretOptions::of(flags)?;
        if let Some(target) = owned(flags, "merge-into") {
            no_output_file(output, "--merge-into")?;
            // The target keeps its own format.
            OutputOptions::of(flags)?;
            let certificate = CertificateOptions::of(flags)?;
            return Ok(Self::MergeInto(MergeIntoOptions { target, input, certificate, secret }));
        }
        if flags.is_on("raw") {
            let from_files = flags.texts("from-file").to_vec();
            let certificate = CertificateOptions::of(flags)?;
            return Ok(Self::Raw(RawOptions { input, from_files, output, certificate, secret }));
        }
        let (output, certificate) = (OutputOptions::of(flags)?, CertificateOptions::of(flags)?);
        Ok(Self::Seal(SealOptions { input, output, certificate, secret }))
    }
}

fn owned(flags: &Flags, name: &str) -> Option<String> {
    flags.text(name).map(str::to_owned)
}

fn no_output_file(output: Option<String>, flag: &'static str) -> Result<(), Error> {
    output.map_or(Ok(()), |_| Err(Error::NoOutputFile(flag)))
}

impl OutputOptions {
    /// The format is YAML if the output file has that extension, else that of `-o`.
    fn of(flags: &Flags) -> Result<Self, Error> {
        let file = owned(flags, "sealed-secret-file");
        let extension = file.as_deref().and_then(|path| Path::new(path).extension()?.to_str());
        let format = match extension {
            Some("yaml" | "yml") => Format::Yaml,
            _ => flags.text("format").unwrap_or_default().parse()?,
        };
        Ok(Self { file, format })
    }
}

impl CertificateOptions {
    fn of(flags: &Flags) -> Result<Self, Error> {
        Ok(Self { cert: owned(flags, "cert"), pin: pin(flags.text("cert-fingerprint"))? })
    }
}

/// Parses `--cert-fingerprint`; an empty text is `None`.
///
/// # Errors
/// When it is not a fingerprint.
pub(crate) fn pin(text: Option<&str>) -> Result<Option<Fingerprint>, Error> {
    let parse = |text: &str| text.trim().parse().map_err(|cause| Error::Pin(text.to_owned(), cause));
    text.filter(|text| !text.is_empty()).map(parse).transpose()
}

impl SecretOptions {
    fn of(flags: &Flags) -> Result<Self, Error> {
        let scope = flags.was_given("scope").then(|| flags.text("scope").unwrap_or_default().parse());
        Ok(Self {
            name: owned(flags, "name"),
            namespace: owned(flags, "namespace"),
            scope: scope.transpose()?,
            allow_empty_data: flags.is_on("allow-empty-data"),
        })
    }
}

impl ClusterOptions {
    fn of(flags: &Flags) -> Self {
        let text = |name| owned(flags, name);
        let given = |name| flags.was_given(name).then_some(name);
        Self {
            controller_namespace: text("controller-namespace"),
            controller_name: text("controller-name"),
            request_timeout: text("request-timeout"),
            kubeconfig: text("kubeconfig"),
            context: text("context"),
            cluster: text("cluster"),
            user: text("user"),
            server: text("server"),
            tls_server_name: text("tls-server-name"),
            certificate_authority: text("certificate-authority"),
            insecure_skip_tls_verify: given("insecure-skip-tls-verify").map(|name| flags.is_on(name)),
            proxy_url: text("proxy-url"),
            disable_compression: flags.is_on("disable-compression"),
            client_certificate: text("client-certificate"),
            client_key: text("client-key"),
            token: text("token").map(SecretString::from),
            username: text("username"),
            password: text("password").map(SecretString::from),
            impersonate: text("as"),
            impersonate_uid: text("as-uid"),
            impersonate_groups: given("as-group").map(|name| flags.texts(name).to_vec()),
        }
    }
}

/// The flags of [`ClusterOptions`].
fn cluster_flags() -> impl Iterator<Item = &'static Flag> {
    FLAGS.iter().filter(|flag| is_cluster_flag(flag))
}

fn is_cluster_flag(flag: &Flag) -> bool {
    matches!(flag.group, Group::Controller | Group::Kubectl)
}

impl Args for ClusterOptions {
    fn augment_args(command: clap::Command) -> clap::Command {
        // The short help shows the most common flags only.
        let is_common =
            |flag: &Flag| flag.group == Group::Controller || matches!(flag.name, "kubeconfig" | "context");
        command.args(cluster_flags().map(|flag| flags::argument(flag).hide_short_help(!is_common(flag))))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ClusterOptions {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given =
            cluster_flags().filter(|flag| matches.value_source(flag.name) == Some(ValueSource::CommandLine));
        let words = given.flat_map(|flag| flags::words(flag, matches));
        let CommandLine { mut flags, .. } = CommandLine::parse(words, &[]).map_err(|error| {
            clap::Error::raw(clap::error::ErrorKind::ValueValidation, format!("{error}\n"))
        })?;
        fill_from_environment(&mut flags, is_cluster_flag);
        Ok(Self::of(&flags))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
