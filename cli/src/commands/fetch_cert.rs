//! `kubeseal --fetch-cert`: prints the certificate, byte for byte as it is served.

use crate::args::Args;
use crate::error::Result;
use crate::{cert_source, io};

pub(crate) fn run(args: &Args) -> Result<()> {
    let (_, pem) = cert_source::fetch(args)?;
    io::print(&pem)
}
